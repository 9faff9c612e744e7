package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

func TestOverflowIsToldAndHeals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		backend watch.Backend
		tune    func(*watch.Config)
		files   int
	}{
		{name: "the kernel's inotify queue", backend: watch.Inotify, files: 7000},
		{name: "the kernel's fanotify queue", backend: watch.Fanotify, files: 17000,
			tune: func(c *watch.Config) { c.LimitedQueue = true }},
		{name: "the queue in memory with inotify", backend: watch.Inotify, files: 300,
			tune: func(c *watch.Config) { c.QueueBytes = 2048 }},
		{name: "the queue in memory with fanotify", backend: watch.Fanotify, files: 300,
			tune: func(c *watch.Config) { c.QueueBytes = 2048 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.backend == watch.Fanotify {
				needRoot(t, "fanotify marks on file systems")
			}
			dir := mkdir(t, quick(t), "src")
			mkdir(t, dir, "old/place")
			var tune []func(*watch.Config)
			if c.tune != nil {
				tune = append(tune, c.tune)
			}
			o := observe(t, variant{backend: c.backend}, dir, tune...)
			resume := func() {}
			if c.files > 1000 {
				resume = watch.PauseReading(o.Watch)
			}
			for i := range c.files {
				write(t, fmt.Sprintf("%s/f%d", dir, i), "x")
			}
			rename(t, dir+"/old", dir+"/new")
			mkdir(t, dir, "made/meanwhile")
			resume()
			o.until("overflow", func() bool {
				for _, ev := range o.seen {
					if ev.Op&watch.Overflow != 0 {
						return true
					}
				}
				return false
			})
			if s := o.Stats(); (s.InKernel > 0) != (c.files > 1000) || (s.InMemory > 0) != (c.files < 1000) {
				t.Errorf("where it overflowed is told wrongly: %+v", s)
			}
			if o.Stats().Overflows == 0 {
				t.Error("the overflow is not counted")
			}
			// Everything made meanwhile is watched now.
			o.tells("made/meanwhile")
			o.tells("new/place")
		})
	}
}

// quick is a directory on a file system in memory, if possible one that nobody
// else writes to.
func quick(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		mount(t, "quick", dir, "tmpfs", 0, "")
	}
	return dir
}

// tells makes files in dir until one is told of; overflows may swallow some.
func (o *observer) tells(dir tree.Path) {
	o.t.Helper()
	for i := 0; ; i++ {
		p := dir.Join(fmt.Sprintf("f%d", i))
		o.forget()
		write(o.t, filepath.Join(o.root, string(p)), "x")
		told := false
		o.until(fmt.Sprintf("%v or overflow", p), func() bool {
			over := false
			for _, ev := range o.seen {
				told = told || ev.Path == p
				over = over || ev.Op&watch.Overflow != 0
			}
			return told || over
		})
		if told {
			return
		}
	}
}

func TestLackOfWatchesIsSaidAndPolledAround(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 20 {
		mkdir(t, dir, fmt.Sprintf("d%02d/sub", i))
	}
	notices := make(chan watch.Notice, 100)
	o := observe(t, variant{backend: watch.Inotify}, dir, func(c *watch.Config) {
		c.MaxWatches = 11
		c.OnNotice = func(n watch.Notice) { notices <- n }
	})
	n := <-notices
	if want := "sysctl fs.inotify.max_user_watches="; !strings.HasPrefix(n.Hint, want) {
		t.Errorf("hint %q, want %q", n.Hint, want)
	}
	s := o.Stats()
	if s.Watches != 11 || s.Unwatched != 30 || s.Limit != n.Hint {
		t.Errorf("%+v", s)
	}
	for i := range 20 {
		p := fmt.Sprintf("d%02d/sub/f", i)
		write(t, dir+"/"+p, "x")
		mkdir(t, dir, fmt.Sprintf("d%02d/more/deep", i))
		write(t, dir+fmt.Sprintf("/d%02d/more/deep/f", i), "x")
	}
	for i := range 20 {
		o.untilNamed(tree.Path(fmt.Sprintf("d%02d/sub/f", i)))
		o.untilNamed(tree.Path(fmt.Sprintf("d%02d/more/deep/f", i)))
	}
	for i := range 18 {
		remove(t, fmt.Sprintf("%s/d%02d", dir, i))
	}
	eventually(t, "every directory is watched again", func() bool {
		select {
		case batch := <-o.Events():
			o.seen = append(o.seen, batch...)
		default:
		}
		s := o.Stats()
		return s.Unwatched == 0 && s.Watches == 9 && s.Limit == ""
	})
	write(t, dir+"/d19/more/deep/g", "x")
	o.untilOp(watch.Create, "d19/more/deep/g")
}

