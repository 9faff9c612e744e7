package option_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/option"
)

// root is the project's directory.
const root = "../../.."

// usedIn are the parts of the project whose tests run rsync's options. This
// package is not among them: it only reads them.
var usedIn = []string{"internal/rsync", "internal/cli/rsync", "internal/proof"}

// uses collects where tests use options, by the long name or the letter.
type uses map[string]map[string]bool

func (u uses) add(o *option.Option, pkg string) {
	name := o.Name()
	if u[name] == nil {
		u[name] = map[string]bool{}
	}
	u[name][pkg] = true
}

// finder knows the options by what tests call them.
type finder struct {
	long   map[string]*option.Option
	short  map[byte]*option.Option
	fields map[string][]*option.Option // of a Set
}

func newFinder() *finder {
	f := &finder{map[string]*option.Option{}, map[byte]*option.Option{}, map[string][]*option.Option{}}
	for _, o := range option.Table() {
		for _, n := range o.Names() {
			if strings.HasPrefix(n, "--") {
				f.long[n[2:]] = o
			}
		}
		if o.Short != 0 {
			f.short[o.Short] = o
		}
		for _, field := range fieldsOf(o) {
			f.fields[field] = append(f.fields[field], o)
		}
	}
	return f
}

// fieldsOf are the fields of a Set that an option sets by itself.
func fieldsOf(o *option.Option) []string {
	if len(o.Implies) > 0 || o.Long == "help" || o.Long == "version" {
		return nil
	}
	words := []string{"--" + o.Long}
	if o.Long == "" {
		words[0] = "-" + string(rune(o.Short))
	}
	if o.Arg != "" {
		words = append(words, sample(o))
	}
	parse := func(words ...string) *option.Set {
		s, err := option.Parse(option.Input{Words: append(words, "-r", "src", "dst"), Now: time.Unix(1e9, 0)})
		if err != nil {
			return nil
		}
		return s
	}
	base, set := parse(), parse(words...)
	if set == nil {
		return nil
	}
	var names []string
	for name := range fields(reflect.ValueOf(*base), reflect.ValueOf(*set), "") {
		if name != "OutFormat" && name != "Delete" && name != "ImpliedDirs" && !strings.Contains(name, "[") {
			names = append(names, name)
		}
	}
	return names
}

// words finds options in a command line, or a part of one.
func (f *finder) words(u uses, pkg, text string) {
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, `"'`+"`,;()")
		switch {
		case strings.HasPrefix(word, "--"):
			name, _, _ := strings.Cut(word[2:], "=")
			if o := f.long[name]; o != nil {
				u.add(o, pkg)
			}
		case strings.HasPrefix(word, "-") && len(word) > 1:
			f.bundle(u, pkg, word[1:])
		}
	}
}

// bundle finds letters; a word with one that is no option is none.
func (f *finder) bundle(u uses, pkg, letters string) {
	var found []*option.Option
	for i := range len(letters) {
		o := f.short[letters[i]]
		if o == nil {
			return
		}
		found = append(found, o)
		if o.Arg != "" {
			break
		}
	}
	for _, o := range found {
		u.add(o, pkg)
	}
}

// source finds options in a Go test: in its strings, and in the fields of Sets.
func (f *finder) source(t *testing.T, u uses, pkg, name string) {
	tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	field := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			for _, o := range f.fields[id.Name] {
				u.add(o, pkg)
			}
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				f.words(u, pkg, text)
			}
		case *ast.CompositeLit:
			if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Set" {
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						field(kv.Key)
					}
				}
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok && ofSet(s.X) {
					field(s.Sel)
				}
			}
		}
		return true
	})
}

// ofSet tells the names that tests give a Set.
func ofSet(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"o", "opt", "opts", "set"}, e.Name)
	case *ast.SelectorExpr:
		return slices.Contains([]string{"opt", "Opt", "set"}, e.Sel.Name)
	}
	return false
}

