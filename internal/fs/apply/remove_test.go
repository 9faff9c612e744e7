package apply_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

func TestRemove(t *testing.T) {
	dir, paths := occupied(t)
	r := openRoot(t, dir, archive)
	for _, p := range paths[:4] {
		must(t, r.Remove(p))
	}
	if err := r.Remove("dir"); !errors.Is(err, apply.ErrNotEmpty) {
		t.Errorf("a directory with entries: %v", err)
	}
	must(t, r.Remove("dir/file"))
	must(t, r.Remove("dir"))
	if err := r.Remove("dir"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second time: %v", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("names are %q", got)
	}
}

func TestRemoveAll(t *testing.T) {
	outside := t.TempDir()
	write(t, "outside", outside, "file")
	before := fingerprint(t, outside)
	dir, _ := occupied(t)
	must(t, os.Symlink(outside, filepath.Join(dir, "dir", "out")))
	must(t, os.MkdirAll(filepath.Join(dir, "dir", "a", "b", "c"), 0o755))
	r := openRoot(t, dir, archive)
	for p, want := range map[tree.Path]int{"dir": 6, "file": 1, "symlink": 1, "missing": 0, "file/x": 0} {
		if n, err := r.RemoveAll(p, nil); n != want || err != nil {
			t.Errorf("RemoveAll(%s) = %d, %v; want %d", p, n, err, want)
		}
	}
	if after := fingerprint(t, outside); after != before {
		t.Errorf("outside was touched: %s", after)
	}
}

func TestRemoveAllKeepsWhatIsProtected(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"d/a/keep", "d/a/go", "d/b/go", "d/kept dir/x/y", "d/c"} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755))
		write(t, p, dir, p)
	}
	r := openRoot(t, dir, archive)
	var asked []string
	n, err := r.RemoveAll("d", func(p tree.Path, isDir bool) bool {
		asked = append(asked, fmt.Sprint(p, isDir))
		return p.Base() == "keep" || p.Base() == "kept dir"
	})
	if n != 4 || !errors.Is(err, apply.ErrNotEmpty) {
		t.Errorf("RemoveAll = %d, %v", n, err)
	}
	want := []string{
		"d true", "d/a true", "d/a/go false", "d/a/keep false", "d/b true", "d/b/go false", "d/c false", "d/kept dir true",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], " true", "true")
		want[i] = strings.ReplaceAll(want[i], " false", "false")
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %q", asked)
	}
	if read(t, dir, "d/a/keep") == "" || read(t, dir, "d/kept dir/x/y") == "" || len(names(t, dir, "d")) != 2 {
		t.Errorf("left is %q", names(t, dir, "d"))
	}
	if n, err := r.RemoveAll("d", func(tree.Path, bool) bool { return true }); n != 0 || !errors.Is(err, apply.ErrNotEmpty) {
		t.Errorf("RemoveAll = %d, %v", n, err)
	}
}

// Trees may be deeper than the handles that are held, and than PATH_MAX.
func TestRemoveAllOfDeepTrees(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	const depth = 150
	name := strings.Repeat("deep", 25)
	for range depth {
		must(t, unix.Mkdirat(fd, name, 0o755))
		must(t, unix.Mknodat(fd, "file", unix.S_IFREG|0o644, 0))
		next, err := unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		_ = unix.Close(fd)
		fd = next
	}
	_ = unix.Close(fd)
	r := openRoot(t, dir, archive)
	n, err := r.RemoveAll(tree.Path(name), nil)
	if want := depth + depth - 1; n != want || err != nil {
		t.Errorf("RemoveAll = %d, %v; want %d", n, err, want)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file"}) {
		t.Errorf("left are %q", got)
	}
}

func TestRemoveAllOfUnreadableDirectories(t *testing.T) {
	dir := t.TempDir()
	for i, perm := range []os.FileMode{0o000, 0o111, 0o444, 0o555, 0o333} {
		sub := filepath.Join(dir, "d", fmt.Sprint(i))
		must(t, os.MkdirAll(filepath.Join(sub, "x"), 0o755))
		must(t, os.Chmod(sub, perm))
	}
	r := openRoot(t, dir, archive)
	if n, err := r.RemoveAll("d", nil); n != 11 || err != nil {
		t.Errorf("RemoveAll = %d, %v", n, err)
	}
}

// After an entry that can't be removed the others go all the same.
func TestRemoveAllGoesOnAfterTrouble(t *testing.T) {
	needRoot(t, "makes a file immutable")
	dir := t.TempDir()
	for _, p := range []string{"d/a/1", "d/a/immutable", "d/a/z", "d/b/2"} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755))
		write(t, p, dir, p)
	}
	f := openFile(t, filepath.Join(dir, "d/a/immutable"))
	const immutable = 0x10 // FS_IMMUTABLE_FL
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
		t.Skipf("no immutable files here: %v", err)
	}
	defer func() { must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)) }()
	r := openRoot(t, dir, archive)
	n, err := r.RemoveAll("d", nil)
	if n != 4 || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("RemoveAll = %d, %v", n, err)
	}
	if _, err := r.CopyFile("d/a/immutable", source(t, "x"), fileMeta(0o644), apply.Copy{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("CopyFile: %v", err)
	}
	if got := names(t, dir, "d", "a"); !slices.Equal(got, []string{"immutable"}) {
		t.Errorf("left are %q", got)
	}
}
