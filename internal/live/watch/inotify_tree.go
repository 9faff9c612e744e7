package watch

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// openList opens a directory to be watched and listed.
const openList = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// how says what arming a directory does beyond watching it.
type how struct {
	tell telling
	deep bool // look into directories that were watched before, too
}

// telling says what becomes Found events.
type telling uint8

const (
	tellNone telling = iota
	tellNew          // what is in directories that were not watched before
	tellAll          // what is in any directory that is looked into
)

// addTop makes the directory at p one that everything below hangs from.
func (e *inotify) addTop(p tree.Path) {
	e.nextID--
	e.tree.top(p, e.nextID)
}

// cede leaves the mount at p to another backend.
func (e *inotify) cede(p tree.Path) {
	e.ceded[p] = true
	if d := e.tree.at(p); d != nil && d.parent != nil {
		e.drop(d)
	}
}

// reclaim takes what was ceded, or was on another file system, back.
func (e *inotify) reclaim(p tree.Path) {
	delete(e.ceded, p)
	if d := e.tree.at(p); d != nil && d.parent == nil && d.name != "" {
		e.drop(d)
		return
	}
	e.rearm(p)
}

// armAll watches everything, for the first time or again.
func (e *inotify) armAll() (err error) {
	e.onOwnThread(func() {
		for _, top := range e.tree.tops {
			switch terr := e.armTop(top, tellNone); {
			case terr != nil && top.name == "":
				err = terr
			case terr != nil:
				e.cannot(top.path(), terr)
			}
		}
	})
	e.limitNotice()
	return err
}

// armTop watches a top and all below it.
func (e *inotify) armTop(top *watchDir, tell telling) error {
	root, err := e.open()
	if err != nil {
		return err
	}
	p := top.path()
	fd, err := openBelow(root, p, openList)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	fresh := top.id < 0
	mask := e.mask
	if p == tree.Root {
		mask |= inoTop
	}
	if err := e.subscribe(fd, top, mask); err != nil {
		return err
	}
	e.list(fd, top, p, how{tell: tell, deep: true}, fresh)
	return nil
}

// subscribe gives top a watch, or leaves it without one if there are none left.
func (e *inotify) subscribe(fd int, top *watchDir, mask uint32) error {
	wd, err := e.watch(fd, mask)
	switch {
	case err == nil:
		e.identify(top, wd)
	case !errors.Is(err, unix.ENOSPC):
		return err
	case e.unwatched[top] == nil:
		e.unwatched[top] = &snapshot{}
	}
	return nil
}

// identify gives d, which had no watch before, watch wd.
func (e *inotify) identify(d *watchDir, wd int32) {
	if d.id == wd {
		return
	}
	delete(e.tree.byID, d.id)
	delete(e.unwatched, d)
	d.id = wd
	e.tree.byID[wd] = d
	e.watched++
}

// open opens the source root for a while, see rest.
func (e *inotify) open() (int, error) {
	if e.root >= 0 {
		return e.root, nil
	}
	fd, err := e.w.pin.open()
	if err != nil {
		return -1, err
	}
	e.root = fd
	return fd, nil
}

// openDir opens known directory d. It fails with ESTALE if its path leads to
// another directory: records still to come have moved it or a parent.
func (e *inotify) openDir(d *watchDir) (int, error) {
	root, err := e.open()
	if err != nil {
		return -1, err
	}
	p := d.path()
	fd, err := openBelow(root, p, openList)
	if err != nil || d.id < 0 {
		return fd, err
	}
	mask := e.mask
	if p == tree.Root {
		mask |= inoTop
	}
	wd, err := e.watch(fd, mask)
	if err == nil && wd == d.id {
		return fd, nil
	}
	_ = unix.Close(fd)
	if err == nil && e.tree.byID[wd] == nil {
		_, _ = unix.InotifyRmWatch(e.in.fd, uint32(wd))
	}
	if err == nil || err == unix.ENOSPC {
		err = unix.ESTALE
	}
	return -1, err
}

// arm watches the directory called name in parent, which is open as at, and
// what is below it. It returns nil without an error if that is not wanted.
func (e *inotify) arm(at int, parent *watchDir, name string, p tree.Path, h how) (*watchDir, error) {
	if len(p) > tree.MaxPath {
		return nil, unix.ENAMETOOLONG
	}
	if e.ceded[p] || e.w.skip(p, true) {
		if d := parent.child(name); d != nil {
			e.drop(d)
		}
		return nil, nil
	}
	if e.cwd >= 0 {
		return e.armHere(at, parent, name, p, h)
	}
	fd, err := openName(at, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	wd, err := e.watch(fd, e.mask)
	d, fresh, err := e.adopt(wd, err, parent, name)
	if err != nil {
		return nil, err
	}
	if fresh || h.deep || h.tell == tellAll {
		e.list(fd, d, p, h, fresh)
	}
	return d, nil
}

func openName(at int, name string) (int, error) {
	for {
		fd, err := unix.Openat(at, name, openList, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// adopt puts the directory that was given watch wd, or err, into the tree as
// name in parent. fresh says that it was not watched before.
func (e *inotify) adopt(wd int32, err error, parent *watchDir, name string) (d *watchDir, fresh bool, _ error) {
	if errors.Is(err, unix.ENOSPC) {
		return e.adoptUnwatched(parent, name)
	}
	if err != nil {
		return nil, false, err
	}
	if d := e.tree.byID[wd]; d != nil {
		displaced, ok := e.tree.move(d, parent, name)
		if displaced != nil {
			e.drop(displaced)
		}
		if ok {
			e.lastDir = nil
			return d, false, nil
		}
		// A top, or the tree holds d above its own parent: begin anew with d.
		if d.parent == nil {
			return nil, false, unix.ELOOP
		}
		e.drop(d)
		return nil, false, unix.ESTALE
	}
	if d := parent.child(name); d != nil && d.id < 0 {
		e.identify(d, wd)
		return d, true, nil
	}
	d, displaced := e.tree.add(parent, name, wd)
	e.watched++
	if displaced != nil {
		e.drop(displaced)
	}
	return d, true, nil
}

// drop forgets d and all below it, and gives their watches back.
func (e *inotify) drop(d *watchDir) {
	e.lastDir = nil
	e.tree.drop(d, func(d *watchDir) {
		if d.id >= 0 {
			_, _ = unix.InotifyRmWatch(e.in.fd, uint32(d.id)) // fails if the directory is gone
			e.watched--
		}
		delete(e.unwatched, d)
		delete(e.closed, d)
	})
}

// rearm looks at everything at and below p again.
func (e *inotify) rearm(p tree.Path) {
	d := e.tree.at(p)
	for d == nil && p != tree.Root {
		p = p.Parent()
		d = e.tree.at(p)
	}
	if d == nil {
		return // lies with another backend
	}
	if d.parent == nil {
		_ = e.armTop(d, tellNew)
	} else if fd, err := e.openDir(d); err == nil {
		e.list(fd, d, p, how{tell: tellNew, deep: true}, false)
		_ = unix.Close(fd)
	} else if err == unix.ESTALE || err == unix.ENOENT {
		e.postpone(d.parent, d.name)
	}
	e.limitNotice()
}

// postpone has the place of name in parent looked at once more records are in.
func (e *inotify) postpone(parent *watchDir, name string) {
	e.later = append(e.later, unsettled{parent, name, time.Now()})
}
