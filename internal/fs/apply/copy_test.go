package apply_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

// eachWay runs f with every way of making files.
func eachWay(t *testing.T, f func(t *testing.T, r *apply.Root, dir string)) {
	for name, prepare := range map[string]func(*apply.Root){
		"unnamed files":                func(*apply.Root) {},
		"unnamed files linked by proc": (*apply.Root).LinkByProc,
		"named temporaries":            (*apply.Root).WithoutUnnamed,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := openRoot(t, dir, archive)
			prepare(r)
			f(t, r, dir)
		})
	}
}

func TestCopyNewAndReplaced(t *testing.T) {
	eachWay(t, func(t *testing.T, r *apply.Root, dir string) {
		for _, size := range []int{0, 1, 4096, 300 << 10, apply.UnnamedFrom, apply.KernelFrom + 12345} {
			content := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			done, err := r.CopyFile("file", source(t, content), fileMeta(0o640), apply.Copy{})
			must(t, err)
			if read(t, dir, "file") != content || done.Same || done.Changed || !done.Cloned && done.Bytes != int64(size) {
				t.Errorf("%d bytes: %+v", size, done)
			}
			if m := lstat(t, r, "file"); m.Perm != 0o640 || m.Mtime != fileMeta(0).Mtime {
				t.Errorf("%d bytes: %+v", size, m)
			}
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("names are %q", got)
		}
	})
}

func TestCopyReplacesEveryKindButDirectories(t *testing.T) {
	eachWay(t, func(t *testing.T, r *apply.Root, dir string) {
		outside := filepath.Join(t.TempDir(), "outside")
		write(t, "outside", outside)
		for name, make := range map[string]func(path string) error{
			"file":    func(p string) error { return os.WriteFile(p, []byte("old"), 0o600) },
			"symlink": func(p string) error { return os.Symlink(outside, p) },
			"fifo":    func(p string) error { return unix.Mkfifo(p, 0o600) },
			"socket":  func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) },
		} {
			must(t, make(filepath.Join(dir, name)))
			_, err := r.CopyFile(tree.Path(name), source(t, "new"), fileMeta(0o644), apply.Copy{Compare: true})
			must(t, err)
			if m := lstat(t, r, tree.Path(name)); m.Kind != tree.File || read(t, dir, name) != "new" {
				t.Errorf("%s became %+v", name, m)
			}
		}
		if read(t, outside) != "outside" {
			t.Error("the symlink was followed")
		}
		must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
		if _, err := r.CopyFile("dir", source(t, "new"), fileMeta(0o644), apply.Copy{}); !errors.Is(err, apply.ErrIsDir) {
			t.Errorf("over a directory: %v", err)
		}
		if got := names(t, dir); len(got) != 5 {
			t.Errorf("names are %q", got)
		}
	})
}

// Other names of the old file keep the old content.
func TestReplacingLeavesOtherLinksAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, "old", dir, "a")
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	r := openRoot(t, dir, archive)
	_, err := r.CopyFile("a", source(t, "new"), fileMeta(0o644), apply.Copy{})
	must(t, err)
	if read(t, dir, "a") != "new" || read(t, dir, "b") != "old" {
		t.Errorf("a is %q, b is %q", read(t, dir, "a"), read(t, dir, "b"))
	}
}

func TestCompareKeepsEqualFiles(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, archive)
	long := strings.Repeat("x", 600<<10)
	for _, c := range []struct {
		name, old, new string
		same           bool
	}{
		{"equal content", long, long, true},
		{"both empty", "", "", true},
		{"a difference in the first byte", "a" + long, "b" + long, false},
		{"a difference in the last byte", long + "a", long + "b", false},
		{"another length", long, long + "x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, c.old, dir, "file")
			before := lstat(t, r, "file")
			done, err := r.CopyFile("file", source(t, c.new), fileMeta(0o600), apply.Copy{Compare: true})
			must(t, err)
			after := lstat(t, r, "file")
			if done.Same != c.same || (before.Ino == after.Ino) != c.same || read(t, dir, "file") != c.new {
				t.Errorf("Same is %v, inode %d became %d", done.Same, before.Ino, after.Ino)
			}
			if after.Perm != 0o600 || after.Mtime != fileMeta(0).Mtime {
				t.Errorf("meta is %+v", after)
			}
		})
	}
}

