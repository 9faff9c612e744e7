package walk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// plantLinks is a module with symlinks of all sorts, and something outside of it.
func plantLinks(t *testing.T) (module, outside string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	module, outside = filepath.Join(dir, "mod"), filepath.Join(dir, "out")
	for _, path := range []string{"mod/in/sub/f", "mod/real/r", "out/secret"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, path), []byte(path), 0o644))
	}
	for link, target := range map[string]string{
		"in/beside": "../real", "in/out": "../../out", "in/abs": outside, "in/absin": filepath.Join(module, "real"), "in/file": "../real/r",
		"in/absfile": filepath.Join(outside, "secret"), "in/dangling": "nothing", "in/loop": "loop", "in/deep": "sub/../sub", "top": "in",
	} {
		must(t, os.Symlink(target, filepath.Join(module, link)))
	}
	return module, outside
}

// eachPlace runs f with openat2 and without.
func eachPlace(t *testing.T, open func(string) (*walk.Place, error), dir string, f func(t *testing.T, p *walk.Place)) {
	for _, stepwise := range []bool{false, true} {
		name := "with openat2"
		if stepwise {
			name = "component by component"
		}
		t.Run(name, func(t *testing.T) {
			p, err := open(dir)
			must(t, err)
			defer p.Close()
			if stepwise {
				p.Stepwise()
			}
			f(t, p)
		})
	}
}

func TestAModuleIsNotLeft(t *testing.T) {
	module, _ := plantLinks(t)
	eachPlace(t, walk.OpenModule, module, func(t *testing.T, p *walk.Place) {
		for dir, want := range map[string]error{
			"": nil, "in": nil, "in/sub": nil, "in/beside": nil, "in/deep": nil, "top/sub": nil, "top/beside/../in": nil, "in/./sub/": nil, "real/..": nil,
			"in/out": syscall.ELOOP, "in/abs": syscall.ELOOP, "in/absin": syscall.ELOOP, "..": syscall.ELOOP, "in/../../out": syscall.ELOOP,
			"/": syscall.ELOOP, "in/loop": syscall.ELOOP, "in/file": syscall.ENOTDIR, "in/dangling": syscall.ENOENT, "nothing": syscall.ENOENT,
		} {
			r, err := p.Root(dir)
			if !errors.Is(err, want) && !(want == nil && err == nil) {
				t.Errorf("%q: %v, want %v", dir, err, want)
			}
			if err == nil {
				r.Close()
			}
		}
	})
}

