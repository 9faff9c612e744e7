package walk

import (
	"encoding/binary"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Name is an entry of a directory as the directory itself tells it.
type Name struct {
	Name string
	Dir  bool
}

// direntType is where a struct linux_dirent64 has its type.
const direntType = 18

// Names lists directory p without looking at the entries, in no order, and
// appends them to into. It costs a fraction of ReadDir.
func (r *Root) Names(p tree.Path, into []Name) ([]Name, error) {
	root, err := r.h.acquire()
	if err != nil {
		return into, fail(opList, p, err)
	}
	defer r.h.release()
	fd, err := r.resolve.open(root, p, openList)
	if err != nil {
		return into, fail(opList, p, err)
	}
	defer unix.Close(fd)
	into, err = direntNames(fd, into)
	return into, fail(opList, p, err)
}

func direntNames(fd int, into []Name) ([]Name, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for {
		n, err := unix.Getdents(fd, s.dirents)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return into, err
		}
		for b := s.dirents[:n]; len(b) > direntName; {
			size := int(binary.NativeEndian.Uint16(b[direntLen:]))
			kind, name := b[direntType], b[direntName:size]
			b = b[size:]
			end := slices.Index(name, 0)
			if end < 0 || isDots(name[:end]) {
				continue
			}
			e := Name{Name: string(name[:end]), Dir: kind == unix.DT_DIR}
			if kind == unix.DT_UNKNOWN {
				m, err := statName(fd, e.Name)
				if err != nil {
					continue // gone
				}
				e.Dir = m.IsDir()
			}
			into = append(into, e)
		}
	}
}

// Unreadable reports whether this process may not read an entry of a directory,
// or what it leads to.
func Unreadable(fd int, name string) bool {
	return unix.Faccessat(fd, name, unix.R_OK, unix.AT_EACCESS) == unix.EACCES
}

// Readable drops the names in directory p that this process may not read;
// symlinks stay.
func (r *Root) Readable(p tree.Path, names []Name) ([]Name, error) {
	root, err := r.h.acquire()
	if err != nil {
		return nil, fail(opList, p, err)
	}
	defer r.h.release()
	fd, err := r.resolve.open(root, p, openPath)
	if err != nil {
		return nil, fail(opList, p, err)
	}
	defer unix.Close(fd)
	return slices.DeleteFunc(names, func(n Name) bool {
		if !Unreadable(fd, n.Name) {
			return false
		}
		m, err := statName(fd, n.Name)
		return err == nil && m.Kind != tree.Symlink
	}), nil
}
