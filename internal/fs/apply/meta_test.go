package apply_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// eachKernel runs f with the calls of this kernel and with those of older ones.
func eachKernel(t *testing.T, f func(t *testing.T)) {
	t.Run("with this kernel", f)
	t.Run("with calls of older kernels", func(t *testing.T) {
		defer apply.OldKernel()()
		f(t)
	})
}

// makeObject makes an object of any kind.
func makeObject(t *testing.T, r *apply.Root, p tree.Path, m tree.Meta, xattrs []walk.Xattr) {
	t.Helper()
	var err error
	switch m.Kind {
	case tree.File:
		_, err = r.CopyFile(p, source(t, "content"), m, apply.Copy{Xattrs: xattrs})
	case tree.Dir:
		if _, err = r.Mkdir(p, m, xattrs); err == nil {
			err = r.SetMeta(p, m, xattrs)
		}
	case tree.Symlink:
		err = r.Symlink(p, "somewhere", m, xattrs)
	default:
		err = r.Mknod(p, m, xattrs)
	}
	must(t, err)
}

func sameMeta(got, want tree.Meta) bool {
	return got.Kind == want.Kind && (got.Perm == want.Perm || got.Kind == tree.Symlink) && got.UID == want.UID &&
		got.GID == want.GID && got.Mtime == want.Mtime && got.Major == want.Major && got.Minor == want.Minor
}

func TestMetadataRoundTrips(t *testing.T) {
	metas := []tree.Meta{
		{Kind: tree.File, Perm: 0o644, Mtime: tree.Time{Sec: 1700000000, Nsec: 123456789}},
		{Kind: tree.File, Perm: 0o000, Mtime: tree.Time{Sec: -1, Nsec: 999999998}},
		{Kind: tree.File, Perm: 0o6755, Mtime: tree.Time{Sec: 1}},
		{Kind: tree.Dir, Perm: 0o1777, Mtime: tree.Time{Sec: 1700000000, Nsec: 1}},
		{Kind: tree.Dir, Perm: 0o2510, Mtime: tree.Time{Sec: 5, Nsec: 5}},
		{Kind: tree.Symlink, Perm: 0o777, Mtime: tree.Time{Sec: 1600000000, Nsec: 42}},
		{Kind: tree.Fifo, Perm: 0o622, Mtime: tree.Time{Sec: 1600000000, Nsec: 43}},
		{Kind: tree.Socket, Perm: 0o700, Mtime: tree.Time{Sec: 1600000000, Nsec: 44}},
	}
	if os.Geteuid() == 0 {
		metas = append(metas,
			tree.Meta{Kind: tree.CharDevice, Perm: 0o666, Major: 1, Minor: 3, Mtime: tree.Time{Sec: 7}},
			tree.Meta{Kind: tree.BlockDevice, Perm: 0o660, Major: 259, Minor: 70000, Mtime: tree.Time{Sec: 8}})
	}
	eachKernel(t, func(t *testing.T) {
		dir := t.TempDir()
		r := openRoot(t, dir, archive)
		for i, m := range metas {
			m.UID, m.GID = uint32(os.Geteuid()), uint32(os.Getegid())
			if os.Geteuid() == 0 {
				m.UID, m.GID = 1234, 4321
			}
			name := tree.Path(string(rune('a' + i)))
			makeObject(t, r, name, m, nil)
			if got := lstat(t, r, name); !sameMeta(got, m) {
				t.Errorf("made %+v\n want %+v", got, m)
			}
			must(t, r.SetMeta(name, m, nil)) // nothing differs: nothing is done
			before := lstat(t, r, name)
			must(t, r.SetMeta(name, m, nil))
			if got := lstat(t, r, name); got.Ctime != before.Ctime {
				t.Errorf("%v was touched although nothing differs", m.Kind)
			}
			m.Mtime.Sec++
			m.Perm ^= 0o111
			m.UID, m.GID = uint32(os.Geteuid()), uint32(os.Getegid())
			must(t, r.SetMeta(name, m, nil))
			if got := lstat(t, r, name); !sameMeta(got, m) {
				t.Errorf("changed to %+v\n want %+v", got, m)
			}
			m.Mtime.Nsec++
			must(t, r.SetTimes(name, m.Mtime))
			if got := lstat(t, r, name); got.Mtime != m.Mtime {
				t.Errorf("time is %v, want %v", got.Mtime, m.Mtime)
			}
		}
		names(t, dir)
	})
}