// A process that changed its root to a module sees absolute symlinks as those who
// made them.
func TestAbsoluteSymlinksLeadToTheRootOfTheProcess(t *testing.T) {
	module, outside := plantLinks(t)
	p, err := walk.OpenModule("/")
	must(t, err)
	defer p.Close()
	for _, name := range []string{"in/abs", "../../../../../../../../" + outside, "in/out"} {
		root, err := p.Root(module + "/" + name)
		must(t, err)
		if m, err := root.Lstat("secret"); err != nil || m.Kind != tree.File {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		root.Close()
	}
	root, err := p.Root(module[1:])
	must(t, err)
	defer root.Close()
	dir, err := root.DirFollowing("in/absin")
	must(t, err)
	defer dir.Close()
	if m, err := dir.StatFollowing("r"); err != nil || m.Kind != tree.File {
		t.Errorf("behind an absolute symlink: %+v, %v", m, err)
	}
	if _, err := p.Root("proc/self/cwd"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a symlink of the kernel's: %v", err)
	}
}

func TestAWorkingDirectoryLeadsAnywhere(t *testing.T) {
	module, outside := plantLinks(t)
	eachPlace(t, walk.OpenPlace, module, func(t *testing.T, p *walk.Place) {
		for _, dir := range []string{"", ".", "in/out", "in/abs", "../out", outside, "/"} {
			r, err := p.Root(dir)
			if err != nil {
				t.Errorf("%q: %v", dir, err)
				continue
			}
			r.Close()
		}
		if p.Confined() {
			t.Error("a working directory is confined")
		}
	})
}

func TestFollowingStaysInTheModule(t *testing.T) {
	module, _ := plantLinks(t)
	eachPlace(t, walk.OpenModule, module, func(t *testing.T, p *walk.Place) {
		root, err := p.Root("in")
		must(t, err)
		defer root.Close()
		dir, err := root.Dir(tree.Root)
		must(t, err)
		defer dir.Close()
		for name, want := range map[string]tree.Kind{
			"beside": tree.Dir, "file": tree.File, "deep": tree.Dir, "sub": tree.Dir,
			"out": tree.Missing, "abs": tree.Missing, "absfile": tree.Missing, "absin": tree.Missing, "dangling": tree.Missing, "loop": tree.Missing,
		} {
			m, err := dir.StatFollowing(name)
			if m.Kind != want || (err == nil) != m.Exists() {
				t.Errorf("%s is a %v, %v; want a %v", name, m.Kind, err, want)
			}
			fd, err := dir.OpenFollowing(name)
			if (err == nil) != (want != tree.Missing) {
				t.Errorf("open %s: %v", name, err)
			}
			if err == nil {
				unix.Close(fd)
			}
		}
		below, err := root.DirFollowing("beside")
		must(t, err)
		defer below.Close()
		if m, err := below.Lstat("r"); err != nil || m.Kind != tree.File {
			t.Errorf("behind a symlink: %+v, %v", m, err)
		}
		if _, err := root.DirFollowing("abs"); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("a directory outside: %v", err)
		}
		if _, err := root.Dir("beside"); err == nil {
			t.Error("a symlink was followed without being asked to")
		}
		if _, err := root.DirFollowing("../real"); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("dots: %v", err)
		}
	})
}

func TestASymlinkLeadsDeeperAtMost(t *testing.T) {
	module, _ := plantLinks(t)
	eachPlace(t, walk.OpenPlace, module, func(t *testing.T, p *walk.Place) {
		root, err := p.Root("")
		must(t, err)
		defer root.Close()
		for path, want := range map[tree.Path]error{
			"": nil, "in": nil, "top": nil, "top/sub": nil, "in/deep": nil, "top/deep": nil,
			"in/beside": syscall.ELOOP, "in/out": syscall.ELOOP, "in/abs": syscall.ELOOP, "in/nothing": syscall.ENOENT,
		} {
			d, err := root.DirInside(path)
			if want == nil && err != nil || !errors.Is(err, want) && want != nil {
				t.Errorf("%s: %v, want %v", path, err, want)
			}
			if err != nil {
				continue
			}
			own, err := d.Root()
			must(t, err)
			if m, err := d.Stat(); err != nil || m.Inode() != own.Inode() {
				t.Errorf("%s: the Root is another directory", path)
			}
			own.Close()
			d.Close()
		}
	})
}

func TestAttributesAndTimesBehindASymlink(t *testing.T) {
	module, _ := plantLinks(t)
	if err := unix.Setxattr(filepath.Join(module, "real/r"), "user.x", []byte("value"), 0); err != nil {
		t.Skipf("setxattr: %v", err)
	}
	at := unix.Timespec{Sec: 1_500_000_000, Nsec: 7}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(module, "real/r"), []unix.Timespec{at, at}, 0))
	root := openRoot(t, filepath.Join(module, "in"))
	dir, err := root.Dir(tree.Root)
	must(t, err)
	defer dir.Close()
	attrs, err := dir.XattrsFollowing("file")
	if err != nil || !slices.ContainsFunc(attrs, func(a walk.Xattr) bool { return a.Name == "user.x" && string(a.Value) == "value" }) {
		t.Errorf("attributes %v, %v", attrs, err)
	}
	times, err := dir.Times("file", true)
	if err != nil || times.Access != (tree.Time{Sec: 1_500_000_000, Nsec: 7}) {
		t.Errorf("times %+v, %v", times, err)
	}
	if own, err := dir.Times("file", false); err != nil || own.Access == times.Access {
		t.Errorf("times of the symlink itself %+v, %v", own, err)
	}
}
