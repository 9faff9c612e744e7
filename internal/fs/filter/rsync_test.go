package filter_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

// rsyncPath is the stock rsync that results are compared with.
func rsyncPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("rsync")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rsync is not installed")
		}
		t.Skip("rsync is not installed")
	}
	return path
}

// A node of a random tree: nil is a directory, otherwise a file's content.
type nodes map[string]*string

func (n nodes) children(dir string) []string {
	var names []string
	for p := range n {
		if parent, base := splitPath(p); parent == dir {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names
}

func splitPath(p string) (dir, base string) {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}

func (n nodes) isDir(p string) bool {
	content, ok := n[p]
	return ok && content == nil
}

func (n nodes) write(t *testing.T, root string) {
	t.Helper()
	for _, p := range append([]string{""}, slices.Sorted(maps.Keys(n))...) {
		var err error
		if content := n[p]; content == nil {
			err = os.MkdirAll(filepath.Join(root, p), 0o755)
		} else {
			err = os.WriteFile(filepath.Join(root, p), []byte(*content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (n nodes) read(dir tree.Path, name string) ([]byte, error) {
	content := n[string(dir.Join(name))]
	if content == nil {
		return nil, fs.ErrNotExist
	}
	return []byte(*content), nil
}

// list is what is below root on disk.
func list(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if p != root {
			names = append(names, strings.TrimPrefix(p, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// transfer predicts what "rsync -r --delete-before src/ dst/" leaves in dst:
// what the sender does not hide, and what the receiver protects, or has no
// directory of the sender's to miss it from.
func transfer(src, dst nodes, send, receive *filter.Scope) []string {
	sent := map[string]bool{}
	dirs := []string{""}
	for i := 0; i < len(dirs); i++ {
		hidden := send.Child(tree.Path(dirs[i]))
		for _, base := range src.children(dirs[i]) {
			p := string(tree.Path(dirs[i]).Join(base))
			if hidden(base, src.isDir(p)) {
				continue
			}
			sent[p] = true
			if src.isDir(p) {
				dirs = append(dirs, p)
			}
		}
	}
	left := map[string]bool{}
	for p := range dst {
		left[p] = true
	}
	for _, dir := range dirs {
		protected := receive.ChildProtected(tree.Path(dir), false)
		for _, base := range dst.children(dir) {
			p := string(tree.Path(dir).Join(base))
			if !sent[p] && !protected(base, dst.isDir(p)) {
				remove(dst, p, receive, left)
			}
		}
	}
	maps.Copy(left, sent)
	return slices.Sorted(maps.Keys(left))
}

// remove takes p and what is below off left; it reports whether p is gone.
func remove(dst nodes, p string, receive *filter.Scope, left map[string]bool) bool {
	empty := true
	if dst.isDir(p) {
		pinned := receive.ChildProtected(tree.Path(p), true)
		for _, base := range dst.children(p) {
			child := string(tree.Path(p).Join(base))
			if pinned(base, dst.isDir(child)) || !remove(dst, child, receive, left) {
				empty = false
			}
		}
	}
	if empty {
		delete(left, p)
	}
	return empty
}

// TestSameAsRsync runs 60 random cases, or fewer in the time it has.
// FILTER_CASES sets another number, FILTER_SEED which case to start with.
func TestSameAsRsync(t *testing.T) {
	rsync := rsyncPath(t)
	cases, seed := 60, uint64(1)
	deadline := time.Now().Add(4 * time.Second)
	if s := os.Getenv("FILTER_CASES"); s != "" {
		cases, _ = strconv.Atoi(s)
		deadline = time.Now().Add(24 * time.Hour)
	}
	if s := os.Getenv("FILTER_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	base := t.TempDir()
	excluded := 0
	for i := range uint64(cases) {
		if i >= 20 && time.Now().After(deadline) {
			cases = int(i)
			break
		}
		c := newCase(seed + i)
		dir := filepath.Join(base, strconv.FormatUint(i, 10))
		got, want, err := c.run(t, rsync, dir)
		if err != nil {
			t.Fatalf("FILTER_SEED=%d: %v\n%v", seed+i, err, c)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("FILTER_SEED=%d: rsync leaves\n%s\nwe predict\n%s\n%v", seed+i,
				diff(got, want), diff(want, got), c)
		}
		for p := range c.src {
			if !slices.Contains(got, p) {
				excluded++
			}
		}
	}
	t.Logf("%d cases from seed %d, %d names hidden", cases, seed, excluded)
	if cases >= 20 && excluded == 0 {
		t.Error("no case hid any name: the test tests nothing")
	}
}

// diff lists what only the first list has.
func diff(a, b []string) string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, "  "+s)
		}
	}
	return strings.Join(out, "\n")
}

// run gives c to rsync and to this package.
func (c *testCase) run(t *testing.T, rsync, dir string) (got, want []string, err error) {
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	c.src.write(t, src)
	c.dst.write(t, dst)
	for name, content := range c.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-r", "--delete-before"}
	if c.deleteExcluded {
		args = append(args, "--delete-excluded")
	}
	cmd := exec.Command(rsync, slices.Concat(args, c.args, []string{"src/", "dst/"})...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	out, failed := cmd.CombinedOutput()
	rules, err := c.rules()
	if err != nil {
		return nil, nil, err
	}
	send := rules.ScopeAt(filter.Place{Root: src, Read: c.src.read, DeleteExcluded: c.deleteExcluded})
	receive := rules.ScopeAt(filter.Place{Root: dst, Read: c.dst.read, DeleteExcluded: c.deleteExcluded})
	want = transfer(c.src, c.dst, send, receive)
	broken := errors.Join(send.Err(), receive.Err())
	if (failed != nil) != (broken != nil) {
		return nil, nil, fmt.Errorf("rsync: %v\n%sour error: %v", failed, out, broken)
	}
	if broken != nil {
		return nil, nil, nil // what was done before the error is not ours to predict
	}
	return list(t, dst), want, errors.Join(agree(c.src, send), agree(c.dst, receive))
}

// agree checks that asking for a path gives what asking level by level does.
func agree(n nodes, s *filter.Scope) error {
	for p := range n {
		var hidden, protected bool
		for i := 0; i <= len(p); i++ {
			if i < len(p) && p[i] != '/' {
				continue
			}
			dir, base := splitPath(p[:i])
			hidden = hidden || s.Child(tree.Path(dir))(base, n.isDir(p[:i]))
			protected = protected || s.ChildProtected(tree.Path(dir), false)(base, n.isDir(p[:i]))
		}
		if s.Hidden(tree.Path(p), n.isDir(p)) != hidden || s.Protected(tree.Path(p), n.isDir(p)) != protected {
			return fmt.Errorf("%q: hidden %v, protected %v by its levels, but not as a path", p, hidden, protected)
		}
	}
	return nil
}

// A testCase is a random source, destination and command line.
type testCase struct {
	rng            *rand.Rand
	src, dst       nodes
	files          map[string]string // beside src and dst
	args           []string
	build          []func(*filter.Builder) error
	implied        filter.Implied
	deleteExcluded bool
	perDir         string // the rule for .r files, if the case has it
}

func (c *testCase) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "args: %q, delete excluded: %v\n", c.args, c.deleteExcluded)
	show := func(label string, n nodes) {
		for _, p := range slices.Sorted(maps.Keys(n)) {
			if n[p] != nil && *n[p] != "" {
				fmt.Fprintf(&b, "%s/%s: %q\n", label, p, *n[p])
			}
		}
		fmt.Fprintf(&b, "%s: %q\n", label, slices.Sorted(maps.Keys(n)))
	}
	for name, content := range c.files {
		fmt.Fprintf(&b, "%s: %q\n", name, content)
	}
	show("src", c.src)
	show("dst", c.dst)
	return b.String()
}

func (c *testCase) rules() (*filter.Rules, error) {
	b := filter.Builder{
		Read: func(name string) ([]byte, error) {
			if content, ok := c.files[name]; ok {
				return []byte(content), nil
			}
			return nil, fs.ErrNotExist
		},
		CVSHome: c.files[".cvsignore"],
	}
	for _, add := range c.build {
		if err := add(&b); err != nil {
			return nil, err
		}
	}
	return b.Rules(c.implied)
}
