package watch_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

func TestRootOnABindMount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		base := t.TempDir()
		mkdir(t, base, "data/src/d")
		root := mkdir(t, base, "bound")
		mount(t, base+"/data/src", root, "", unix.MS_BIND, "")
		o := observe(t, v, root)
		write(t, base+"/data/src/d/f", "x")
		o.untilNamed("d/f")
		// A rename of the directory behind the mount changes nothing.
		rename(t, base+"/data/src", base+"/data/renamed")
		write(t, root+"/d/g", "x")
		o.untilNamed("d/g")
		mkdir(t, base, "data/outside/d")
		write(t, base+"/data/outside/d/h", "x")
		o.sync()
		for _, ev := range o.seen {
			if ev.Path.Base() == "h" {
				t.Errorf("told: %v", ev)
			}
		}
	})
}

func TestMountsBelowTheRoot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		base := t.TempDir()
		root := mkdir(t, base, "src")
		mkdir(t, base, "away/deep")
		for _, d := range []string{"tmp", "bound", "over", "plain", "hidden"} {
			mkdir(t, root, "in", d)
		}
		for _, d := range []string{"lower/l", "upper", "work"} {
			mkdir(t, base, d)
		}
		mount(t, "nested", root+"/in/tmp", "tmpfs", 0, "")
		mkdir(t, root, "in/tmp/sub")
		mount(t, base+"/away", root+"/in/bound", "", unix.MS_BIND, "")
		mount(t, "over", root+"/in/over", "overlay", 0, "lowerdir="+base+"/lower,upperdir="+base+"/upper,workdir="+base+"/work")
		mount(t, "hidden", root+"/in/hidden", "tmpfs", 0, "")
		o := observe(t, v, root)
		if v.name == "fanotify" && !strings.Contains(o.Choice().Reason, "in/over by inotify") {
			t.Errorf("reason: %s", o.Choice().Reason)
		}
		for _, p := range []tree.Path{"in/tmp/sub/f", "in/bound/deep/f", "in/over/l/f", "in/plain/f"} {
			write(t, root+"/"+string(p), "x")
			o.untilNamed(p)
		}
		write(t, base+"/away/deep/g", "x")
		o.untilNamed("in/bound/deep/g")
		rename(t, root+"/in/tmp/sub", root+"/in/tmp/sub2")
		write(t, root+"/in/tmp/sub2/g", "x")
		o.untilNamed("in/tmp/sub2/g")
	})
}

func TestMountsThatComeAndGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		root := t.TempDir()
		mkdir(t, root, "in/below")
		o := observe(t, v, root)
		mount(t, "late", root+"/in", "tmpfs", 0, "")
		mkdir(t, root, "in/sub")
		if v.backend != watch.Poll {
			o.untilOp(watch.MovedTo, "in")
		}
		write(t, root+"/in/sub/f", "x")
		o.untilNamed("in/sub/f")
		o.forget()
		eventually(t, "unmounted", func() bool { return unix.Unmount(root+"/in", 0) == nil })
		o.untilOp(watch.Unmount, "in")
		write(t, root+"/in/below/g", "x")
		o.untilNamed("in/below/g")
		for _, ev := range o.seen {
			if ev.Op&watch.Delete != 0 && ev.Path.Within("in/sub") {
				t.Errorf("an unmounted file counts as deleted: %v", ev)
			}
		}
	})
}

func TestADirectoryShownTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		root := t.TempDir()
		mkdir(t, root, "a/b/c")
		mkdir(t, root, "again")
		mount(t, root+"/a/b", root+"/again", "", unix.MS_BIND, "")
		o := observe(t, v, root)
		write(t, root+"/a/b/c/f", "x")
		o.untilNamed("a/b/c/f")
		o.untilNamed("again/c/f")
		write(t, root+"/again/c/g", "x")
		o.untilNamed("a/b/c/g")
		o.untilNamed("again/c/g")
	})
}

func TestAutoTakesTheBestThatWorks(t *testing.T) {
	t.Parallel()
	w, err := watch.Open(t.Context(), watch.Config{Root: t.TempDir()})
	must(t, err)
	c := w.Choice()
	must(t, w.Close())
	want := watch.Inotify
	if os.Geteuid() == 0 {
		want = watch.Fanotify
	}
	if c.Backend != want || !strings.HasPrefix(c.Reason, want.String()+": one ") {
		t.Errorf("%+v", c)
	}

	w, err = watch.Open(t.Context(), watch.Config{Root: "/proc/self/task"})
	must(t, err)
	c = w.Choice()
	must(t, w.Close())
	if c.Backend != watch.Poll || !strings.Contains(c.Reason, "proc does not tell of changes") {
		t.Errorf("%+v", c)
	}
}

func TestForcedFanotifyWhereItCannotWork(t *testing.T) {
	t.Parallel()
	needRoot(t, "fanotify marks on file systems")
	w, err := watch.Open(t.Context(), watch.Config{Root: "/proc/self/task", Backend: watch.Fanotify})
	if err == nil {
		_ = w.Close()
		t.Fatal("fanotify on proc succeeds")
	}
	if !strings.Contains(err.Error(), "cannot identify files") {
		t.Error(err)
	}
}

// A file written through its handle, as the kernel's NFS server does it, has
// no name in its events.
func TestWritesThroughHandlesAreTold(t *testing.T) {
	t.Parallel()
	needRoot(t, "file handles")
	dir := t.TempDir()
	write(t, dir+"/f", "x")
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir+"/f", 0)
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Stat(dir+"/f", &st))
	o := observe(t, variants[0], dir)
	m, err := unix.Open(dir, unix.O_RDONLY, 0)
	must(t, err)
	fd, err := unix.OpenByHandleAt(m, h, unix.O_WRONLY)
	must(t, err)
	_, err = unix.Write(fd, []byte("y"))
	must(t, err)
	must(t, unix.Close(fd))
	must(t, unix.Close(m))
	o.untilWritten("f", st.Ino)
}

func TestWritesAfterATemporaryFileWasLinked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		if v.polls {
			t.Skip("polling sees the new name")
		}
		dir := t.TempDir()
		o := observe(t, v, dir)
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY, 0o644)
		if err != nil {
			t.Skip(err)
		}
		f := os.NewFile(uintptr(fd), "tmpfile")
		var st unix.Stat_t
		must(t, unix.Fstat(fd, &st))
		must(t, unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, dir+"/f", unix.AT_SYMLINK_FOLLOW))
		o.untilOp(watch.Create, "f")
		o.forget()
		_, err = f.WriteString("late")
		must(t, err)
		must(t, f.Close())
		o.until("the late write", func() bool {
			for _, ev := range o.seen {
				if ev.Op&watch.Nameless != 0 && ev.Op&watch.CloseWrite != 0 &&
					ev.Inode == (tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}) {
					return true
				}
			}
			return false
		})
	})
}
