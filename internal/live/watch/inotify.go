package watch

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

const (
	// The events that tell of names are always asked for, since the tree of
	// watches lives on them.
	inoNames = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
	inoTop   = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

	// pairWait is how long the first half of a move waits for the second, if
	// that was not read together with it.
	pairWait = 20 * time.Millisecond
)

type watchDir = dir[int32]

// inotify watches each directory by itself. All but in belongs to the
// goroutine of run, before that to Open.
//
// The tree of watches follows the records. Two things look at the present
// instead: listing a directory that has just become watched, and finding the
// place of one that was made or moved. Records that are still in the queue then
// lag behind the tree. That heals itself, because the last record about a
// directory's place is handled after any such look, and because every record
// that puts a directory somewhere looks at what is really there: the watch
// descriptor says whether that is a directory already known.
type inotify struct {
	w     *Watch
	in    *intake
	tasks tasks
	mask  uint32

	tree  dirs[int32]        // by watch descriptor; directories without a watch have negative ids
	ceded map[tree.Path]bool // mount points that are polled instead
	later []unsettled
	root  int // descriptor of the source root while records are handled, else -1
	carry []byte
	out   []Event

	limits
	swap swap

	cwd    int             // on a thread of its own: the directory it is in; else -1
	counts map[uint64]bool // devices whose directories count subdirectories as links

	lastDir  *watchDir // the directory of the last record, and its path
	lastPath tree.Path
	dents    []byte // scratch for listings
}

// unsettled is a directory whose place could not be looked at, since records
// still to come have moved its parent.
type unsettled struct {
	parent *watchDir
	name   string
	since  time.Time
}

// unsettledFor is when an unsettled directory makes the whole tree be looked
// at again.
const unsettledFor = 2 * time.Second

