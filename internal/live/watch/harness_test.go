package watch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// variant is a backend in one of its modes.
type variant struct {
	name    string
	backend watch.Backend
	tune    func(*watch.Config)
	polls   bool // sees states, not events
}

var variants = []variant{
	{name: "fanotify", backend: watch.Fanotify},
	{name: "fanotify before Linux 5.17", backend: watch.Fanotify, tune: watch.PlainNames},
	{name: "inotify", backend: watch.Inotify},
	{name: "inotify with few watches", backend: watch.Inotify, polls: true,
		tune: func(c *watch.Config) { c.MaxWatches = 2 }},
	{name: "poll", backend: watch.Poll, polls: true},
}

// each runs f for every variant that works here.
func each(t *testing.T, f func(t *testing.T, v variant)) {
	t.Helper()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if v.backend == watch.Fanotify {
				needRoot(t, "fanotify marks on file systems")
			}
			f(t, v)
		})
	}
}

func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("%s need CAP_SYS_ADMIN", what)
	}
}

// observer is a watch under test with all that it has told so far.
type observer struct {
	*watch.Watch
	t    *testing.T
	root string
	seen []watch.Event
}

func observe(t *testing.T, v variant, root string, tune ...func(*watch.Config)) *observer {
	t.Helper()
	c := watch.Config{Root: root, Backend: v.backend, PollInterval: 20 * time.Millisecond}
	if v.tune != nil {
		v.tune(&c)
	}
	for _, f := range tune {
		f(&c)
	}
	w, err := watch.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return &observer{Watch: w, t: t, root: root}
}

// until reads events until enough says so.
func (o *observer) until(what string, enough func() bool) {
	o.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !enough() {
		select {
		case batch, open := <-o.Events():
			if !open {
				o.t.Fatalf("the watch ended while waiting for %s: %v", what, o.Err())
			}
			o.seen = append(o.seen, batch...)
		case <-deadline.C:
			o.t.Fatalf("no %s within %v; seen: %v", what, patience, o.tail())
		}
	}
}

func (o *observer) tail() string {
	var b strings.Builder
	for _, ev := range o.seen[max(0, len(o.seen)-4000):] {
		fmt.Fprintf(&b, "\n\t%v", ev)
	}
	return b.String()
}

// untilNamed waits for an event about p, or one that makes a consumer list it.
func (o *observer) untilNamed(p tree.Path) {
	o.t.Helper()
	at := 0
	o.until(fmt.Sprintf("event for %v", p), func() bool {
		for ; at < len(o.seen); at++ {
			ev := o.seen[at]
			if ev.Path == p || ev.From == p && ev.Op&watch.Rename != 0 || ev.Op&(watch.Overflow|watch.Found) == watch.Overflow || ev.Op&watch.MovedTo != 0 && ev.Dir && p.Within(ev.Path) {
				return true
			}
		}
		return false
	})
}

// untilWritten waits for the end of a write to the file called p, told under that
// name or by its inode number.
func (o *observer) untilWritten(p tree.Path, ino uint64) {
	o.t.Helper()
	o.until("write to "+string(p), func() bool {
		return slices.ContainsFunc(o.seen, func(ev watch.Event) bool {
			return ev.Op&watch.CloseWrite != 0 && (ev.Path == p || ev.Op&watch.Nameless != 0 && ev.Inode.Ino == ino)
		})
	})
}

// untilOp waits for an event about p with all of op.
func (o *observer) untilOp(op watch.Op, p tree.Path) watch.Event {
	o.t.Helper()
	var got watch.Event
	at := 0
	o.until(fmt.Sprintf("%v for %v", op, p), func() bool {
		for ; at < len(o.seen); at++ {
			if got = o.seen[at]; got.Path == p && got.Op&op == op {
				return true
			}
		}
		return false
	})
	return got
}

// forget drops what was seen.
func (o *observer) forget() { o.seen = nil }

// sync makes sure that everything before it has been told.
func (o *observer) sync() {
	o.t.Helper()
	name := fmt.Sprintf("sync-%d", time.Now().UnixNano())
	write(o.t, filepath.Join(o.root, name), "")
	o.untilNamed(tree.Path(name))
	remove(o.t, filepath.Join(o.root, name))
}

// ended waits for the end and returns why.
func (o *observer) ended() error {
	o.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case _, open := <-o.Events():
			if !open {
				return o.Err()
			}
		case <-deadline.C:
			o.t.Fatal("the watch does not end")
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	must(t, os.MkdirAll(path, 0o755))
	return path
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.Rename(from, to))
}

func remove(t *testing.T, path string) {
	t.Helper()
	must(t, os.RemoveAll(path))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mount mounts and unmounts at the end, if still there.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	needRoot(t, "mounts")
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Skipf("mount %s: %v", fstype, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// eventually polls for a state that no event announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func exchange(t *testing.T, a, b string) {
	t.Helper()
	must(t, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
}
