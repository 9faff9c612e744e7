package walk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
)

// operatorTree makes a directory with symlinks of ours, and as root some of
// another user: "theirs" and "dir/theirs" lead to "dir".
func operatorTree(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(top, "dir/sub"), 0o755))
	must(os.WriteFile(filepath.Join(top, "dir/sub/f"), []byte("found"), 0o644))
	must(os.WriteFile(filepath.Join(top, "out"), []byte("found"), 0o644))
	must(os.Symlink("dir", filepath.Join(top, "ours")))
	must(os.Symlink(filepath.Join(top, "dir"), filepath.Join(top, "abs")))
	must(os.Symlink("../ours/sub", filepath.Join(top, "dir/loopy")))
	must(os.Symlink("self", filepath.Join(top, "self")))
	must(os.Symlink("dir/made", filepath.Join(top, "dangling")))
	must(os.Symlink("../out", filepath.Join(top, "dir/out")))
	must(os.Symlink("dir", filepath.Join(top, "theirs")))
	must(os.Symlink("theirs", filepath.Join(top, "indirect")))
	if os.Geteuid() == 0 {
		must(os.Lchown(filepath.Join(top, "theirs"), 65534, 65534))
	}
	return top
}

func TestOperatorNames(t *testing.T) {
	top := operatorTree(t)
	base, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	for _, c := range []struct {
		name, path string
		flags      int
		want       error
		root       bool // the refusal needs links of another user
	}{
		{"a plain name", "dir/sub/f", unix.O_RDONLY, nil, false},
		{"a name with dots", "dir/../dir/./sub//f", unix.O_RDONLY, nil, false},
		{"through our own link", "ours/sub/f", unix.O_RDONLY, nil, false},
		{"through an absolute link", "abs/sub/f", unix.O_RDONLY, nil, false},
		{"through several links", "dir/loopy/f", unix.O_RDONLY, nil, false},
		{"an absolute name", top + "/ours/sub/f", unix.O_RDONLY, nil, false},
		{"a directory through a link", "ours", unix.O_PATH | unix.O_DIRECTORY, nil, false},
		{"the same with a slash", "ours/", unix.O_PATH | unix.O_DIRECTORY, nil, false},
		{"a file with a slash", "dir/sub/f/", unix.O_RDONLY, syscall.ENOTDIR, false},
		{"a directory as a file", "ours/", unix.O_RDONLY, syscall.EISDIR, false},
		{"a new file with a slash", "dir/sub/none/", unix.O_WRONLY | unix.O_CREAT, syscall.ENOENT, false},
		{"below a file", "dir/sub/f/x", unix.O_RDONLY, syscall.ENOTDIR, false},
		{"a link that is not to be followed", "ours", unix.O_RDONLY | unix.O_NOFOLLOW, syscall.ELOOP, false},
		{"nothing", "ours/none", unix.O_RDONLY, syscall.ENOENT, false},
		{"an empty name", "", unix.O_RDONLY, syscall.ENOENT, false},
		{"a link to itself", "self", unix.O_RDONLY, syscall.ELOOP, false},
		{"a new file", "ours/new", unix.O_WRONLY | unix.O_CREAT, nil, false},
		{"a new file through a dangling link", "dangling", unix.O_WRONLY | unix.O_CREAT, nil, false},
		{"the link of another user", "theirs/sub/f", unix.O_RDONLY, walk.UntrustedLink{}, true},
		{"the link of another user at the end", "theirs", unix.O_PATH | unix.O_DIRECTORY, walk.UntrustedLink{}, true},
		{"the link of another user behind ours", "indirect/sub/f", unix.O_RDONLY, walk.UntrustedLink{}, true},
		{"a new file behind it", "theirs/new", unix.O_WRONLY | unix.O_CREAT, walk.UntrustedLink{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("only root can make links of others")
			}
			f, err := walk.Operator{Base: base}.Open(c.path, c.flags, 0o644)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err == nil {
				_ = f.Close()
			}
			if f, err := (walk.Operator{Base: base, Insecure: true}).Open(c.path, c.flags, 0o644); c.root && err != nil {
				t.Errorf("insecurely: %v", err)
			} else if err == nil {
				_ = f.Close()
			}
		})
	}
}