// findUses goes through the tests of the project.
func findUses(t *testing.T) uses {
	u, f := uses{}, newFinder()
	for _, part := range usedIn {
		err := filepath.WalkDir(filepath.Join(root, part), func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			pkg := path.Dir(filepath.ToSlash(rel))
			switch {
			case d.IsDir() && rel == "internal/rsync/option":
				return filepath.SkipDir
			case strings.HasSuffix(name, "_test.go") && pkg != "internal/cli/rsync": // whose scripts run options
				f.source(t, u, pkg, name)
			case strings.HasSuffix(name, ".txtar"):
				text, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				pkg, _, _ = strings.Cut(pkg, "/testdata")
				for line := range strings.Lines(string(text)) {
					if strings.Contains(line, "rsync") {
						f.words(u, pkg, line)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// untestable are options for which no test of a run can be asked: what one
// process says to another, and what makes a daemon of this one.
var untestable = []string{"--server", "--sender", "--daemon", "--config", "--dparam", "--detach"}

// TestCoverageDocument holds docs/coverage.md against the table and the tests.
func TestCoverageDocument(t *testing.T) {
	used := findUses(t)
	var rows strings.Builder
	var gaps []string
	for _, o := range option.Table() {
		where := slices.Sorted(maps.Keys(used[o.Name()]))
		for i, pkg := range where {
			where[i] = strings.TrimPrefix(strings.TrimPrefix(pkg, "internal/"), "rsync/")
		}
		tests := strings.Join(where, ", ")
		if len(where) == 0 && !slices.Contains(untestable, o.Name()) {
			gaps = append(gaps, "`"+o.Name()+"`")
			tests = "**none**"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", names(o), o.Arg, sentTo(o), strings.Join(bearing(o), "; "), tests)
	}
	gapText := "There is none without one."
	if len(gaps) > 0 {
		gapText = fmt.Sprintf("%d have none: %s.", len(gaps), strings.Join(gaps, ", "))
	}
	recorded(t, root+"/docs/coverage.md", fmt.Sprintf(coverageText, len(option.Table()), gapText, cell(rows.String()))+parameterText(t))
}

// parameterText lists the parameters of rsyncd.conf with their tests.
func parameterText(t *testing.T) string {
	tests := parameterTests(t)
	var rows strings.Builder
	for _, p := range conf.All() {
		test := tests[strings.NewReplacer(" ", "", "-", "").Replace(p.String())]
		if test == "" {
			t.Errorf("parameter %s has no test", p)
		}
		scope := "module"
		if p.Global() {
			scope = "daemon"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | `%s` |\n", p, scope, strings.ReplaceAll(test, "NAME", strings.ReplaceAll(p.String(), " ", "_")))
	}
	return fmt.Sprintf(parameterIntro, len(conf.All())) + rows.String()
}

const parameterIntro = `
# Every parameter of rsyncd.conf

The %d parameters, and the tests in ` + "`internal/rsync/daemon`" + ` that are named after them. Those of a module are shown in four
corners: rsync's client and ours, with rsync's daemon and ours, must come to the same. Those of the daemon itself are
shown with rsync's daemon and with ours.

| parameter | of | test |
| --- | --- | --- |
`

// parameterTests finds which test a parameter has, by the parameter's name in Go
// in small letters.
func parameterTests(t *testing.T) map[string]string {
	found := map[string]string{}
	for file, test := range map[string]string{"param_test.go": "TestParameters/NAME", "global_test.go": "TestGlobalParameters/NAME"} {
		tree, err := parser.ParseFile(token.NewFileSet(), root+"/internal/rsync/daemon/"+file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		note := func(e ast.Expr, name string) {
			if s, ok := e.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "conf" {
				found[strings.ToLower(s.Sel.Name)] = name
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				name := test
				if fmt.Sprint(n.Value) == "nil" {
					name = "TestSyslogGetsFacilityAndTag"
				}
				note(n.Key, name)
			case *ast.CompositeLit:
				if n.Type == nil && len(n.Elts) > 0 {
					note(n.Elts[0], test)
				}
			}
			return true
		})
	}
	return found
}

const coverageText = `# Every option of rsync

Generated from the option table and from the tests; do not edit. To write it anew:

` + "```" + `
go test ./internal/rsync/option -run TestCoverageDocument -update
` + "```" + `

%d options are read, under all their names, by the tests of ` + "`internal/rsync/option`" + `. The last column has the packages
whose tests use an option in a run of some part of the engine. %s

"Sent to" is whom a client tells: the other side when it receives, when it sends, both or nobody (then it is about this
side, or known from what is sent). "Implies" has what an option brings, and the rules that it is part of.

| option | argument | sent to | implies | used in tests of |
| --- | --- | --- | --- | --- |
%s`

// cell keeps a bar inside of a table's cell.
func cell(text string) string {
	return strings.NewReplacer("e|a|c", `e\|a\|c`, "N|L|B", `N\|L\|B`).Replace(text)
}

func names(o *option.Option) string {
	var all []string
	for _, n := range o.Names() {
		all = append(all, "`"+n+"`")
	}
	return strings.Join(all, " ")
}

func sentTo(o *option.Option) string {
	switch option.SentTo(o) {
	case option.ToBoth:
		return "both"
	case option.ToReceiver:
		return "receiver"
	case option.ToSender:
		return "sender"
	}
	return "-"
}

// bearing is what an option implies, and what the rules say about it.
func bearing(o *option.Option) []string {
	var all []string
	for _, n := range o.Implies {
		all = append(all, "`--"+n+"`")
	}
	if len(all) > 0 {
		all = []string{strings.Join(all, " ")}
	}
	for _, r := range option.Rules() {
		if o.Long != "" && slices.Contains(r.About, o.Long) {
			all = append(all, r.Text)
		}
	}
	return all
}
