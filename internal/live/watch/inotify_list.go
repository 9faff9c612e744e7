package watch

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// list looks into directory d, which is open as fd and lies at p: it arms the
// directories in it and forgets those that are not there any more.
func (e *inotify) list(fd int, d *watchDir, p tree.Path, h how, fresh bool) {
	tell := h.tell == tellAll || h.tell == tellNew && fresh
	if fresh && !tell && d.id >= 0 && e.childless(fd, "") {
		return
	}
	if e.unwatched[d] != nil {
		e.remember(d) // first, so that what comes meanwhile is in one of the two
	}
	names, err := e.names(fd, tell, p)
	if err != nil {
		e.cannot(p, err)
		e.closed[d] = true
		return
	}
	delete(e.closed, d)
	if !fresh {
		e.forgetOthers(d, names)
	}
	e.enter(fd)
	for _, name := range names {
		if e.w.ctx.Err() != nil {
			return
		}
		sub := p.Join(name)
		switch _, err := e.arm(fd, d, name, sub, h); err {
		case nil, unix.ENOENT, unix.ENOTDIR, unix.ELOOP: // gone, or something else by now
		case unix.EACCES:
			e.closed[d] = true
			e.cannot(sub, err)
		case unix.ESTALE, unix.EMFILE, unix.ENFILE, unix.ENOMEM:
			e.postpone(d, name)
		default:
			e.cannot(sub, err)
		}
	}
}

// maxCannot is how many directories are named before it is only counted.
const maxCannot = 10

// cannot says that the directory at p is not watched.
func (e *inotify) cannot(p tree.Path, err error) {
	e.failed++
	switch {
	case e.failed < maxCannot:
		e.w.notice("", "directory %v is not watched: %v", p, err)
	case e.failed == maxCannot:
		e.w.notice("", "directory %v and others are not watched: %v", p, err)
	}
}

// forgetOthers drops the directories known in d that are not among names.
func (e *inotify) forgetOthers(d *watchDir, names []string) {
	there := make(map[string]bool, len(names))
	for _, n := range names {
		there[n] = true
	}
	for i := len(d.kids) - 1; i >= 0; i-- {
		if kid := d.kids[i]; !there[kid.name] {
			e.drop(kid)
		}
	}
}

// childless reports whether the directory called name in the one open as at,
// or that one itself, has no subdirectories. Some file systems say so by the
// link count: "." and the own name, no "..".
func (e *inotify) childless(at int, name string) bool {
	var st unix.Stat_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if unix.Fstatat(at, name, &st, flags) != nil || st.Nlink != 2 {
		return false
	}
	counts, known := e.counts[uint64(st.Dev)]
	if !known {
		var fs unix.Statfs_t
		if unix.Fstatfs(at, &fs) != nil || name != "" {
			return false // at may lie on another file system; its own turn comes
		}
		counts = countsDirs(&fs)
		e.counts[uint64(st.Dev)] = counts
	}
	return counts
}

// countsDirs reports whether the links of a directory tell how many
// subdirectories it has on this file system.
func countsDirs(fs *unix.Statfs_t) bool {
	return fs.Type == unix.EXT4_SUPER_MAGIC || fs.Type == unix.XFS_SUPER_MAGIC || fs.Type == unix.TMPFS_MAGIC
}

const (
	// The layout of struct linux_dirent64: inode and offset of 8 bytes each,
	// record length of 2, type of 1, then the name with a NUL.
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// names are the directories in the one open as fd. With tell, everything in it
// becomes a Found event.
func (e *inotify) names(fd int, tell bool, p tree.Path) (names []string, err error) {
	if e.dents == nil {
		e.dents = make([]byte, 64<<10)
	}
	for {
		n, err := unix.Getdents(fd, e.dents)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return names, err
		}
		for b := e.dents[:n]; len(b) > direntName; {
			size := int(binary.NativeEndian.Uint16(b[direntLen:]))
			kind, name := b[direntType], b[direntName:size]
			b = b[size:]
			name, _, _ = bytes.Cut(name, []byte{0})
			if string(name) == "." || string(name) == ".." {
				continue
			}
			isDir := kind == unix.DT_DIR || kind == unix.DT_UNKNOWN && isDirAt(fd, string(name))
			if isDir {
				names = append(names, string(name))
			}
			if tell {
				e.add(Event{Op: Found, Path: p.Join(string(name)), Dir: isDir})
			}
		}
	}
}

func isDirAt(fd int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
