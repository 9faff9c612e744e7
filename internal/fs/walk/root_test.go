package walk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

func openRoot(t *testing.T, dir string) *walk.Root {
	t.Helper()
	r, err := walk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eachResolver runs f with openat2 and without.
func eachResolver(t *testing.T, dir string, f func(t *testing.T, r *walk.Root)) {
	t.Run("with openat2", func(t *testing.T) { f(t, openRoot(t, dir)) })
	t.Run("component by component", func(t *testing.T) {
		r := openRoot(t, dir)
		r.Stepwise()
		f(t, r)
	})
}

func TestLstatTellsKindsApart(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("hello"), 0o640))
	must(t, os.Chmod(filepath.Join(dir, "file"), 0o640|os.ModeSetuid))
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dir", "link")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	at := unix.Timespec{Sec: -5, Nsec: 123456789}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, "file"), []unix.Timespec{at, at}, 0))

	eachResolver(t, dir, func(t *testing.T, r *walk.Root) {
		for path, want := range map[tree.Path]tree.Kind{
			tree.Root: tree.Dir, "file": tree.File, "dir": tree.Dir, "dir/link": tree.Symlink,
			"fifo": tree.Fifo, "socket": tree.Socket,
		} {
			m, err := r.Lstat(path)
			if err != nil || m.Kind != want {
				t.Errorf("Lstat(%s) is a %v, %v; want a %v", path, m.Kind, err, want)
			}
		}
		m, err := r.Lstat("file")
		must(t, err)
		if m.Perm != 0o4640 || m.Size != 5 || m.Mtime != (tree.Time{Sec: -5, Nsec: 123456789}) || m.Nlink != 1 {
			t.Errorf("Lstat(file) = %+v", m)
		}
		if m.UID != uint32(os.Getuid()) || m.Dev != r.Inode().Dev {
			t.Errorf("Lstat(file) = %+v", m)
		}
		if target, err := r.Readlink("dir/link"); target != "nowhere" || err != nil {
			t.Errorf("Readlink = %q, %v", target, err)
		}
		if _, err := r.Readlink("file"); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Readlink of a file: %v", err)
		}
	})
}

func TestDevicesKeepTheirNumbers(t *testing.T) {
	m, err := openRoot(t, "/dev").Lstat("null")
	if err != nil || m.Kind != tree.CharDevice || m.Major != 1 || m.Minor != 3 {
		t.Errorf("Lstat(null) = %+v, %v", m, err)
	}
}

func TestNothingOutsideIsReached(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644))
	dir := t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(dir, "out")))
	must(t, os.Symlink("..", filepath.Join(dir, "up")))
	must(t, os.Symlink(".", filepath.Join(dir, "self")))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))

	eachResolver(t, dir, func(t *testing.T, r *walk.Root) {
		for _, p := range []tree.Path{"out/secret", "up/x", "self/file", "file/x", "missing", "missing/x"} {
			if _, err := r.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Lstat(%s): %v, want not exist", p, err)
			}
			if _, err := r.Open(p); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Open(%s): %v, want not exist", p, err)
			}
			if _, err := r.Dir(p); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Dir(%s): %v, want not exist", p, err)
			}
		}
		for _, p := range []tree.Path{"..", "../x", "a/../b", "/etc/passwd", "a//b", "./a", "a/.", "a/", "nul\x00"} {
			if _, err := r.Lstat(p); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("Lstat(%q): %v, want EINVAL", string(p), err)
			}
			if _, err := r.ReadDir(p); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("ReadDir(%q): %v, want EINVAL", string(p), err)
			}
		}
		for _, p := range []tree.Path{"out", "up", "file"} {
			if _, err := r.ReadDir(p); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("ReadDir(%s): %v, want not exist", p, err)
			}
		}
	})
}

func TestOpenRefusesAllButRegularFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	r := openRoot(t, dir)
	for _, p := range []tree.Path{"link", "fifo", "socket", "sub", tree.Root} {
		if _, err := r.Open(p); !errors.Is(err, walk.ErrNotRegular) {
			t.Errorf("Open(%s): %v", p, err)
		}
	}
	f, err := r.Open("file")
	must(t, err)
	defer f.Close()
	if b, err := io.ReadAll(f); string(b) != "content" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if m, err := walk.StatFile(f); err != nil || m.Size != 7 || m.Kind != tree.File {
		t.Errorf("StatFile = %+v, %v", m, err)
	}
}

func TestHandlesOutliveClose(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	r := openRoot(t, dir)
	d, err := r.Dir("a")
	must(t, err)
	_, err = d.Acquire()
	must(t, err)
	must(t, r.Close())
	must(t, d.Close())
	if _, err := r.Lstat("a"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Lstat on a closed Root: %v", err)
	}
	if _, err := d.Lstat("b"); err != nil {
		t.Errorf("Lstat on a closed Dir that is still in use: %v", err)
	}
	if err := d.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	d.Release()
	if _, err := d.Lstat("b"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Lstat on a closed Dir: %v", err)
	}
}

func TestDirServesSiblings(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("12"), 0o644))
	must(t, os.Symlink("file", filepath.Join(dir, "sub", "link")))
	d, err := openRoot(t, dir).Dir("sub")
	must(t, err)
	defer d.Close()
	must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "moved")))
	if m, err := d.Lstat("file"); err != nil || m.Size != 2 {
		t.Errorf("Lstat = %+v, %v", m, err)
	}
	if s, err := d.Readlink("link"); s != "file" || err != nil {
		t.Errorf("Readlink = %q, %v", s, err)
	}
	f, err := d.Open("file")
	must(t, err)
	_ = f.Close()
	if entries, err := d.ReadDir(); len(entries) != 2 || err != nil {
		t.Errorf("ReadDir = %v, %v", entries, err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../sub"} {
		if _, err := d.Lstat(name); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Lstat(%q): %v", name, err)
		}
	}
}

func TestErrorsNameThePathSafely(t *testing.T) {
	_, err := openRoot(t, t.TempDir()).Lstat("evil\x1b[31m\nname")
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || !strings.Contains(err.Error(), "evil") {
		t.Errorf("error is %q", err)
	}
}

func TestXattrsOfFilesAndLinks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	big := strings.Repeat("v", 3000)
	if err := unix.Setxattr(file, "user.big", []byte(big), 0); err != nil {
		t.Skipf("no user attributes on this file system: %v", err)
	}
	must(t, unix.Setxattr(file, "user.a", nil, 0))
	check := func(t *testing.T) {
		r := openRoot(t, dir)
		got, err := r.Xattrs("file")
		must(t, err)
		if len(got) != 2 || got[0].Name != "user.a" || len(got[0].Value) != 0 || string(got[1].Value) != big {
			t.Errorf("Xattrs = %.80v", got)
		}
		if got, err := r.Xattrs("link"); len(got) != 0 || err != nil {
			t.Errorf("Xattrs of a link = %v, %v", got, err)
		}
		if got, err := r.Xattrs(tree.Root); len(got) != 0 || err != nil {
			t.Errorf("Xattrs of the root = %v, %v", got, err)
		}
		if _, err := r.Xattrs("missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Xattrs of nothing: %v", err)
		}
	}
	t.Run("with this kernel", check)
	t.Run("without listxattrat", func(t *testing.T) {
		defer walk.OldKernel()()
		check(t)
	})
}

func TestBusyWhileOpenForWriting(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	r := openRoot(t, dir)
	busy := func() bool {
		t.Helper()
		b, err := r.Busy("file")
		must(t, err)
		return b
	}
	if busy() {
		t.Error("a file at rest is busy")
	}
	f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_WRONLY, 0)
	must(t, err)
	if !busy() {
		t.Error("a file open for writing is not busy")
	}
	must(t, f.Close())
	if busy() {
		t.Error("a closed file is busy")
	}
	if _, err := r.Busy("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Busy(missing): %v", err)
	}
}
