package apply_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// archive keeps what rsync -a does, everything what rsync -aAX does.
var (
	archive = apply.Options{
		Perms: true, Times: true, Owner: true, Group: true, Links: true, Devices: true, Specials: true,
	}
	everything = apply.Options{
		Perms: true, Times: true, Owner: true, Group: true, Links: true, Devices: true, Specials: true,
		ACLs: true, Xattrs: true,
	}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: " + why)
	}
}

func openRoot(t testing.TB, dir string, opts apply.Options) *apply.Root {
	t.Helper()
	r, err := apply.OpenRoot(dir, opts)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func write(t testing.TB, content string, path ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(path...), []byte(content), 0o644))
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return string(b)
}

// source is a file to copy from.
func source(t testing.TB, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	write(t, content, path)
	return openFile(t, path)
}

func openFile(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// fileMeta is the metadata of a file of ours.
func fileMeta(perm uint16) tree.Meta {
	return tree.Meta{
		Kind: tree.File, Perm: perm, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
		Mtime: tree.Time{Sec: 1234567890, Nsec: 987654321},
	}
}

func dirMeta(perm uint16) tree.Meta {
	m := fileMeta(perm)
	m.Kind = tree.Dir
	return m
}

func lstat(t testing.TB, r *apply.Root, p tree.Path) tree.Meta {
	t.Helper()
	m, err := r.Reader().Lstat(p)
	must(t, err)
	return m
}

// names lists a directory; temporary ones must never be there.
func names(t testing.TB, dir ...string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir...))
	must(t, err)
	var s []string
	for _, e := range entries {
		if apply.IsTemp(e.Name()) {
			t.Errorf("leftover %q", e.Name())
		}
		s = append(s, e.Name())
	}
	return s
}

// fingerprint is all that lstat and reading can tell of a tree.
func fingerprint(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		content := []byte{}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			content, err = os.ReadFile(path)
			must(t, err)
		}
		fmt.Fprintf(&b, "%s %o %d:%d %d %v %v %q\n", path, st.Mode, st.Uid, st.Gid, st.Nlink, st.Mtim, st.Ctim, content)
		return nil
	}))
	return b.String()
}

func TestPathsOutsideAreRefused(t *testing.T) {
	parent := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(parent, "tree", "dir"), 0o755))
	write(t, "secret", parent, "secret")
	must(t, os.Symlink("..", filepath.Join(parent, "tree", "up")))
	must(t, os.Symlink(parent, filepath.Join(parent, "tree", "out")))
	r := openRoot(t, filepath.Join(parent, "tree"), everything)
	src := source(t, "evil")
	before := fingerprint(t, parent)
	for _, p := range []tree.Path{
		"..", "../secret", "dir/../../secret", "up/secret", "out/secret", "/etc/passwd", "./secret",
		"dir/", "dir//x", "a\x00b", "missing/secret",
	} {
		calls := map[string]error{
			"Symlink":   r.Symlink(p, "x", tree.Meta{}, nil),
			"Mknod":     r.Mknod(p, tree.Meta{Kind: tree.Fifo}, nil),
			"SetMeta":   r.SetMeta(p, fileMeta(0o777), nil),
			"SetTimes":  r.SetTimes(p, tree.Time{}),
			"Rename":    r.Rename("dir", p),
			"Rename of": r.Rename(p, "new"),
			"Link":      r.Link("up", p),
			"Link of":   r.Link(p, "new"),
			"Remove":    r.Remove(p),
		}
		_, calls["CopyFile"] = r.CopyFile(p, src, fileMeta(0o644), apply.Copy{})
		_, calls["Mkdir"] = r.Mkdir(p, dirMeta(0o755), nil)
		for call, err := range calls {
			if err == nil {
				t.Errorf("%s(%q) worked", call, string(p))
			}
		}
		if n, _ := r.RemoveAll(p, nil); n != 0 {
			t.Errorf("RemoveAll(%q) removed %d", string(p), n)
		}
	}
	if after := fingerprint(t, parent); after != before {
		t.Errorf("something was touched:\n%s\nwas\n%s", after, before)
	}
}

func TestTheRootItselfStays(t *testing.T) {
	r := openRoot(t, t.TempDir(), everything)
	must(t, r.SetMeta(tree.Root, dirMeta(0o750), nil))
	if m := lstat(t, r, tree.Root); m.Perm != 0o750 || m.Mtime != dirMeta(0).Mtime {
		t.Errorf("the root is %+v", m)
	}
	if err := r.Remove(tree.Root); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Remove: %v", err)
	}
	if _, err := r.RemoveAll(tree.Root, nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("RemoveAll: %v", err)
	}
	if err := r.Rename(tree.Root, "x"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Rename: %v", err)
	}
}

