package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
)

// limits is what inotify keeps of watches and their lack.
type limits struct {
	watched   int                     // watches in use
	full      bool                    // the last try met the limit
	unwatched map[*watchDir]*snapshot // directories that are polled for lack of a watch
	closed    map[*watchDir]bool      // directories that could not be read, or something in them
	queue     []*watchDir             // unwatched ones that this round has not looked at yet
	changes   bool                    // this round has found some
	recheck   recheck
	nextID    int32 // the last negative id given to a directory without a watch
	failed    int   // directories that could not be watched, since the start
	noticed   int   // unwatched directories when it was last said
}

func newLimits() limits {
	return limits{unwatched: map[*watchDir]*snapshot{}, closed: map[*watchDir]bool{}, nextID: -1}
}

// pollSlice is how long unwatched directories are looked at before records
// have their turn again.
const pollSlice = 20 * time.Millisecond

// watch gives the directory open as fd a watch, or the one it has already. At
// the limit it fails with ENOSPC.
func (e *inotify) watch(fd int, mask uint32) (int32, error) { return e.watchPath(procFD(fd), mask) }

func (e *inotify) watchPath(path string, mask uint32) (int32, error) {
	wd, err := unix.InotifyAddWatch(e.in.fd, path, mask)
	if err != nil {
		if err == unix.ENOSPC {
			e.full = true
		}
		return -1, err
	}
	if most := e.w.cfg.MaxWatches; most > 0 && e.watched >= most && e.tree.byID[int32(wd)] == nil {
		_, _ = unix.InotifyRmWatch(e.in.fd, uint32(wd))
		return -1, unix.ENOSPC
	}
	return int32(wd), nil
}

// adoptUnwatched puts a directory without a watch into the tree.
func (e *inotify) adoptUnwatched(parent *watchDir, name string) (d *watchDir, fresh bool, err error) {
	if d := parent.child(name); d != nil && d.id < 0 {
		return d, false, nil
	}
	e.nextID--
	d, displaced := e.tree.add(parent, name, e.nextID)
	if displaced != nil {
		e.drop(displaced)
	}
	e.unwatched[d] = &snapshot{}
	return d, true, nil
}

// remember takes the first snapshot of an unwatched directory.
func (e *inotify) remember(d *watchDir) {
	if e.unwatched[d].names == "" {
		e.look(d, func(difference) {})
	}
}

// look compares an unwatched directory with its snapshot.
func (e *inotify) look(d *watchDir, report func(difference)) bool {
	root, err := walk.OpenRoot(e.w.pin.path)
	if err != nil {
		return false
	}
	defer root.Close()
	if root.Inode() != e.w.pin.inode {
		return false
	}
	now := time.Now()
	p := d.path()
	meta, err := root.Lstat(p)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	entries, err := root.ReadDir(p)
	var part *walk.PartialError
	if err != nil && !errors.As(err, &part) {
		return !errors.Is(err, fs.ErrNotExist)
	}
	old := e.unwatched[d]
	if old.dev != 0 && old.dev != meta.Dev {
		old = nil // a mount came or went: what was seen before is not deleted
	}
	e.unwatched[d] = old.compare(meta.Dev, entries, err == nil, now, report)
	return true
}

// pollSome looks at some of the unwatched directories and returns when to come
// again.
func (e *inotify) pollSome() time.Duration {
	if len(e.queue) == 0 {
		for d := range e.unwatched {
			e.queue = append(e.queue, d)
		}
		e.full = false
	}
	began := time.Now()
	for len(e.queue) > 0 && time.Since(began) < pollSlice {
		d := e.queue[len(e.queue)-1]
		e.queue = e.queue[:len(e.queue)-1]
		if e.unwatched[d] != nil {
			e.pollOne(d)
		}
	}
	e.limitNotice()
	if len(e.queue) > 0 {
		return time.Millisecond
	}
	if e.recheck.due(e.changes) {
		e.out = append(e.out, Event{Op: Overflow | Found, Dir: true})
	}
	e.changes = false
	return e.w.cfg.PollInterval
}

// pollOne tries to get a watch for d, then tells what has changed in it.
func (e *inotify) pollOne(d *watchDir) {
	p := d.path()
	snap := e.unwatched[d]
	if !e.full {
		e.upgrade(d)
	}
	e.unwatched[d] = snap
	there := e.look(d, func(c difference) {
		e.changes = true
		e.add(Event{Op: c.op, Path: p.Join(c.name), Dir: c.dir})
		if c.dir && c.op&Create != 0 {
			_, _ = e.place(d, c.name, tellNew)
		} else if kid := d.child(c.name); kid != nil && c.op&Delete != 0 {
			e.drop(kid)
		}
	})
	if d.id >= 0 {
		delete(e.unwatched, d)
	}
	if !there && d.parent != nil && !e.stands(d) {
		e.drop(d) // its parent's events, or next look, say what became of it
	}
}

// upgrade gives d a watch if there is one to be had.
func (e *inotify) upgrade(d *watchDir) {
	fd, err := e.openDir(d)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	wd, err := e.watch(fd, e.mask)
	if err != nil || e.tree.byID[wd] != nil && e.tree.byID[wd] != d {
		e.full = e.full || errors.Is(err, unix.ENOSPC)
		return
	}
	e.identify(d, wd)
}

// limitNotice says, once and again when it has doubled, how many directories
// have no watch.
func (e *inotify) limitNotice() {
	n := len(e.unwatched)
	switch {
	case n == 0 && e.noticed > 0:
		e.noticed = 0
		e.w.counts.limit.Store(nil)
		e.w.notice("", "every directory has an inotify watch again")
	case n > 0 && n >= 2*e.noticed:
		e.noticed = n
		hint := watchesHint(n)
		e.w.counts.limit.Store(&hint)
		e.w.notice(hint, "inotify watches ran out: %d directories are watched, %d are polled every %v",
			e.watched, n, e.w.cfg.PollInterval)
	}
}

// watchesHint is the command that makes room for missing more watches.
func watchesHint(missing int) string {
	name, limit := lowest("fs.inotify.max_user_watches", "user.max_inotify_watches")
	return raise(name, limit, missing)
}

// lowest is the one of two limits that is in the way: one is per user, the
// other is the same inside a user namespace.
func lowest(user, namespace string) (name string, limit int) {
	limit = sysctl(user)
	if inner := sysctl(namespace); inner > 0 && inner < limit {
		return namespace, inner
	}
	return user, limit
}

// raise is the command that makes room for missing more than a limit allows.
func raise(name string, limit, missing int) string {
	// A quarter more than is missing now, in steps of 1024.
	need := limit + missing + missing/4
	need = (need + 1023) / 1024 * 1024
	return fmt.Sprintf("sysctl %s=%d", name, need)
}

// instancesHint is the command that allows for more inotify instances.
func instancesHint() string {
	return fmt.Sprintf("sysctl fs.inotify.max_user_instances=%d", 2*max(sysctl("fs.inotify.max_user_instances"), 128))
}

// sysctl is the value of a setting, 0 if it is not there.
func sysctl(name string) int {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return n
}
