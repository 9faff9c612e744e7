package watch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

func TestEachKindOfChangeIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(t *testing.T, dir string)
		do     func(t *testing.T, dir string)
		path   tree.Path
		op     watch.Op // what the kernel backends say
		polled watch.Op // what polling says
	}{
		{name: "a new file is created and closed", path: "d/f", op: watch.Create, polled: watch.Create | watch.Found,
			do: func(t *testing.T, dir string) { write(t, dir+"/d/f", "x") }},
		{name: "closing after writing is told", path: "d/f", op: watch.CloseWrite, polled: watch.Found,
			do: func(t *testing.T, dir string) { write(t, dir+"/d/f", "x") }},
		{name: "writing is told", path: "d/old", op: watch.Modify, polled: watch.Modify,
			do: func(t *testing.T, dir string) { write(t, dir+"/d/old", "more") }},
		{name: "a change of mode is told", path: "d/old", op: watch.Attrib, polled: watch.Modify,
			do: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/d/old", 0o600)) }},
		{name: "a directory's change of mode is told", path: "d", op: watch.Attrib, polled: watch.Attrib,
			do: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/d", 0o700)) }},
		{name: "the root's own change of times is told", path: "", op: watch.Attrib,
			do: func(t *testing.T, dir string) { must(t, os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0))) }},
		{name: "a removed file is told", path: "d/old", op: watch.Delete, polled: watch.Delete,
			do: func(t *testing.T, dir string) { remove(t, dir+"/d/old") }},
		{name: "a removed directory is told", path: "d/empty", op: watch.Delete, polled: watch.Delete,
			do: func(t *testing.T, dir string) { remove(t, dir+"/d/empty") }},
		{name: "a new symlink is told", path: "d/l", op: watch.Create, polled: watch.Create,
			do: func(t *testing.T, dir string) { must(t, os.Symlink("x", dir+"/d/l")) }},
		{name: "a hard link's new name is told", path: "d/hard", op: watch.Create, polled: watch.Create,
			do: func(t *testing.T, dir string) { must(t, os.Link(dir+"/d/old", dir+"/d/hard")) }},
		{name: "names are bytes", path: "d/\xff\n\"", op: watch.Create, polled: watch.Create,
			do: func(t *testing.T, dir string) { write(t, dir+"/d/\xff\n\"", "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, v variant) {
				dir := t.TempDir()
				mkdir(t, dir, "d/empty")
				write(t, dir+"/d/old", "old")
				o := observe(t, v, dir)
				c.do(t, dir)
				want := c.op
				if v.polls {
					if want = c.polled; want == 0 {
						t.Skip("polling does not look at the root itself")
					}
				}
				if v.name == "inotify with few watches" {
					o.untilNamed(c.path)
					return
				}
				ev := o.untilOp(want, c.path)
				isDir := c.path == "d" || c.path == "" || c.path == "d/empty"
				if ev.Dir != isDir {
					t.Errorf("%v: Dir = %v", ev, ev.Dir)
				}
			})
		})
	}
}

func TestNothingIsLostInDirectoriesMadeAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		o := observe(t, v, dir)
		const rounds = 100
		for i := range rounds {
			deep := mkdir(t, dir, fmt.Sprintf("r%d/a/b/c/d/e", i))
			write(t, deep+"/f", "x")
		}
		for i := range rounds {
			p := tree.Path(fmt.Sprintf("r%d/a/b/c/d/e/f", i))
			o.untilNamed(p)
		}
	})
}

func TestRenamesAreFollowed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		base := t.TempDir()
		dir, outside := mkdir(t, base, "src"), mkdir(t, base, "outside/in/deep")
		mkdir(t, dir, "a/b/c")
		mkdir(t, dir, "z")
		o := observe(t, v, dir)

		rename(t, dir+"/a", dir+"/z/a2")
		write(t, dir+"/z/a2/b/c/f", "x")
		o.untilNamed("z/a2/b/c/f")
		if v.name == "fanotify" || v.name == "inotify" {
			i := slices.IndexFunc(o.seen, func(ev watch.Event) bool { return ev.Op&watch.Rename != 0 })
			if i < 0 || o.seen[i].From != "a" || o.seen[i].Path != "z/a2" || !o.seen[i].Dir {
				t.Fatalf("no rename told: %v", o.tail())
			}
		}

		o.forget()
		rename(t, dir+"/z/a2/b", filepath.Dir(outside)+"/b")
		o.untilOp(0, "z/a2/b")
		if !v.polls {
			o.untilOp(watch.MovedFrom, "z/a2/b")
		}
		write(t, filepath.Dir(outside)+"/b/c/g", "x")
		o.sync()
		for _, ev := range o.seen {
			if ev.Path.Base() == "g" {
				t.Errorf("a change outside was told: %v", ev)
			}
		}

		o.forget()
		rename(t, filepath.Dir(outside), dir+"/in")
		o.untilNamed("in")
		write(t, dir+"/in/deep/h", "x")
		o.untilNamed("in/deep/h")
		write(t, dir+"/in/b/c/h", "x")
		o.untilNamed("in/b/c/h")
	})
}

