package watch

import (
	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// maxLately bounds the files in each half of lately, about 80 bytes each.
const maxLately = 1 << 13

// lately is files that something happened to of late, by handle: those before
// the newer half filled up the last time are forgotten.
type lately struct{ newer, older map[string]struct{} }

func (s *lately) add(id []byte) {
	if _, ok := s.newer[string(id)]; ok {
		return
	}
	if len(s.newer) >= maxLately {
		s.older, s.newer = s.newer, nil
	}
	if s.newer == nil {
		s.newer = map[string]struct{}{}
	}
	s.newer[string(id)] = struct{}{}
}

func (s *lately) has(id []byte) bool {
	_, newer := s.newer[string(id)]
	_, older := s.older[string(id)]
	return newer || older
}

// parted adds the other names of a file that a record still names by one that
// has become another file's: whoever opened it by that name writes to them.
func (f *fanotify) parted(rec *fanRecord, op Op, out []Event) []Event {
	if op&(Modify|CloseWrite) == 0 || rec.self == nil || !f.replaced.has(rec.self) {
		return out
	}
	return f.everywhere(rec.self, op&(Modify|CloseWrite), out)
}

// outlived looks for a file that was written through a name which is gone now:
// it may go by other names, and the consumer may never have seen this one. A
// link can be made, written through and removed before anybody looks.
func (f *fanotify) outlived(rec *fanRecord, op Op, out []Event) []Event {
	if rec.self == nil {
		return out
	}
	if op&(Modify|CloseWrite) != 0 {
		f.written.add(rec.self)
	}
	if op&(Delete|MovedFrom) == 0 || !f.written.has(rec.self) {
		return out
	}
	return f.everywhere(rec.self, Modify|CloseWrite, out)
}

// everywhere tells of a file under all its names, if it has any.
func (f *fanotify) everywhere(id []byte, op Op, out []Event) []Event {
	a := f.areaOf(id)
	if a.open() != nil {
		return out
	}
	fd, err := openID(a.fd, string(id))
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
