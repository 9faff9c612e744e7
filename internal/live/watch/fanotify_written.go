package watch

import (
	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// maxLately bounds each half of lately: about 250 bytes for each of touched.
const maxLately = 1 << 14

// lately is what was noted of late: what came before the newer half filled up
// the last time is forgotten.
type lately struct{ newer, older map[string]string }

func (l *lately) note(key, value string) {
	if was, ok := l.newer[key]; ok && was == value {
		return
	}
	if len(l.newer) >= maxLately {
		l.older, l.newer = l.newer, nil
	}
	if l.newer == nil {
		l.newer = map[string]string{}
	}
	l.newer[key] = value
}

func (l *lately) get(key string) (value string, ok bool) {
	if value, ok = l.newer[key]; !ok {
		value, ok = l.older[key]
	}
	return value, ok
}

// links is what is known of names that may not be a file's only one.
type links struct {
	changed  lately // files, by handle
	through  lately // by directory and name: the handle of the file that was changed through it
	replaced lately // files that lost a name to another file and have others
}

// changes are the operations on a file that all its names share.
const changes = Modify | CloseWrite | Attrib

// parted adds the other names of a file that a record still names by one that
// has become another file's: whoever opened it by that name writes to them.
func (f *fanotify) parted(rec *fanRecord, op Op, out []Event) []Event {
	if op&changes == 0 || rec.self == nil {
		return out
	}
	if _, yes := f.links.replaced.get(string(rec.self)); !yes {
		return out
	}
	return f.everywhere(string(rec.self), op&changes, out)
}

// outlived looks for a file that was changed through a name which is gone now:
// it may go by other names, and the consumer may never have seen this one. A
// link can be made, written through and removed before anybody looks.
func (f *fanotify) outlived(rec *fanRecord, op Op, out []Event) []Event {
	if rec.self == nil {
		return out
	}
	self := string(rec.self)
	if op&changes != 0 {
		f.links.changed.note(self, "")
		f.links.through.note(rec.at.key(), self)
	}
	if op&(Delete|MovedFrom) == 0 {
		return out
	}
	if _, yes := f.links.changed.get(self); !yes {
		return out
	}
	return f.everywhere(self, changes, out)
}

// displaced is outlived for a name that was taken by another file.
func (f *fanotify) displaced(rec *fanRecord, out []Event) []Event {
	if rec.self == nil || rec.new.dir == nil || rec.old.dir == nil {
		return out
	}
	self, to := string(rec.self), rec.new.key()
	was, changed := f.links.through.get(to)
	if _, yes := f.links.through.get(rec.old.key()); yes || changed {
		f.links.through.note(to, self)
	}
	if !changed || was == self {
		return out
	}
	return f.everywhere(was, changes, out)
}

// everywhere tells of a file under all its names, if it has any.
func (f *fanotify) everywhere(id string, op Op, out []Event) []Event {
	a := f.areaOf(id)
	if a.open() != nil {
		return out
	}
	fd, err := openID(a.fd, id)
	if err != nil {
		return out // gone with its last name
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Nlink == 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return out
	}
	return f.w.add(out, Event{Op: op | Nameless, Inode: tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}})
}