func TestHolesStayHoles(t *testing.T) {
	for _, size := range []int64{512 << 10, 8 << 20} {
		for _, c := range []struct {
			name string
			data map[int64]string
		}{
			{"nothing but a hole", nil},
			{"a hole at the start and the end", map[int64]string{size / 2: "middle"}},
			{"a hole in the middle", map[int64]string{0: "start", size - 3: "end"}},
		} {
			t.Run(fmt.Sprintf("%d bytes, %s", size, c.name), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "sparse")
				makeSparse(t, path, size, c.data)
				if usage(t, path) > size/2 {
					t.Skip("this file system has no holes")
				}
				dir := t.TempDir()
				r := openRoot(t, dir, archive)
				_, err := r.CopyFile("copy", openFile(t, path), fileMeta(0o644), apply.Copy{})
				must(t, err)
				if !bytes.Equal([]byte(read(t, path)), []byte(read(t, dir, "copy"))) {
					t.Error("the content differs")
				}
				if n := usage(t, filepath.Join(dir, "copy")); n > size/2 {
					t.Errorf("the copy takes %d bytes", n)
				}
			})
		}
	}
}

func makeSparse(t *testing.T, path string, size int64, data map[int64]string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
	for off, s := range data {
		_, err := f.WriteAt([]byte(s), off)
		must(t, err)
	}
}

// usage is how many bytes a file takes on disk.
func usage(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Blocks * 512
}

func TestChangeWhileCopying(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "source")
	write(t, strings.Repeat("x", 8<<20), path)
	must(t, os.Mkdir(filepath.Join(dir, "target"), 0o755))
	write(t, "old", dir, "target", "file")
	r := openRoot(t, filepath.Join(dir, "target"), archive)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = f.WriteAt([]byte("yz"), 4<<20)
			}
		}
	}()
	changed := 0
	for range 200 {
		_, err := r.CopyFile("file", openFile(t, path), fileMeta(0o644), apply.Copy{})
		if err == nil {
			continue // both looks fell into the same tick of the clock
		}
		if !errors.Is(err, apply.ErrSourceChanged) || read(t, dir, "target", "file") == "" {
			t.Fatalf("CopyFile: %v", err)
		}
		changed++
		done, err := r.CopyFile("file", openFile(t, path), fileMeta(0o644), apply.Copy{Torn: true})
		must(t, err)
		if done.Changed && changed > 3 {
			break
		}
	}
	close(stop)
	<-stopped
	if changed == 0 {
		t.Error("no change was noticed")
	}
	if got := names(t, dir, "target"); len(got) != 1 {
		t.Errorf("names are %q", got)
	}
}

// A reader finds the whole old file or the whole new one, with its mode.
func TestReadersSeeWholeFiles(t *testing.T) {
	eachWay(t, func(t *testing.T, r *apply.Root, dir string) {
		sources := []*os.File{source(t, strings.Repeat("a", 100000)), source(t, strings.Repeat("b", 100000))}
		_, err := r.CopyFile("file", sources[0], fileMeta(0o640), apply.Copy{})
		must(t, err)
		stop, bad := make(chan struct{}), make(chan string, 1)
		go func() {
			defer close(bad)
			for {
				select {
				case <-stop:
					return
				default:
				}
				f, err := os.Open(filepath.Join(dir, "file"))
				if err != nil {
					bad <- err.Error()
					return
				}
				b := make([]byte, 200000)
				n, _ := f.Read(b)
				info, _ := f.Stat()
				_ = f.Close()
				if n != 100000 || b[0] != b[n-1] || info.Mode() != 0o640 || info.ModTime().Unix() != fileMeta(0).Mtime.Sec {
					bad <- info.Mode().String()
					return
				}
			}
		}()
		for i := range 100 {
			_, err := r.CopyFile("file", sources[i%2], fileMeta(0o640), apply.Copy{})
			must(t, err)
		}
		close(stop)
		if s, ok := <-bad; ok {
			t.Errorf("a reader saw something else: %s", s)
		}
	})
}

