package walk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// seen is what a Walk reported, by path of the directory.
type seen struct {
	mu   sync.Mutex
	dirs map[tree.Path][]tree.Entry
	errs map[tree.Path]error
}

func walkAll(t *testing.T, r *walk.Root, start tree.Path, enter func(tree.Path) bool) *seen {
	t.Helper()
	s := &seen{dirs: map[tree.Path][]tree.Entry{}, errs: map[tree.Path]error{}}
	must(t, r.Walk(t.Context(), start, walk.Visitor{Enter: enter, Dir: s.dir(t)}))
	return s
}

func (s *seen) dir(t *testing.T) func(tree.Path, tree.Meta, []tree.Entry, error) {
	return func(dir tree.Path, m tree.Meta, entries []tree.Entry, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, dup := s.dirs[dir]; dup {
			t.Errorf("%s came twice", dir)
		}
		if _, parent := s.dirs[dir.Parent()]; !parent && len(s.dirs) > 0 {
			t.Errorf("%s came before its parent", dir)
		}
		if err == nil && !m.IsDir() {
			t.Errorf("%s has meta %+v", dir, m)
		}
		s.dirs[dir], s.errs[dir] = entries, err
	}
}

func names(entries []tree.Entry) []string {
	var s []string
	for _, e := range entries {
		s = append(s, e.Name)
	}
	return s
}

func TestWalkSeesEverythingOnce(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, 120, 3)
	must(t, os.Symlink(".", filepath.Join(dir, "group0", "loop")))
	eachResolver(t, dir, func(t *testing.T, r *walk.Root) {
		s := walkAll(t, r, tree.Root, nil)
		if len(s.dirs) != 1+3+120 {
			t.Errorf("%d directories", len(s.dirs))
		}
		if got := names(s.dirs["group2/directory119"]); !slices.Equal(got, []string{"file number 0", "file number 1", "file number 2"}) {
			t.Errorf("entries are %q", got)
		}
		s = walkAll(t, r, "group1", func(p tree.Path) bool { return p == "group1/directory70" })
		if len(s.dirs) != 2 || len(s.dirs["group1"]) != 50 {
			t.Errorf("with Enter, %d directories and %d entries", len(s.dirs), len(s.dirs["group1"]))
		}
	})
}

func TestOddNames(t *testing.T) {
	dir := t.TempDir()
	odd := []string{
		"new\nline", "bad\xff\xfeutf8", strings.Repeat("n", 255), "...", "-rf", " ", "*", "\x01", "tab\t", `back\slash`, "ü", "~",
	}
	for _, name := range odd {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name, name), nil, 0o644))
	}
	slices.Sort(odd)
	s := walkAll(t, openRoot(t, dir), tree.Root, nil)
	if got := names(s.dirs[tree.Root]); !slices.Equal(got, odd) {
		t.Errorf("entries are %q", got)
	}
	for _, name := range odd {
		if got := names(s.dirs[tree.Path(name)]); !slices.Equal(got, []string{name}) {
			t.Errorf("entries of %q are %q", name, got)
		}
	}
}

// makeDeep makes nested directories until the path is at least size bytes
// long, and removes them at the end of the test.
func makeDeep(t *testing.T, dir, name string, size int) tree.Path {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	var p tree.Path
	for len(p) < size {
		must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		_ = unix.Close(fd)
		fd, p = next, p.Join(name)
	}
	must(t, unix.Mknodat(fd, "end", unix.S_IFREG|0o644, 0))
	_ = unix.Close(fd)
	return p
}

func TestDeepTrees(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, component string
		size            int
	}{
		{"many components up to the limit", "component", 4080},
		{"long components past PATH_MAX", strings.Repeat("l", 250), 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			deepest := makeDeep(t, dir, c.component, c.size)
			eachResolver(t, dir, func(t *testing.T, r *walk.Root) {
				if m, err := r.Lstat(deepest.Join("end")); err != nil || m.Kind != tree.File {
					t.Errorf("Lstat of the end: %v", err)
				}
				if entries, err := r.ReadDir(deepest); err != nil || len(entries) != 1 {
					t.Errorf("ReadDir of the end: %v, %v", names(entries), err)
				}
				s := walkAll(t, r, tree.Path(c.component), nil)
				for p, err := range s.errs {
					if long := len(p) > tree.MaxPath; long != errors.Is(err, syscall.ENAMETOOLONG) {
						t.Errorf("path of %d bytes: %v", len(p), err)
					}
				}
				if want := min(deepest.Depth(), tree.MaxPath/(len(c.component)+1)+1); len(s.dirs) != want {
					t.Errorf("%d directories, want %d", len(s.dirs), want)
				}
			})
		})
	}
}