func TestClosedRoot(t *testing.T) {
	r := openRoot(t, t.TempDir(), archive)
	must(t, r.Close())
	if _, err := r.Mkdir("a", dirMeta(0o755), nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Mkdir: %v", err)
	}
}

// A directory that another program replaced while its handle is cached is
// found again.
func TestReplacedDirectoryIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	r := openRoot(t, dir, archive)
	must(t, r.Symlink("d/one", "x", tree.Meta{}, nil))
	must(t, os.RemoveAll(filepath.Join(dir, "d")))
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	_, err := r.CopyFile("d/two", source(t, "2"), fileMeta(0o644), apply.Copy{})
	must(t, err)
	if got := read(t, dir, "d", "two"); got != "2" {
		t.Errorf("content is %q", got)
	}
}

// After our own renames and removals no cached handle is used for a path that
// means something else now.
func TestCacheFollowsOwnRenames(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, archive)
	mkdir := func(p tree.Path) {
		t.Helper()
		_, err := r.Mkdir(p, dirMeta(0o755), nil)
		must(t, err)
	}
	mkdir("a")
	mkdir("a/b")
	must(t, r.Symlink("a/b/first", "x", tree.Meta{}, nil))
	must(t, r.Rename("a", "moved"))
	mkdir("a")
	mkdir("a/b")
	must(t, r.Symlink("a/b/second", "x", tree.Meta{}, nil))
	if got := names(t, dir, "a", "b"); len(got) != 1 || got[0] != "second" {
		t.Errorf("a/b has %q", got)
	}
	if _, err := r.RemoveAll("a", nil); err != nil {
		t.Fatal(err)
	}
	mkdir("a")
	mkdir("a/b")
	must(t, r.Symlink("a/b/third", "x", tree.Meta{}, nil))
	if got := names(t, dir, "a", "b"); len(got) != 1 || got[0] != "third" {
		t.Errorf("a/b has %q", got)
	}
	for i := range 100 {
		p := tree.Path(fmt.Sprintf("many%d", i))
		mkdir(p)
		must(t, r.Symlink(p.Join("link"), "x", tree.Meta{}, nil))
	}
	if n := r.HeldDirs(); n > 16 {
		t.Errorf("%d handles are held", n)
	}
}

// Non-root owners may have directories that they can't write.
func TestReadOnlyDirectoriesOfTheOwner(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere")
	}
	dir := t.TempDir()
	for _, sub := range []string{"a", "b"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
		write(t, "x", dir, sub, "file")
		must(t, os.Chmod(filepath.Join(dir, sub), 0o555))
	}
	r := openRoot(t, dir, archive)
	_, err := r.CopyFile("a/new", source(t, "new"), fileMeta(0o644), apply.Copy{})
	must(t, err)
	must(t, r.Rename("a/file", "b/moved"))
	must(t, r.Link("b/file", "a/linked"))
	must(t, r.Remove("b/file"))
	for _, sub := range []string{"a", "b"} {
		if m := lstat(t, r, tree.Path(sub)); m.Perm != 0o555 {
			t.Errorf("%s has mode %o", sub, m.Perm)
		}
	}
	if n, err := r.RemoveAll("a", nil); n != 3 || err != nil {
		t.Errorf("RemoveAll = %d, %v", n, err)
	}
	if err := os.Chmod(filepath.Join(dir, "b"), 0o755); err != nil {
		t.Error(err)
	}
}

func TestErrorsTellSourceFromTarget(t *testing.T) {
	r := openRoot(t, t.TempDir(), archive)
	src := source(t, "x")
	must(t, src.Close())
	_, err := r.CopyFile("file", src, fileMeta(0o644), apply.Copy{})
	var mine *apply.SourceError
	if !errors.As(err, &mine) {
		t.Errorf("closed source: %v", err)
	}
	_, err = r.CopyFile("no/file", source(t, "x"), fileMeta(0o644), apply.Copy{})
	if errors.As(err, &mine) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	var walked *walk.Error
	if !errors.As(err, &walked) || !strings.Contains(err.Error(), "copy no/file") {
		t.Errorf("missing directory: %v", err)
	}
}
