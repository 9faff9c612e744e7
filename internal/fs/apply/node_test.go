package apply_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

// occupied is a tree with one object of every kind that is replaced.
func occupied(t *testing.T) (dir string, paths []tree.Path) {
	t.Helper()
	dir = t.TempDir()
	write(t, "old", dir, "file")
	must(t, os.Symlink("file", filepath.Join(dir, "symlink")))
	must(t, os.Symlink("dir", filepath.Join(dir, "symlink to dir")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	write(t, "inside", dir, "dir", "file")
	return dir, []tree.Path{"file", "symlink", "symlink to dir", "fifo", "new"}
}

func TestMkdir(t *testing.T) {
	dir, paths := occupied(t)
	r := openRoot(t, dir, archive)
	for _, p := range paths {
		created, err := r.Mkdir(p, dirMeta(0o750), nil)
		must(t, err)
		if m := lstat(t, r, p); !created || !m.IsDir() || m.Perm&0o777 != 0o750 {
			t.Errorf("%s: created %v, %+v", p, created, m)
		}
		created, err = r.Mkdir(p, dirMeta(0o705), nil)
		must(t, err)
		if m := lstat(t, r, p); created || m.Perm != 0o705 {
			t.Errorf("%s again: created %v, %+v", p, created, m)
		}
	}
	if read(t, dir, "dir", "file") != "inside" {
		t.Error("the target of a symlink was touched")
	}
	if got := names(t, dir); len(got) != 6 {
		t.Errorf("names are %q", got)
	}
}

// A directory without write permission can be filled before SetMeta makes it
// so, also by an owner who is not root.
func TestReadOnlyDirectoryIsMadeAndFilled(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, archive)
	_, err := r.Mkdir("ro", dirMeta(0o555), nil)
	must(t, err)
	_, err = r.CopyFile("ro/file", source(t, "x"), fileMeta(0o444), apply.Copy{})
	must(t, err)
	must(t, r.SetMeta("ro", dirMeta(0o555), nil))
	if m := lstat(t, r, "ro"); m.Perm != 0o555 || m.Mtime != dirMeta(0).Mtime {
		t.Errorf("meta is %+v", m)
	}
	if n, err := r.RemoveAll("ro", nil); n != 2 || err != nil {
		t.Errorf("RemoveAll = %d, %v", n, err)
	}
}

func TestSymlink(t *testing.T) {
	dir, paths := occupied(t)
	r := openRoot(t, dir, archive)
	m := fileMeta(0o777)
	for _, p := range paths {
		for _, target := range []string{"anywhere", "bad\xff\n/../x"} {
			must(t, r.Symlink(p, target, m, nil))
			if got, err := r.Reader().Readlink(p); got != target || err != nil {
				t.Errorf("%s leads to %q, %v", p, got, err)
			}
			before := lstat(t, r, p)
			must(t, r.Symlink(p, target, m, nil))
			if after := lstat(t, r, p); after.Ino != before.Ino || after.Mtime != m.Mtime {
				t.Errorf("%s was made again: %+v", p, after)
			}
		}
	}
	if err := r.Symlink("dir", "x", m, nil); !errors.Is(err, apply.ErrIsDir) {
		t.Errorf("over a directory: %v", err)
	}
	names(t, dir)
}

func TestMknod(t *testing.T) {
	dir, paths := occupied(t)
	r := openRoot(t, dir, archive)
	for _, p := range paths {
		for _, kind := range []tree.Kind{tree.Socket, tree.Fifo} {
			m := fileMeta(0o640)
			m.Kind = kind
			must(t, r.Mknod(p, m, nil))
			before := lstat(t, r, p)
			if !sameMeta(before, m) {
				t.Errorf("%s is %+v", p, before)
			}
			must(t, r.Mknod(p, m, nil))
			if after := lstat(t, r, p); after.Ino != before.Ino {
				t.Errorf("%s was made again", p)
			}
		}
	}
	if err := r.Mknod("dir", tree.Meta{Kind: tree.Fifo}, nil); !errors.Is(err, apply.ErrIsDir) {
		t.Errorf("over a directory: %v", err)
	}
	names(t, dir)
}

func TestKindsThatAreNotWanted(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, apply.Options{})
	for call, err := range map[string]error{
		"symlink": r.Symlink("x", "y", tree.Meta{}, nil),
		"device":  r.Mknod("x", tree.Meta{Kind: tree.CharDevice}, nil),
		"fifo":    r.Mknod("x", tree.Meta{Kind: tree.Fifo}, nil),
		"socket":  r.Mknod("x", tree.Meta{Kind: tree.Socket}, nil),
		"file":    r.Mknod("x", tree.Meta{Kind: tree.File}, nil),
		"nothing": r.Mknod("x", tree.Meta{}, nil),
	} {
		if !errors.Is(err, apply.ErrRefused) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("names are %q", got)
	}
}

