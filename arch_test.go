// Package lockstep_test holds the tests of the project as a whole: the house
// that the packages form, and that the documents tell the truth about it.
package lockstep_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "lockstep/"

// house lists every package, top to bottom. A package imports only from rows
// below its own.
var house = [][]string{
	{"cmd/lockstep"},
	{"internal/release"},
	{"internal/proof", "internal/proof/benchlive", "internal/proof/benchrsync", "internal/proof/benchdaemon", "internal/proof/benchinotify"},
	{"internal/proof/harness"},
	{"internal/cli/lockstep", "internal/cli/rsync", "internal/cli/inotify"},
	{"internal/cli/eventline"},
	{"internal/ops/fleet"},
	{"internal/ops/control", "internal/ops/service", "internal/ops/importer", "internal/ops/web", "internal/ops/doctor", "internal/ops/hook"},
	{"internal/ops/report"},
	{"internal/ops/config"},
	{"internal/live/mirror"},
	{"internal/live/target"},
	{"internal/live/stream"},
	{"internal/live/change", "internal/live/hours"},
	{"internal/live/watch"},
	{"internal/rsync/daemon"},
	{"internal/rsync/daemon/conf"},
	{"internal/rsync/session"},
	{"internal/rsync/sender", "internal/rsync/generator", "internal/rsync/receiver"},
	{"internal/rsync/dest"},
	{"internal/rsync/output"},
	{"internal/rsync/flist"},
	{"internal/rsync/compress"},
	{"internal/rsync/delta"},
	{"internal/rsync/checksum"},
	{"internal/rsync/wire"},
	{"internal/rsync/secure"},
	{"internal/rsync/option"},
	{"internal/fs/apply"},
	{"internal/fs/walk"},
	{"internal/fs/filter"},
	{"internal/fs/tree"},
}

// sideways lists the imports that the rows forbid and that are allowed all the
// same, each with its reason.
var sideways = map[[2]string]string{}

// pure lists the packages that decide by values alone, without file system,
// network or log.
var pure = []string{"internal/live/change", "internal/live/hours", "internal/fs/filter", "internal/fs/tree", "internal/rsync/delta", "internal/rsync/wire"}

var impure = []string{"os", "net", "log"}

// vague are names that say nothing about what a package holds.
var vague = []string{"util", "utils", "common", "helper", "helpers", "misc", "manager", "base", "shared", "lib"}

// The bounds on code that is not a test.
const (
	maxFileLines = 600
	maxFuncLines = 100
)

// source is one parsed Go file.
type source struct {
	name string // from the root, with slashes
	text []byte
	tree *ast.File
	pos  *token.FileSet
}

func (s source) pkg() string  { return path.Dir(s.name) }
func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// sources parses every Go file of the project.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		pos := token.NewFileSet()
		file, err := parser.ParseFile(pos, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(name), text, file, pos})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func row(pkg string) int {
	return slices.IndexFunc(house, func(r []string) bool { return slices.Contains(r, pkg) })
}

func TestPackagesImportOnlyFromRowsBelow(t *testing.T) {
	unused := map[[2]string]bool{}
	for pair := range sideways {
		unused[pair] = true
	}
	for _, s := range sources(t) {
		if s.pkg() == "." {
			continue
		}
		from := row(s.pkg())
		if from < 0 {
			t.Errorf("%s: package %s has no place in the house: add a row to arch_test.go and ARCHITECTURE.md", s.name, s.pkg())
			continue
		}
		if s.isTest() {
			continue
		}
		for _, imp := range imports(t, s) {
			to, ours := strings.CutPrefix(imp, module)
			pair := [2]string{s.pkg(), to}
			delete(unused, pair)
			if ours && row(to) <= from && sideways[pair] == "" {
				t.Errorf("%s imports %s, which is not in a row below", s.name, to)
			}
		}
	}
	for pair := range unused {
		t.Errorf("the exception %s -> %s is not used", pair[0], pair[1])
	}
}

func TestPurePackagesTouchNoSystem(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || !slices.Contains(pure, s.pkg()) {
			continue
		}
		for _, imp := range imports(t, s) {
			if top, _, _ := strings.Cut(imp, "/"); slices.Contains(impure, top) {
				t.Errorf("%s imports %s: %s decides by values alone", s.name, imp, s.pkg())
			}
		}
	}
}

func imports(t *testing.T, s source) []string {
	t.Helper()
	var all []string
	for _, spec := range s.tree.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		all = append(all, name)
	}
	return all
}

func TestEveryPackageHasADocComment(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		want := "Package " + s.tree.Name.Name + " "
		if s.tree.Name.Name == "main" {
			want = "Command " + path.Base(s.pkg()) + " "
		}
		documented[s.pkg()] = documented[s.pkg()] || strings.HasPrefix(s.tree.Doc.Text(), want)
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment beginning with Package or Command and its name", pkg)
		}
	}
}

func TestPackageNamesSayWhatTheyHold(t *testing.T) {
	for _, s := range sources(t) {
		if name := strings.TrimSuffix(s.tree.Name.Name, "_test"); slices.Contains(vague, name) {
			t.Errorf("%s: package %s: name it after what it holds", s.name, name)
		}
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		if n := bytes.Count(s.text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, the most is %d", s.name, n, maxFileLines)
		}
		for _, decl := range s.tree.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.pos.Position(f.End()).Line - s.pos.Position(f.Pos()).Line + 1; n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, the most is %d", s.name, f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	marks := [][]byte{[]byte("TO" + "DO"), []byte("FIX" + "ME"), []byte("XX" + "X:")}
	for _, s := range sources(t) {
		for i, line := range bytes.Split(s.text, []byte("\n")) {
			for _, mark := range marks {
				if bytes.Contains(line, mark) {
					t.Errorf("%s:%d: %s", s.name, i+1, bytes.TrimSpace(line))
				}
			}
		}
	}
}

func TestTestsAreNamedAndTimedWell(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if strings.HasPrefix(n.Name.Name, "Test") && strings.Contains(n.Name.Name, "_") {
					t.Errorf("%s: %s: no underscores in test names", s.name, n.Name.Name)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "Sleep" {
					t.Errorf("%s: time.Sleep: poll with a deadline or wait on a channel", s.pos.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