func TestSyncedFiles(t *testing.T) {
	dir := t.TempDir()
	opts := archive
	opts.Sync = true
	r := openRoot(t, dir, opts)
	for range 2 {
		_, err := r.CopyFile("file", source(t, "content"), fileMeta(0o644), apply.Copy{})
		must(t, err)
	}
	if read(t, dir, "file") != "content" {
		t.Error("the content differs")
	}
}

// Without Options.Perms a new file has the mode that the process gives, and
// one that is replaced keeps its own.
func TestModeWithoutPerms(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, apply.Options{})
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	_, err := r.CopyFile("new", source(t, "x"), fileMeta(0o4777), apply.Copy{})
	must(t, err)
	if m := lstat(t, r, "new"); m.Perm != 0o750 {
		t.Errorf("the new file has mode %o", m.Perm)
	}
	must(t, os.Chmod(filepath.Join(dir, "new"), 0o606))
	_, err = r.CopyFile("new", source(t, "y"), fileMeta(0o777), apply.Copy{})
	must(t, err)
	if m := lstat(t, r, "new"); m.Perm != 0o606 {
		t.Errorf("the replaced file has mode %o", m.Perm)
	}
	_, err = r.Mkdir("dir", dirMeta(0o777), nil)
	must(t, err)
	if m := lstat(t, r, "dir"); m.Perm != 0o750 {
		t.Errorf("the directory has mode %o", m.Perm)
	}
}

func TestOddNames(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, archive)
	for _, name := range []string{
		"new\nline", "bad\xff\xfeutf8", strings.Repeat("n", 255), strings.Repeat("ü", 127), "...", ".hidden", "-rf", " ", "*",
		".a.lockstep-aaaaaaaa",
	} {
		p := tree.Path(name)
		for range 2 {
			_, err := r.CopyFile(p, source(t, name), fileMeta(0o644), apply.Copy{})
			must(t, err)
		}
		if read(t, dir, name) != name {
			t.Errorf("%q has other content", name)
		}
		must(t, r.Symlink(p, name, tree.Meta{}, nil))
		must(t, r.Remove(p))
		if _, err := r.Mkdir(p, dirMeta(0o755), nil); err != nil {
			t.Errorf("Mkdir(%q): %v", name, err)
		}
	}
	if _, err := r.CopyFile(tree.Path(strings.Repeat("n", 256)), source(t, ""), fileMeta(0o644), apply.Copy{}); err == nil {
		t.Error("a name of 256 bytes was made")
	}
}

func TestDeepPaths(t *testing.T) {
	r := openRoot(t, t.TempDir(), archive)
	var p tree.Path
	for len(p) < 4095-250 {
		p = p.Join(strings.Repeat("d", 200))
		_, err := r.Mkdir(p, dirMeta(0o755), nil)
		must(t, err)
	}
	p = p.Join(strings.Repeat("f", 4094-len(p)))
	for range 2 {
		_, err := r.CopyFile(p, source(t, "deep"), fileMeta(0o644), apply.Copy{})
		must(t, err)
	}
	if m := lstat(t, r, p); m.Size != 4 || len(p) != 4095 {
		t.Errorf("%d bytes of path, meta %+v", len(p), m)
	}
	_, err := r.RemoveAll(tree.Path(strings.Repeat("d", 200)), nil)
	must(t, err)
	if _, err := r.Reader().Lstat(p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after RemoveAll: %v", err)
	}
}
