package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

// place watches the directory that a record says is called name in d now.
// What is found there is the truth of this moment, not of the record's.
func (e *inotify) place(d *watchDir, name string, tell telling) (*watchDir, error) {
	fd, err := e.openDir(d)
	if err != nil {
		if err == unix.ESTALE || err == unix.ENOENT || err == unix.ENOTDIR {
			e.postpone(d, name)
		}
		return nil, err
	}
	defer unix.Close(fd)
	found, err := e.arm(fd, d, name, d.path().Join(name), how{tell: tell})
	switch err {
	case unix.EACCES:
		e.cannot(d.path().Join(name), err)
	case unix.ESTALE, unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		e.postpone(d, name)
	}
	e.limitNotice()
	return found, err
}

// replace lets the watches follow a directory that was called fromName in from
// and is called toName in to now, as ev says. It reports false if what is at
// the new place is not what the tree had at the old one: the tree was ahead of
// the records, and so were paths told since.
func (e *inotify) replace(from *watchDir, fromName string, to *watchDir, toName string, ev Event) (same bool) {
	was := from.child(fromName)
	e.lastDir = nil
	e.tree.follow(ev.From, ev.Path)
	if e.w.skip(ev.Path, true) {
		if was != nil {
			e.drop(was)
		}
		return true
	}
	found, err := e.place(to, toName, tellNone)
	switch {
	case was == nil, found == was:
		same = was != nil
	case e.stands(was): // the record is about one that had the name before
	case found == nil && err != nil:
		// It has moved on already: follow the record, later ones will tell.
		displaced, ok := e.tree.move(was, to, toName)
		if displaced != nil {
			e.drop(displaced)
		}
		if same = ok; !ok {
			e.drop(was)
		}
	default:
		e.drop(was)
	}
	if found != nil && e.w.cfg.Skip != nil {
		e.rearm(ev.Path) // rules may tie names to places
	}
	return same
}

// stands reports whether d is really where the tree has it.
func (e *inotify) stands(d *watchDir) bool {
	if d.id < 0 {
		return false
	}
	fd, err := e.openDir(d)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// settle looks at unsettled places again once no records are left that could
// change them. A place that stays unsettled is a contradiction between records
// and tree, which looking at everything resolves.
func (e *inotify) settle() error {
	if len(e.later) == 0 || !e.in.drained() {
		return nil
	}
	later := e.later
	e.later = nil
	for _, u := range later {
		if e.tree.byID[u.parent.id] != u.parent {
			continue // gone
		}
		before := len(e.later)
		_, _ = e.place(u.parent, u.name, tellAll)
		for i := before; i < len(e.later); i++ {
			e.later[i].since = u.since
		}
	}
	if len(e.later) > 0 && time.Since(e.later[0].since) > unsettledFor {
		e.overflow()
	}
	return nil
}
