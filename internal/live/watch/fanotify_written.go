package watch

import (
	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// maxWritten bounds the files in each half of written, about 80 bytes each.
const maxWritten = 1 << 13

// written is the files that were written of late, by handle: those before the
// newer half filled up the last time are forgotten.
type written struct{ newer, older map[string]struct{} }

func (s *written) add(id []byte) {
	if _, ok := s.newer[string(id)]; ok {
		return
	}
	if len(s.newer) >= maxWritten {
		s.older, s.newer = s.newer, nil
	}
	if s.newer == nil {
		s.newer = map[string]struct{}{}
	}
	s.newer[string(id)] = struct{}{}
}

func (s *written) has(id []byte) bool {
	_, newer := s.newer[string(id)]
	_, older := s.older[string(id)]
	return newer || older
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
	a := f.areaOf(rec.self)
	if a.open() != nil {
		return out
	}
	fd, err := openID(a.fd, string(rec.self))
	if err != nil {
		return out // gone with its last name
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Nlink == 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return out
	}
	return f.w.add(out, Event{Op: Modify | CloseWrite | Nameless, Inode: tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}})
}