func TestWideDirectory(t *testing.T) {
	dir := t.TempDir()
	for i := range walk.StatWide + 100 {
		must(t, unix.Mknod(filepath.Join(dir, fmt.Sprint(i)), unix.S_IFREG|0o644, 0))
	}
	entries, err := openRoot(t, dir).ReadDir(tree.Root)
	must(t, err)
	if len(entries) != walk.StatWide+100 || !slices.IsSorted(names(entries)) {
		t.Errorf("%d entries, sorted: %v", len(entries), slices.IsSorted(names(entries)))
	}
	for _, e := range entries {
		if e.Meta.Kind != tree.File {
			t.Fatalf("%q is a %v", e.Name, e.Meta.Kind)
		}
	}
}

func TestWalkOfWhatIsNoDirectory(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	r := openRoot(t, dir)
	visit := walk.Visitor{Dir: func(p tree.Path, _ tree.Meta, _ []tree.Entry, _ error) { t.Errorf("Dir(%s) was called", p) }}
	if err := r.Walk(t.Context(), "file", visit); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Walk(file): %v", err)
	}
	if err := r.Walk(t.Context(), "missing", visit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Walk(missing): %v", err)
	}
}

func TestWalkStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, 60, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	count := 0
	err := openRoot(t, dir).Walk(ctx, tree.Root, walk.Visitor{Workers: 1, Dir: func(tree.Path, tree.Meta, []tree.Entry, error) {
		count++
		once.Do(cancel)
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Walk: %v", err)
	}
	if count > 1 {
		t.Errorf("%d directories were read after the end", count)
	}
}

func TestDirectoryThatVanishes(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a"), 0o755))
	s := walkAll(t, openRoot(t, dir), tree.Root, func(p tree.Path) bool {
		must(t, os.Remove(filepath.Join(dir, "a")))
		must(t, os.Symlink("/", filepath.Join(dir, "a")))
		return true
	})
	if !errors.Is(s.errs["a"], fs.ErrNotExist) {
		t.Errorf("error is %v", s.errs["a"])
	}
}

func TestUnreadableDirectories(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	for _, sub := range []string{"closed", "listable"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, sub, "file"), nil, 0o644))
	}
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0o000))
	must(t, os.Chmod(filepath.Join(dir, "listable"), 0o444))
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(dir, "closed"), 0o755)
		_ = os.Chmod(filepath.Join(dir, "listable"), 0o755)
	})
	s := walkAll(t, openRoot(t, dir), tree.Root, nil)
	if !errors.Is(s.errs["closed"], fs.ErrPermission) {
		t.Errorf("closed: %v", s.errs["closed"])
	}
	var partial *walk.PartialError
	if !errors.As(s.errs["listable"], &partial) || len(partial.Entries) != 1 || partial.Entries[0].Path != "listable/file" {
		t.Errorf("listable: %v", s.errs["listable"])
	}
}

func TestWalkHoldsFewHandles(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, 60, 0)
	makeDeep(t, dir, "d", 200)
	r := openRoot(t, dir)
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	before := open()
	var mu sync.Mutex
	most := 0
	must(t, r.Walk(t.Context(), tree.Root, walk.Visitor{Workers: 4, Dir: func(tree.Path, tree.Meta, []tree.Entry, error) {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, open())
	}}))
	if most > before+4+1 {
		t.Errorf("%d handles during the walk, %d before", most, before)
	}
}

func TestKindsAreToldWithoutALookAtFiles(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "dir"), 0o751), os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o604),
		os.Symlink("file", filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := walk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	entries, err := r.ReadKinds(tree.Root)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]tree.Kind{"dir": tree.Dir, "file": tree.File, "link": tree.Symlink, "pipe": tree.Fifo}
	for _, e := range entries {
		if e.Meta.Kind != want[e.Name] || e.Meta.IsDir() && e.Meta.Perm != 0o751 {
			t.Errorf("%s is %+v", e.Name, e.Meta)
		}
		delete(want, e.Name)
	}
	if len(want) > 0 {
		t.Errorf("without %v", want)
	}
}