// openInotify makes an instance, if there is none yet.
func (w *Watch) openInotify() error {
	if w.ino != nil {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	w.ino = &inotify{
		w: w, in: newIntake(fd, w.stop, w.cfg.QueueBytes), tasks: make(tasks),
		mask: inoNames | uint32(w.cfg.Events&opsOfKernel), tree: newDirs[int32](),
		ceded: map[tree.Path]bool{}, root: -1, cwd: -1, counts: map[uint64]bool{}, limits: newLimits(),
	}
	w.drain(w.ino.in)
	return nil
}

// run handles records until the watch ends.
func (e *inotify) run() {
	var spare []byte
	var fences []chan struct{}
	pair := time.NewTimer(time.Hour)
	defer pair.Stop()
	poll := time.NewTimer(e.w.cfg.PollInterval)
	defer poll.Stop()
	waiting := false
	for {
		aged := false
		select {
		case <-e.w.ctx.Done():
			return
		case task := <-e.tasks:
			task()
		case <-e.in.ready:
			fences = append(fences, e.in.fenced()...)
			spare = e.receive(spare)
		case <-pair.C:
			waiting, aged = false, true
		case <-poll.C:
			poll.Reset(e.pollSome())
		}
		left, err := e.handle(e.carry, aged)
		if err == nil {
			err = e.settle()
		}
		if err != nil {
			e.w.fail(err)
			return
		}
		e.carry = append(e.carry[:0], left...)
		if len(e.carry) == 0 {
			waiting = false
			pair.Stop()
		} else if !waiting {
			waiting = true
			pair.Reset(pairWait)
		}
		if !e.flush() {
			return
		}
		if len(e.carry) == 0 && len(e.later) == 0 {
			passed(fences)
			fences = nil
		}
	}
}

// receive appends what has come in to the records in hand.
func (e *inotify) receive(spare []byte) []byte {
	data, lost := e.in.take(spare)
	if lost {
		e.carry = e.carry[:0]
		e.w.counts.inMemory.Add(1)
		e.overflow()
	}
	if len(e.carry) == 0 {
		e.carry, data = data, e.carry
		return data
	}
	e.carry = append(e.carry, data...)
	return data
}

// flush hands over what has been gathered.
func (e *inotify) flush() bool {
	e.rest()
	for len(e.out) > 0 { // tasks done meanwhile may add to it
		batch := e.out
		e.out = nil
		for part := range chunks(batch) {
			if !e.w.send(part, e.tasks) {
				return false
			}
		}
	}
	return true
}

// rest lets go of the root and of what may not outlive a batch.
func (e *inotify) rest() {
	if e.root >= 0 {
		_ = unix.Close(e.root)
		e.root = -1
	}
	e.lastDir = nil
	e.w.counts.watches.Store(int64(e.watched))
	e.w.counts.unwatched.Store(int64(len(e.unwatched)))
}

// handle takes records from data and returns those that must wait for the
// second half of a move. aged says that the first of them has waited.
func (e *inotify) handle(data []byte, aged bool) ([]byte, error) {
	for len(data) > 0 {
		rec, rest, err := nextIno(data)
		if err != nil {
			return nil, err
		}
		e.swap.tick()
		d := e.tree.byID[rec.wd]
		if rec.mask&unix.IN_MOVED_FROM != 0 && d != nil {
			to, found, sure := takePair(rest, rec.cookie)
			switch {
			case found:
				e.moved(d, &rec, &to)
			case sure || aged:
				e.movedOut(d, &rec)
			default:
				return data, nil
			}
		} else if err := e.record(d, &rec); err != nil {
			return nil, err
		}
		data = rest
		if len(e.out) >= maxBatch && !e.flush() {
			return nil, nil
		}
	}
	return nil, nil
}

// record handles any record but the first half of a move.
func (e *inotify) record(d *watchDir, rec *inoRecord) error {
	isDir := rec.mask&unix.IN_ISDIR != 0
	switch {
	case rec.mask == 0: // the second half of a move that has been handled
		return nil
	case rec.mask&unix.IN_Q_OVERFLOW != 0:
		e.w.counts.inKernel.Add(1)
		e.overflow()
		return nil
	case d == nil: // a watch that was given up
		return nil
	case rec.mask&unix.IN_IGNORED != 0:
		return e.ignored(d)
	case rec.mask&(unix.IN_UNMOUNT|inoTop) != 0:
		if d.parent == nil && d.name == "" {
			return rootGone(e.w.pin, rec.mask)
		}
		return nil
	case len(rec.name) == 0:
		// What happens to a watched directory itself is told by its parent's
		// watch too.
		if d.parent == nil || d.parent.id < 0 {
			e.add(Event{Op: Op(rec.mask) & opsOfKernel, Path: e.pathOf(d), Dir: true})
		}
		if rec.mask&unix.IN_ATTRIB != 0 && e.closed[d] {
			e.rearm(d.path())
		}
		return nil
	}
	name := string(rec.name)
	ev := Event{Op: Op(rec.mask) & opsOfKernel, Path: e.pathOf(d).Join(name), Dir: isDir, Cookie: rec.cookie}
	if ino, ok := tmpfileInode(name); ok && !isDir && rec.mask&inoNames == 0 {
		ev.Op |= Nameless
		ev.Inode = tree.Inode{Dev: e.w.pin.inode.Dev, Ino: ino}
	}
	e.add(ev)
	if isDir {
		e.dirChanged(d, name, rec.mask)
	}
	return nil
}

// dirChanged keeps the tree up with directory name in d.
func (e *inotify) dirChanged(d *watchDir, name string, mask uint32) {
	switch {
	case mask&unix.IN_CREATE != 0:
		e.place(d, name, tellAll)
	case mask&unix.IN_MOVED_TO != 0: // from outside: the consumer lists it
		e.place(d, name, tellNone)
	case mask&unix.IN_ATTRIB != 0:
		if kid := d.child(name); kid == nil {
			e.place(d, name, tellAll) // it may have become readable
		} else if e.closed[kid] {
			e.rearm(kid.path())
		}
	}
}

// rootGone is what a record about the root itself means.
func rootGone(p *pin, mask uint32) error {
	err := p.check()
	var gone *RootError
	switch {
	case mask&unix.IN_UNMOUNT != 0:
		return &RootError{Root: p.path, Cause: Unmounted}
	case !errors.As(err, &gone) || gone.Cause != Vanished:
	case mask&unix.IN_DELETE_SELF != 0:
		gone.Cause = Deleted
	case mask&unix.IN_MOVE_SELF != 0:
		gone.Cause = Moved
	}
	return err
}

// ignored handles the end of a watch: its directory was removed or unmounted.
func (e *inotify) ignored(d *watchDir) error {
	if d.parent == nil {
		if err := e.w.pin.check(); err != nil {
			return err
		}
		if d.name == "" {
			return &RootError{Root: e.w.pin.path, Cause: Vanished}
		}
	}
	e.drop(d)
	return nil
}

// moved handles a move with both halves known.
func (e *inotify) moved(d *watchDir, from, to *inoRecord) {
	target := e.tree.byID[to.wd]
	if target == nil {
		e.movedOut(d, from)
		return
	}
	isDir := from.mask&unix.IN_ISDIR != 0
	ev := Event{Op: Rename, From: e.pathOf(d).Join(string(from.name)), Cookie: from.cookie, Dir: isDir}
	ev.Path = e.pathOf(target).Join(string(to.name))
	at := len(e.out)
	e.out = e.swap.rename(e.w, e.out, ev, "")
	if isDir && !e.replace(d, string(from.name), target, string(to.name), ev) && at < len(e.out) {
		e.out[at].Op |= MovedTo
	}
}

// movedOut handles a move whose second half is not in what is watched.
func (e *inotify) movedOut(d *watchDir, rec *inoRecord) {
	name := string(rec.name)
	isDir := rec.mask&unix.IN_ISDIR != 0
	e.add(Event{Op: MovedFrom, Path: e.pathOf(d).Join(name), Dir: isDir, Cookie: rec.cookie})
	if !isDir {
		return
	}
	// What the tree has under that name may be newer than the record.
	if kid := d.child(name); kid != nil && !e.stands(kid) {
		e.drop(kid)
	}
}

// overflow makes sure that every directory is watched, then passes on that
// records were lost.
func (e *inotify) overflow() {
	e.later = nil
	_ = e.armAll() // what it cannot reach is gone, which the guard sees
	e.out = e.w.overflow(e.out)
}

func (e *inotify) add(ev Event) { e.out = e.w.add(e.out, ev) }

// pathOf is d's path. Records come in runs from one directory.
func (e *inotify) pathOf(d *watchDir) tree.Path {
	if e.lastDir != d {
		e.lastDir, e.lastPath = d, d.path()
	}
	return e.lastPath
}