func TestFileRenamedOverAnother(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		mkdir(t, dir, "d")
		write(t, dir+"/new", "new")
		write(t, dir+"/d/old", "old")
		o := observe(t, v, dir)
		rename(t, dir+"/new", dir+"/d/old")
		o.untilNamed("d/old")
		if v.name != "fanotify" && v.name != "inotify" {
			o.untilNamed("new")
			return
		}
		if ev := o.untilOp(watch.Rename, "d/old"); ev.From != "new" || ev.Dir {
			t.Errorf("told as %v", ev)
		}
	})
}

func TestExchangedDirectories(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		mkdir(t, dir, "a/in-a")
		mkdir(t, dir, "b/in-b")
		o := observe(t, v, dir)
		exchange(t, dir+"/a", dir+"/b")
		write(t, dir+"/b/in-a/f", "x")
		write(t, dir+"/a/in-b/g", "x")
		o.untilNamed("b/in-a/f")
		o.untilNamed("a/in-b/g")
	})
}

func TestSkippedNamesAreNotTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		mkdir(t, dir, "skip/sub")
		mkdir(t, dir, "keep")
		o := observe(t, v, dir, func(c *watch.Config) {
			c.Skip = func(p tree.Path, isDir bool) bool { return p.Within("skip") || p.Base() == "tmp" }
		})
		write(t, dir+"/skip/sub/f", "x")
		write(t, dir+"/keep/tmp", "x")
		rename(t, dir+"/keep/tmp", dir+"/keep/real")
		o.untilNamed("keep/real")
		rename(t, dir+"/keep", dir+"/skip/keep")
		o.untilNamed("keep")
		rename(t, dir+"/skip/keep", dir+"/back")
		write(t, dir+"/back/f", "x")
		o.untilNamed("back/f")
		for _, ev := range o.seen {
			if ev.Path.Within("skip") || ev.Path.Base() == "tmp" || ev.From != "" {
				t.Errorf("told: %v", ev)
			}
		}
	})
}

func TestRearmWatchesWhatIsNoLongerSkipped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		mkdir(t, dir, "d/sub")
		skip := make(chan bool, 1)
		skip <- true
		o := observe(t, v, dir, func(c *watch.Config) {
			c.Skip = func(p tree.Path, isDir bool) bool {
				s := <-skip
				skip <- s
				return s && p.Within("d")
			}
		})
		<-skip
		skip <- false
		must(t, o.Rearm("d"))
		write(t, dir+"/d/sub/f", "x")
		o.untilNamed("d/sub/f")
	})
}

func TestOnlyWantedKindsAreTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		o := observe(t, v, dir, func(c *watch.Config) { c.Events = watch.Create | watch.Delete })
		mkdir(t, dir, "d")
		write(t, dir+"/d/f", "x")
		must(t, os.Chmod(dir+"/d/f", 0o600))
		remove(t, dir+"/d/f")
		write(t, dir+"/end", "")
		o.untilNamed("end")
		for _, ev := range o.seen {
			if ev.Op&^(watch.Create|watch.Delete|watch.Found) != 0 {
				t.Errorf("told: %v", ev)
			}
		}
	})
}

func TestClosingEndsTheStream(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v variant) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := watch.Config{Root: dir, Backend: v.backend}
		w, err := watch.Open(ctx, c)
		must(t, err)
		for i := range 100 {
			write(t, fmt.Sprintf("%s/f%d", dir, i), "") // nobody listens
		}
		cancel()
		o := &observer{Watch: w, t: t, root: dir}
		if err := o.ended(); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := w.Rearm(tree.Root); err == nil && v.backend == watch.Inotify {
			t.Error("Rearm of a closed watch succeeds")
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]watch.Config{
		"no root":             {},
		"a missing root":      {Root: "/does/not/exist"},
		"a file as root":      {Root: "/proc/self/status"},
		"a negative interval": {Root: "/", PollInterval: -1},
		"a tiny queue":        {Root: "/", QueueBytes: 1},
		"an unknown backend":  {Root: "/", Backend: 9},
	} {
		if w, err := watch.Open(t.Context(), c); err == nil {
			_ = w.Close()
			t.Errorf("%s was accepted", name)
		}
	}
	if b, err := watch.ParseBackend("inotify"); err != nil || b != watch.Inotify {
		t.Errorf("ParseBackend = %v, %v", b, err)
	}
	if _, err := watch.ParseBackend("\x1b"); err == nil {
		t.Error("an unknown backend was parsed")
	}
}

func TestEventsPrintReadably(t *testing.T) {
	t.Parallel()
	for want, ev := range map[string]watch.Event{
		`CLOSE_WRITE|CREATE "a\nb"`: {Op: watch.Create | watch.CloseWrite, Path: "a\nb"},
		"RENAME a -> b/":            {Op: watch.Rename, From: "a", Path: "b", Dir: true},
		"Q_OVERFLOW ./":             {Op: watch.Overflow, Dir: true},
		"0x0 f":                     {Path: "f"},
	} {
		if got := ev.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