// TestMain runs this program again inside a user namespace for the tests that
// need one.
func TestMain(m *testing.M) {
	if dir := os.Getenv("WATCH_LIMITED"); dir != "" {
		os.Exit(limited(dir))
	}
	os.Exit(m.Run())
}

// limited lives in a user namespace of its own, sets the limit of watches there,
// and prints what a watch of dir says about it.
func limited(dir string) int {
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("5"), 0); err != nil {
		fmt.Println("SKIP", err)
		return 0
	}
	w, err := watch.Open(context.Background(), watch.Config{Root: dir, Backend: watch.Inotify, OnNotice: func(n watch.Notice) {
		fmt.Println(n.Text, "|", n.Hint)
	}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := w.Stats()
	fmt.Println(s.Watches, s.Unwatched)
	_ = w.Close()
	return 0
}

func TestRealLimitOfWatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 9 {
		mkdir(t, dir, fmt.Sprintf("d%d", i))
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WATCH_LIMITED="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || strings.HasPrefix(string(out), "SKIP") {
		t.Skipf("no user namespace to be had: %v %s", err, out)
	}
	must(t, err)
	want := "inotify watches ran out: 5 directories are watched, 5 are polled every 5s | sysctl user.max_inotify_watches=1024\n5 5\n"
	if string(out) != want {
		t.Errorf("said %q, want %q", out, want)
	}
}

func TestTheEndOfTheRootIsNoticed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		do     func(t *testing.T, base, root string)
		causes []watch.Cause
	}{
		{name: "it is removed", causes: []watch.Cause{watch.Deleted, watch.Vanished},
			do: func(t *testing.T, base, root string) { remove(t, root) }},
		{name: "it is renamed", causes: []watch.Cause{watch.Moved, watch.Vanished},
			do: func(t *testing.T, base, root string) { rename(t, root, base+"/elsewhere") }},
		{name: "a directory above it is renamed", causes: []watch.Cause{watch.Vanished},
			do: func(t *testing.T, base, root string) { rename(t, filepath.Dir(root), base+"/elsewhere") }},
		{name: "another directory takes its place", causes: []watch.Cause{watch.Replaced},
			do: func(t *testing.T, base, root string) {
				mkdir(t, base, "other")
				exchange(t, root, base+"/other")
			}},
		{name: "a file system is mounted over it", causes: []watch.Cause{watch.Replaced},
			do: func(t *testing.T, base, root string) { mount(t, "over", root, "tmpfs", 0, "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, v variant) {
				base := t.TempDir()
				root := mkdir(t, base, "above/root")
				write(t, root+"/f", "x")
				o := observe(t, v, root)
				c.do(t, base, root)
				o.gone(c.causes...)
			})
		})
	}
}

// gone checks why the watch ended.
func (o *observer) gone(causes ...watch.Cause) {
	o.t.Helper()
	err := o.ended()
	var gone *watch.RootError
	if !errors.Is(err, watch.ErrRootGone) || !errors.As(err, &gone) {
		o.t.Fatalf("ended with %v", err)
	}
	for _, c := range causes {
		if gone.Cause == c {
			return
		}
	}
	o.t.Errorf("cause: %v, want one of %v", gone.Cause, causes)
}

func TestARootThatIsASymlinkIsFollowedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		base := t.TempDir()
		mkdir(t, base, "release-1/d")
		mkdir(t, base, "release-2/d")
		must(t, os.Symlink("release-1", base+"/current"))
		o := observe(t, v, base+"/current")
		write(t, base+"/release-1/d/f", "x")
		o.untilNamed("d/f")
		must(t, os.Symlink("release-2", base+"/next"))
		rename(t, base+"/next", base+"/current")
		o.gone(watch.Replaced)
	})
}

func TestUnmountingTheRootIsPossibleAndNoticed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		root := mkdir(t, t.TempDir(), "mnt")
		mount(t, "src", root, "tmpfs", 0, "")
		deep := mkdir(t, root, "a/b")
		write(t, deep+"/f", "x")
		o := observe(t, v, root)
		write(t, deep+"/g", "x")
		o.untilNamed("a/b/g")
		eventually(t, "unmounted", func() bool { // a handle may be open for a moment
			return unix.Unmount(root, 0) == nil
		})
		o.gone(watch.Unmounted)
		for _, ev := range o.seen {
			if ev.Op&(watch.Delete|watch.MovedFrom) != 0 {
				t.Errorf("told: %v", ev)
			}
		}
	})
}
