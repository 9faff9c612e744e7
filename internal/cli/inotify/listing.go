package inotify

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
	"lockstep/internal/live/watch"
)

// listing is what was found in a new directory. Some of it was there before
// the directory was watched, some has a record of its own that is to come.
type listing struct {
	found []found
	told  map[string]uint32 // kinds that are told of each name
}

type found struct {
	name string
	mask uint32
}

// listed is the directories that have a listing.
type listed struct {
	dirs   []*object
	byPath map[string]*object // fanotify tells them by their path
	until  int64              // records of what happened before the listings come before this
}

// list notes what was found in o. A file that nobody is writing is complete: it
// counts as written and closed, of which no record may come.
func (w *objects) list(o *object, path string, entries []fs.DirEntry) {
	l := &listing{told: make(map[string]uint32, len(entries))}
	for _, e := range entries {
		mask := uint32(unix.IN_CREATE)
		switch {
		case e.IsDir():
			mask |= unix.IN_ISDIR
		case e.Type().IsRegular() && w.mask&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) != 0:
			mask |= written(path + e.Name())
		}
		l.found = append(l.found, found{e.Name(), mask})
		l.told[e.Name()] = mask
	}
	o.listing = l
	w.listed.dirs = append(w.listed.dirs, o)
	w.listed.until = w.raw.Now()
	if w.set.fan {
		if w.listed.byPath == nil {
			w.listed.byPath = map[string]*object{}
		}
		w.listed.byPath[path] = o
	}
}

// written is what is to be told of the content of a file that was found.
func written(path string) uint32 {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	if busy, err := walk.BusyFD(fd); err == nil && busy {
		return 0 // it will be closed
	}
	if st.Size == 0 {
		return unix.IN_CLOSE_WRITE
	}
	return unix.IN_MODIFY | unix.IN_CLOSE_WRITE
}

// kinds are the events that a listing tells, in the order in which they happen.
var kinds = []uint32{unix.IN_CREATE, unix.IN_MODIFY, unix.IN_CLOSE_WRITE}

// contents are what was found in o and below it, as events.
func (w *objects) contents(o *object, out []seen) []seen {
	if o.listing == nil {
		return out
	}
	path := o.path()
	for _, f := range o.listing.found {
		for _, kind := range kinds {
			if f.mask&kind != 0 {
				out = append(out, seen{in: o, watched: path, name: f.name, mask: kind | f.mask&unix.IN_ISDIR})
			}
		}
		kid := o.kids[f.name]
		if w.set.fan && f.mask&unix.IN_ISDIR != 0 {
			kid = w.listed.byPath[path+f.name+"/"]
		}
		if kid != nil {
			out = w.contents(kid, out)
		}
	}
	o.listing.found = nil
	return out
}

// repeats reports whether ev, about something in o, was told by a listing.
func (w *objects) repeats(ev *watch.RawEvent, o *object) bool {
	if len(w.listed.dirs) == 0 {
		return false
	}
	if ev.At >= w.listed.until {
		for _, dir := range w.listed.dirs {
			dir.listing = nil
		}
		w.listed = listed{}
		return false
	}
	if w.set.fan {
		o = w.listed.byPath[ev.Dir]
	}
	if o == nil || o.listing == nil || ev.Name == "" {
		return false
	}
	if ev.Mask&(unix.IN_DELETE|unix.IN_MOVE) != 0 {
		delete(o.listing.told, ev.Name)
		return false
	}
	kinds := ev.Mask &^ (unix.IN_ISDIR | unix.IN_OPEN | unix.IN_ACCESS)
	return kinds != 0 && kinds&^o.listing.told[ev.Name] == 0
}