func TestSetMetaOfAnotherKind(t *testing.T) {
	dir := t.TempDir()
	write(t, "x", dir, "target")
	must(t, os.Symlink("target", filepath.Join(dir, "link")))
	before := fingerprint(t, filepath.Join(dir, "target"))
	r := openRoot(t, dir, archive)
	if err := r.SetMeta("link", fileMeta(0o777), nil); !errors.Is(err, apply.ErrKind) {
		t.Errorf("SetMeta of a symlink as a file: %v", err)
	}
	link := fileMeta(0o777)
	link.Kind = tree.Symlink
	must(t, r.SetMeta("link", link, nil))
	must(t, r.SetTimes("link", tree.Time{Sec: 99}))
	if after := fingerprint(t, filepath.Join(dir, "target")); after != before {
		t.Errorf("the target was touched: %s", after)
	}
}

func TestOwnersAreSilentlyLeftToRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may")
	}
	r := openRoot(t, t.TempDir(), archive)
	m := fileMeta(0o644)
	m.UID, m.GID = 0, 0
	makeObject(t, r, "file", m, nil)
	must(t, r.SetMeta("file", m, nil))
	if got := lstat(t, r, "file"); got.UID != uint32(os.Geteuid()) || got.GID != uint32(os.Getegid()) {
		t.Errorf("meta is %+v", got)
	}
}

func TestOwnersOnlyWhenAskedFor(t *testing.T) {
	needRoot(t, "changes owners")
	for _, c := range []struct {
		name     string
		opts     apply.Options
		uid, gid uint32
	}{
		{"neither", apply.Options{}, 0, 0},
		{"the user alone", apply.Options{Owner: true}, 77, 0},
		{"the group alone", apply.Options{Group: true}, 0, 88},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openRoot(t, t.TempDir(), c.opts)
			m := fileMeta(0o644)
			m.UID, m.GID = 77, 88
			makeObject(t, r, "file", m, nil)
			if got := lstat(t, r, "file"); got.UID != c.uid || got.GID != c.gid {
				t.Errorf("%d:%d", got.UID, got.GID)
			}
		})
	}
}

// The setuid bit survives a change of owner, which makes the kernel drop it.
func TestSetuidAfterChown(t *testing.T) {
	needRoot(t, "changes owners")
	dir := t.TempDir()
	r := openRoot(t, dir, archive)
	m := fileMeta(0o4755)
	makeObject(t, r, "file", m, nil)
	m.UID = 1234
	must(t, r.SetMeta("file", m, nil))
	if got := lstat(t, r, "file"); !sameMeta(got, m) {
		t.Errorf("meta is %+v", got)
	}
}

func needXattrs(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Setxattr(dir, "user.probe", []byte("x"), 0); err != nil {
		t.Skipf("no user attributes on this file system: %v", err)
	}
	must(t, unix.Removexattr(dir, "user.probe"))
}

func TestXattrsRoundTrip(t *testing.T) {
	needXattrs(t, t.TempDir())
	eachKernel(t, func(t *testing.T) {
		dir := t.TempDir()
		r := openRoot(t, dir, everything)
		first := []walk.Xattr{{Name: "user.a", Value: []byte("1")}, {Name: "user.empty"}, {Name: "user.zero", Value: make([]byte, 1000)}}
		second := []walk.Xattr{{Name: "user.a", Value: []byte("2")}, {Name: "user.new", Value: []byte("\x00\xff")}}
		for name, m := range map[tree.Path]tree.Meta{"file": fileMeta(0o644), "dir": dirMeta(0o755)} {
			for _, want := range [][]walk.Xattr{first, second, nil} {
				makeObject(t, r, name, m, want)
				checkXattrs(t, r, name, want)
				must(t, r.SetMeta(name, m, first))
				checkXattrs(t, r, name, first)
			}
		}
		plain := openRoot(t, dir, archive)
		must(t, plain.SetMeta("dir", dirMeta(0o700), nil))
		checkXattrs(t, r, "dir", first)
	})
}