func TestLink(t *testing.T) {
	dir, paths := occupied(t)
	write(t, "content", dir, "original")
	r := openRoot(t, dir, archive)
	want := lstat(t, r, "original").Inode()
	for _, p := range append(paths, "dir/file") {
		for range 2 { // the second time it is linked already
			must(t, r.Link("original", p))
			if got := lstat(t, r, p); got.Inode() != want {
				t.Errorf("%s is another file", p)
			}
		}
	}
	if err := r.Link("original", "dir"); !errors.Is(err, apply.ErrIsDir) {
		t.Errorf("over a directory: %v", err)
	}
	if err := r.Link("missing", "file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	must(t, os.Symlink("/etc/hostname", filepath.Join(dir, "out")))
	must(t, r.Link("out", "out too"))
	if m := lstat(t, r, "out too"); m.Kind != tree.Symlink {
		t.Errorf("a link to a symlink is %+v", m)
	}
	names(t, dir)
}

func TestRename(t *testing.T) {
	dir, _ := occupied(t)
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	r := openRoot(t, dir, archive)
	for _, c := range []struct {
		name     string
		from, to tree.Path
		err      error
	}{
		{"a file over a file of another directory", "file", "dir/file", nil},
		{"a symlink over a fifo", "symlink", "fifo", nil},
		{"a file over a directory", "fifo", "empty", apply.ErrIsDir},
		{"a directory over an empty directory", "dir", "empty", nil},
		{"a directory to a new name", "empty", "dir", nil},
		{"a directory into itself", "dir", "dir/sub", syscall.EINVAL},
		{"to itself", "dir/file", "dir/file", nil},
		{"into a directory that is missing", "dir", "missing/dir", fs.ErrNotExist},
		{"what is missing", "missing", "new", fs.ErrNotExist},
		{"over its own parent", "dir/file", "dir", apply.ErrNotEmpty},
		{"a directory over a symlink", "dir", "symlink to dir", syscall.ENOTDIR},
	} {
		if err := r.Rename(c.from, c.to); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	must(t, os.MkdirAll(filepath.Join(dir, "full", "sub"), 0o755))
	if err := r.Rename("dir", "full"); !errors.Is(err, apply.ErrNotEmpty) {
		t.Errorf("over a directory with entries: %v", err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"dir", "fifo", "full", "symlink to dir"}) {
		t.Errorf("names are %q", got)
	}
	if read(t, dir, "dir", "file") != "old" {
		t.Error("the renamed file has other content")
	}
}

// Between two names of one file the kernel renames nothing.
func TestRenameBetweenLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, "x", dir, "a")
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	r := openRoot(t, dir, archive)
	must(t, r.Rename("a", "b"))
	if got := names(t, dir); !slices.Equal(got, []string{"b"}) {
		t.Errorf("names are %q", got)
	}
	must(t, r.Rename("b", "b"))
	if got := names(t, dir); !slices.Equal(got, []string{"b"}) {
		t.Errorf("names are %q", got)
	}
}

// What is replaced is shown to Keep while it still stands, and stays if Keep
// says no; nothing is shown where nothing stands.
func TestKeepComesBeforeWhatIsReplaced(t *testing.T) {
	refused := errors.New("no")
	other := t.TempDir()
	write(t, "new", other, "file")
	replace := map[string]func(r *apply.Root, p tree.Path) error{
		"copy": func(r *apply.Root, p tree.Path) error {
			src, err := os.Open(filepath.Join(other, "file"))
			must(t, err)
			defer src.Close()
			_, err = r.CopyFile(p, src, tree.Meta{Kind: tree.File, Perm: 0o600}, apply.Copy{Compare: true})
			return err
		},
		"symlink": func(r *apply.Root, p tree.Path) error { return r.Symlink(p, "elsewhere", tree.Meta{}, nil) },
		"mkdir":   func(r *apply.Root, p tree.Path) error { _, err := r.Mkdir(p, dirMeta(0o755), nil); return err },
		"link":    func(r *apply.Root, p tree.Path) error { return r.Link("dir/file", p) },
		"rename":  func(r *apply.Root, p tree.Path) error { return r.Rename("dir/file", p) },
	}
	for name, do := range replace {
		for _, p := range []tree.Path{"file", "symlink", "fifo", "new"} {
			for _, verdict := range []error{nil, refused} {
				dir, _ := occupied(t)
				var kept []tree.Path
				opts := archive
				opts.Keep = func(p tree.Path) error {
					kept = append(kept, p)
					return verdict
				}
				r := openRoot(t, dir, opts)
				before, missing := os.Lstat(filepath.Join(dir, string(p)))
				err := do(r, p)
				after, gone := os.Lstat(filepath.Join(dir, string(p)))
				switch {
				case missing != nil:
					if len(kept) > 0 || err != nil {
						t.Errorf("%s of %s, where nothing stood: kept %q, %v", name, p, kept, err)
					}
				case !slices.Equal(kept, []tree.Path{p}):
					t.Errorf("%s of %s: kept %q", name, p, kept)
				case verdict == nil && (err != nil || os.SameFile(before, after)):
					t.Errorf("%s of %s: not replaced, %v", name, p, err)
				case verdict != nil && (!errors.Is(err, refused) || gone != nil || !os.SameFile(before, after)):
					t.Errorf("%s of %s: replaced although it was not kept, %v, %v", name, p, err, gone)
				}
			}
		}
	}
}