func TestConfinedOperatorNames(t *testing.T) {
	top := operatorTree(t)
	base, err := os.Open(filepath.Join(top, "dir"))
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	o := walk.Operator{Base: base, Confine: filepath.Join(top, "dir")}
	for _, c := range []struct {
		name, path string
		flags      int
		want       error
	}{
		{"inside", "sub/f", unix.O_RDONLY, nil},
		{"inside by way of outside", "../dir/sub/f", unix.O_RDONLY, nil},
		{"the directory itself", ".", unix.O_PATH | unix.O_DIRECTORY, nil},
		{"outside", "../out", unix.O_RDONLY, syscall.EXDEV},
		{"outside through our own link", "out", unix.O_RDONLY, syscall.EXDEV},
		{"outside and cut", "out", unix.O_WRONLY | unix.O_TRUNC, syscall.EXDEV},
		{"a new one inside", "sub/new", unix.O_WRONLY | unix.O_CREAT, nil},
		{"a new one outside", "../new", unix.O_WRONLY | unix.O_CREAT, syscall.EXDEV},
		{"one that is there already", "sub/f", unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL, syscall.EEXIST},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := o.Open(c.path, c.flags, 0o644)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err == nil {
				_ = f.Close()
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(top, "new")); err == nil {
		t.Error("a file was made outside")
	}
	if content, err := os.ReadFile(filepath.Join(top, "out")); err != nil || string(content) != "found" {
		t.Errorf("outside there is %q, %v", content, err)
	}
	f, err := o.Open("sub/f", unix.O_RDWR|unix.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if content, err := io.ReadAll(f); err != nil || len(content) != 0 {
		t.Errorf("after O_TRUNC there is %q, %v", content, err)
	}
}

func TestLinksInsideAreFollowed(t *testing.T) {
	top := operatorTree(t)
	for _, stepwise := range []bool{false, true} {
		dir, err := os.Open(top)
		if err != nil {
			t.Fatal(err)
		}
		r, err := walk.NewRoot(dir, walk.LinksInside)
		_ = dir.Close()
		if err != nil {
			t.Fatal(err)
		}
		if stepwise {
			r.Stepwise()
		}
		if _, err := r.Lstat("ours/sub/f"); err != nil {
			t.Errorf("stepwise %v: %v", stepwise, err)
		}
		if _, err := r.Lstat("abs/sub/f"); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("stepwise %v: an absolute link gives %v", stepwise, err)
		}
		sub, err := r.Sub("ours", walk.NoLinks)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sub.Lstat("sub/f"); err != nil {
			t.Error(err)
		}
		if _, err := sub.Lstat("loopy/f"); err == nil {
			t.Error("a link was followed")
		}
		again, err := sub.Again()
		if err != nil {
			t.Fatal(err)
		}
		_ = sub.Close()
		if _, err := again.Lstat("sub/f"); err != nil {
			t.Error(err)
		}
		names, err := r.Names("dir", nil)
		if err != nil || len(names) != 3 {
			t.Errorf("the names are %v, %v", names, err)
		}
		for _, n := range names {
			if n.IsDir() != (n.Name == "sub") {
				t.Errorf("%+v", n)
			}
		}
		_ = again.Close()
		_ = r.Close()
	}
}

func TestOperatorReadsRegularFiles(t *testing.T) {
	top := operatorTree(t)
	base, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	if err := unix.Mkfifo(filepath.Join(top, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := walk.Operator{Base: base}
	if data, err := o.ReadFile("ours/sub/f", 5); err != nil || string(data) != "found" {
		t.Errorf("it has %q, %v", data, err)
	}
	for _, name := range []string{"none", "dir", "fifo", "self", "out/f"} {
		if _, err := o.ReadFile(name, 5); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.ReadFile("out", 4); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is too large gives %v", err)
	}
	if _, err := o.ReadFile("theirs/sub/f", 5); os.Geteuid() == 0 && !errors.Is(err, walk.UntrustedLink{}) {
		t.Errorf("the link of another user gives %v", err)
	}
}

// TestOperatorOpensWhatIsOpen opens pipes and directories by the names that a shell
// has for its <(command) and for descriptors.
func TestOperatorOpensWhatIsOpen(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("rules"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	f, err := walk.Operator{}.Open(fmt.Sprintf("/dev/fd/%d", r.Fd()), os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "rules" {
		t.Errorf("%q, %v", text, err)
	}
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	made, err := walk.Operator{}.Open(fmt.Sprintf("/proc/self/fd/%d/new", dir.Fd()), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	if _, err := os.Stat(filepath.Join(dir.Name(), "new")); err != nil {
		t.Error(err)
	}
	if f, err := (walk.Operator{}).Open(fmt.Sprintf("/proc/self/fd/%d/", made.Fd()), os.O_RDONLY, 0); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file with a slash behind it: %v, %v", f, err)
	}
}