func TestXattrsOfSymlinks(t *testing.T) {
	needRoot(t, "symlinks have trusted attributes only")
	eachKernel(t, func(t *testing.T) {
		r := openRoot(t, t.TempDir(), everything)
		m := fileMeta(0o777)
		m.Kind = tree.Symlink
		want := []walk.Xattr{{Name: "trusted.mark", Value: []byte("1")}}
		err := r.Symlink("link", "target", m, want)
		if errors.Is(err, syscall.EOPNOTSUPP) {
			t.Skip("not on this file system")
		}
		must(t, err)
		checkXattrs(t, r, "link", want)
		must(t, r.SetMeta("link", m, nil))
		checkXattrs(t, r, "link", nil)
	})
}

func checkXattrs(t *testing.T, r *apply.Root, p tree.Path, want []walk.Xattr) {
	t.Helper()
	got, err := r.Reader().Xattrs(p)
	must(t, err)
	same := func(a, b walk.Xattr) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("attributes of %s are %.200q, want %.200q", p, got, want)
	}
}

// Content goes in place although an attribute can't be set.
func TestAttributesThatFail(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir, everything)
	bad := []walk.Xattr{{Name: "nonsense.name", Value: []byte("1")}}
	if os.Geteuid() != 0 {
		bad[0].Name = "user."
	}
	_, err := r.CopyFile("file", source(t, "content"), fileMeta(0o640), apply.Copy{Xattrs: bad})
	var attr *apply.AttrError
	if !errors.As(err, &attr) || len(attr.Errs) != 1 {
		t.Errorf("CopyFile: %v", err)
	}
	if read(t, dir, "file") != "content" || lstat(t, r, "file").Perm != 0o640 {
		t.Error("the file is not in place")
	}
	if _, err := r.Mkdir("dir", dirMeta(0o750), bad); !errors.As(err, &attr) {
		t.Errorf("Mkdir: %v", err)
	}
	if lstat(t, r, "dir").Perm != 0o750 {
		t.Error("the directory lacks its mode")
	}
}

// ACLs travel as attributes; the mode is right afterwards, and what a default
// ACL of the target's directory gives to a new file is taken off.
func TestACLsRoundTrip(t *testing.T) {
	setfacl, err := exec.LookPath("setfacl")
	if err != nil {
		t.Skip("setfacl is not installed")
	}
	from, to := t.TempDir(), t.TempDir()
	write(t, "plain", from, "plain")
	write(t, "shared", from, "shared")
	must(t, os.Mkdir(filepath.Join(from, "dir"), 0o750))
	for _, args := range [][]string{
		{"-m", "u:1234:rw,g:4321:r,m:rw", filepath.Join(from, "shared")},
		{"-m", "u:1234:rx,d:u:77:rwx", filepath.Join(from, "dir")},
		{"-m", "d:u:999:rwx", to},
	} {
		if out, err := exec.Command(setfacl, args...).CombinedOutput(); err != nil {
			t.Skipf("no ACLs on this file system: %s", out)
		}
	}
	eachKernel(t, func(t *testing.T) {
		source, err := walk.OpenRoot(from)
		must(t, err)
		defer source.Close()
		r := openRoot(t, to, everything)
		for _, p := range []tree.Path{"plain", "shared", "dir"} {
			m, err := source.Lstat(p)
			must(t, err)
			attrs, err := source.Xattrs(p)
			must(t, err)
			if want := map[tree.Path]int{"plain": 0, "shared": 1, "dir": 2}[p]; len(attrs) != want {
				t.Errorf("the source of %s has %q", p, attrs)
			}
			makeObject(t, r, p, m, attrs)
			checkXattrs(t, r, p, attrs)
			if got := lstat(t, r, p); !sameMeta(got, m) {
				t.Errorf("%s is %+v, want %+v", p, got, m)
			}
		}
		m, err := source.Lstat("shared")
		must(t, err)
		m.Perm = 0o600
		must(t, r.SetMeta("shared", m, nil))
		checkXattrs(t, r, "shared", nil)
		if got := lstat(t, r, "shared"); got.Perm != 0o600 {
			t.Errorf("mode after the ACL is gone: %o", got.Perm)
		}
	})
}
