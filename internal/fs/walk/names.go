package walk

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Name is an entry of a directory as the directory itself tells it.
type Name struct {
	Name string
	Kind tree.Kind
}

// IsDir reports whether it is a directory.
func (n Name) IsDir() bool { return n.Kind == tree.Dir }

// direntType is where a struct linux_dirent64 has its type.
const direntType = 18

// Names lists directory p without looking at the entries, in no order, and
// appends them to into. It costs a fraction of ReadDir.
func (r *Root) Names(p tree.Path, into []Name) ([]Name, error) {
	err := r.opened(p, openList, func(fd int) (err error) {
		into, err = direntNames(fd, into)
		return fail(opList, p, err)
	})
	return into, err
}

// opened opens directory p for read and closes it afterwards; flags are openPath
// or openList.
func (r *Root) opened(p tree.Path, flags int, read func(fd int) error) error {
	root, err := r.h.acquire()
	if err != nil {
		return fail(opList, p, err)
	}
	defer r.h.release()
	fd, err := r.resolve.open(root, p, flags)
	if err != nil {
		return fail(opList, p, err)
	}
	defer unix.Close(fd)
	return read(fd)
}

// direntNames reads the directory open as fd. The names share strings.
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
		from := len(into)
		s.names = s.names[:0]
		for b := s.dirents[:n]; len(b) > direntName; {
			size := int(binary.NativeEndian.Uint16(b[direntLen:]))
			name := b[direntName:size]
			kind, known := tree.KindOfMode(uint32(b[direntType]) << 12)
			b = b[size:]
			end := bytes.IndexByte(name, 0)
			if end < 0 || isDots(name[:end]) {
				continue
			}
			if !known {
				m, err := statName(fd, string(name[:end]))
				if err != nil {
					continue // gone
				}
				kind = m.Kind
			}
			s.names = append(s.names, name[:end+1]...)
			into = append(into, Name{Kind: kind})
		}
		all := string(s.names)
		for i := range into[from:] {
			end := strings.IndexByte(all, 0)
			into[from+i].Name, all = all[:end], all[end+1:]
		}
	}
}

// ReadKinds is ReadDir that looks at directories alone: of all else the metadata
// has the kind and nothing more. If an entry that it looks at is gone, all are
// looked at.
func (r *Root) ReadKinds(p tree.Path) (entries []tree.Entry, err error) {
	err = r.opened(p, openList, func(fd int) (err error) {
		entries, err = listKinds(fd, p)
		return err
	})
	return entries, err
}

// listKinds looks at directories and, since a directory without permission to
// search it cannot be told from its names, at the first entry.
func listKinds(fd int, p tree.Path) ([]tree.Entry, error) {
	names, err := direntNames(fd, nil)
	if err != nil {
		return nil, fail(opList, p, err)
	}
	entries := make([]tree.Entry, len(names))
	for i, n := range names {
		entries[i] = tree.Entry{Name: n.Name, Meta: tree.Meta{Kind: n.Kind}}
		if i > 0 && !n.IsDir() {
			continue
		}
		if entries[i].Meta, err = statName(fd, n.Name); err != nil {
			_, _ = unix.Seek(fd, 0, unix.SEEK_SET)
			return list(fd, p, defaultWorkers())
		}
	}
	return entries, nil
}

// Unreadable reports whether this process may not read an entry of a directory,
// or what it leads to.
func Unreadable(fd int, name string) bool {
	return unix.Faccessat(fd, name, unix.R_OK, unix.AT_EACCESS) == unix.EACCES
}

// Readable drops the names in directory p that this process may not read;
// symlinks stay.
func (r *Root) Readable(p tree.Path, names []Name) ([]Name, error) {
	err := r.opened(p, openPath, func(fd int) error {
		names = slices.DeleteFunc(names, func(n Name) bool {
			if !Unreadable(fd, n.Name) {
				return false
			}
			m, err := statName(fd, n.Name)
			return err == nil && m.Kind != tree.Symlink
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}
