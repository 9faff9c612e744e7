package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// An id is what identifies an object in records: 8 bytes of file system id,
// then struct file_handle (4 bytes of length, 4 of type, the handle).
const (
	fsidLen  = 8
	idHeader = 16

	maxClimb = 4096 // levels; a longer path cannot be named anyway
)

// identify gives the id of the object called name in the directory open as fd,
// or of that directory itself, and the id of its mount.
func identify(fd int, name string) (id string, mount int, err error) {
	flags := 0
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	h, mount, err := unix.NameToHandleAt(fd, name, flags)
	if err != nil {
		return "", 0, err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return "", 0, err
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(st.Fsid.Val[0]))
	b = binary.NativeEndian.AppendUint32(b, uint32(st.Fsid.Val[1]))
	return string(appendHandle(b, h)), mount, nil
}

func appendHandle(b []byte, h unix.FileHandle) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(h.Size()))
	b = binary.NativeEndian.AppendUint32(b, uint32(h.Type()))
	return append(b, h.Bytes()...)
}

// openID opens the object id, through any descriptor on its mount.
func openID(mountFD int, id string) (int, error) {
	if len(id) < idHeader {
		return -1, unix.ESTALE
	}
	kind := int32(binary.NativeEndian.Uint32([]byte(id[12:16])))
	for {
		fd, err := unix.OpenByHandleAt(mountFD, unix.NewFileHandle(kind, []byte(id[idHeader:])), unix.O_PATH|unix.O_CLOEXEC)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// whereabouts says why a directory is not in the tree.
type whereabouts bool

const (
	elsewhere whereabouts = false // outside the source
	removed   whereabouts = true
)

// place finds the directory id in the tree: nil if it lies outside the source
// or was removed, see outside.
func (f *fanotify) place(id []byte) (*dir[string], error) {
	if id == nil {
		return nil, nil
	}
	if d := f.tree.byID[string(id)]; d != nil {
		return d, nil
	}
	if _, yes := f.outside[string(id)]; yes {
		return nil, nil
	}
	var failed error
	where := elsewhere
	for _, a := range f.areas {
		if !strings.HasPrefix(string(id), a.fsid) {
			continue
		}
		d, err := f.climb(a, string(id))
		for try := 1; errors.Is(err, errMoving) && try < maxTries; try++ {
			d, err = f.climb(a, string(id))
		}
		switch {
		case errors.Is(err, errRemoved):
			where = removed
		case err != nil:
			failed = err
		case d != nil:
			return d, nil
		}
	}
	if failed != nil {
		return nil, failed
	}
	f.markOutside(string(id), where)
	return nil, nil
}

// errRemoved says that a directory is gone.
var errRemoved = errors.New("the directory was removed")

// errMoving says that directories moved while their parents were asked for.
var errMoving = errors.New("directories moved during the lookup")

// maxTries is how often a lookup is tried while directories move.
const maxTries = 4

// step is a directory met while climbing.
type step struct{ id, name string }

// climb asks the kernel for the parents of id, as seen through a's mount, up
// to one that is known, and puts what lies between into the tree. Only handles
// and ".." are followed, never a path, so what a concurrent rename can spoil is
// a name or a place that a record still to come will correct.
func (f *fanotify) climb(a *area, id string) (*dir[string], error) {
	if err := a.open(); err != nil {
		if a == f.areas[0] {
			return nil, err
		}
		return nil, nil // that mount is gone; the guard says so
	}
	fd, err := openID(a.fd, id)
	switch {
	case err == unix.ESTALE:
		return nil, errRemoved
	case err != nil:
		return nil, fmt.Errorf("open by handle: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var chain []step
	for range maxClimb {
		name, gone, err := nameOf(fd)
		if err != nil {
			return nil, err
		}
		if gone {
			return nil, errRemoved
		}
		chain = append(chain, step{id, name})
		parent, mount, err := unix.NameToHandleAt(fd, "..", 0)
		switch {
		case err == unix.ENOENT: // not below the mount's root
			f.chainOutside(chain)
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("parent of a directory: %w", err)
		case mount != a.mount: // at the mount's root, and it was not known
			f.chainOutside(chain)
			return nil, nil
		}
		below := id
		id = string(appendHandle([]byte(a.fsid), parent))
		if d := f.tree.byID[id]; d != nil {
			return f.hang(d, chain), nil
		}
		if _, yes := f.outside[id]; yes || id == below { // "/" is its own parent
			f.chainOutside(chain)
			return nil, nil
		}
		next, err := openID(a.fd, id)
		if err == unix.ESTALE {
			return nil, errMoving
		}
		if err != nil {
			return nil, fmt.Errorf("open by handle: %w", err)
		}
		_ = unix.Close(fd)
		fd = next
	}
	return nil, fmt.Errorf("more than %d levels of directories: %w", maxClimb, unix.ENAMETOOLONG)
}

// hang puts a chain of directories, deepest first, below d and returns the
// deepest.
func (f *fanotify) hang(d *dir[string], chain []step) *dir[string] {
	for i := len(chain) - 1; i >= 0; i-- {
		d = f.insert(d, chain[i].name, chain[i].id)
		f.led[d] = true
	}
	return d
}

// chainOutside remembers the directories of a chain. With several mounts of one
// file system, being outside one of them says nothing about the others.
func (f *fanotify) chainOutside(chain []step) {
	fsid := chain[0].id[:fsidLen]
	mounts := 0
	for _, a := range f.areas {
		if a.fsid == fsid {
			mounts++
		}
	}
	if mounts > 1 {
		return
	}
	for _, s := range chain {
		f.markOutside(s.id, elsewhere)
	}
}

// open opens a's mount for a while, see rest.
func (a *area) open() error {
	if a.fd >= 0 {
		return nil
	}
	fd, err := a.pin.open()
	if err != nil {
		return err
	}
	a.fd = fd
	return nil
}

// areaOf is the marked file system that id lies on.
func (f *fanotify) areaOf(id string) *area {
	for _, a := range f.areas {
		if strings.HasPrefix(id, a.fsid) {
			return a
		}
	}
	return f.areas[0]
}

// deletedMark is what the kernel appends to the name of a removed object.
const deletedMark = " (deleted)"

// nameOf is the last component of the path of the object open as fd; gone says
// that it has none since it was removed.
func nameOf(fd int) (name string, gone bool, err error) {
	path, err := os.Readlink(procFD(fd))
	if err != nil {
		return "", false, err
	}
	if strings.HasSuffix(path, deletedMark) {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return "", false, err
		}
		// Some file systems give every directory one link, so a count of zero
		// is the one sure sign.
		if st.Nlink == 0 {
			return "", true, nil
		}
	}
	return path[strings.LastIndexByte(path, '/')+1:], false, nil
}

// nameless handles a record that names no directory, or one that is gone: the
// object was reached by its handle, or was opened by a name that is gone, or the
// kernel tells of a changed number of links. The latter is most frequent and
// comes right before a record of the link made or removed, where it says nothing
// new, or after a rename that took the name away.
func (f *fanotify) nameless(rec *fanRecord, rest []byte, out []Event) ([]Event, error) {
	op := Op(rec.mask) & opsOfKernel
	if rec.self == nil || rec.mask&unix.FAN_ONDIR != 0 {
		return out, nil // directories are named by themselves
	}
	if op == Attrib && len(rest) > 0 {
		if next, _, err := nextFan(rest); err == nil && string(next.self) == string(rec.self) &&
			next.mask&(unix.FAN_CREATE|unix.FAN_DELETE) != 0 {
			return out, nil
		}
	}
	a := f.areaOf(string(rec.self))
	if err := a.open(); err != nil {
		return f.unplaced(err, out)
	}
	fd, err := openID(a.fd, string(rec.self))
	if err != nil {
		return out, nil // removed
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Nlink == 0 {
		return out, nil
	}
	if op&Attrib != 0 && rec.at.dir == nil {
		f.links.replaced.note(string(rec.self), "")
	}
	// A name that the kernel remembers and that leads to the same inode will do.
	path, err := os.Readlink(procFD(fd))
	if err == nil {
		var named unix.Stat_t
		if unix.Lstat(path, &named) == nil && named.Dev == st.Dev && named.Ino == st.Ino {
			if p, inside := f.below(path); inside {
				return f.w.add(out, Event{Op: op, Path: p}), nil
			}
			if st.Nlink == 1 {
				return out, nil // its only name is outside
			}
		}
	}
	return f.w.add(out, Event{Op: op | Nameless, Inode: tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}}), nil
}

// below is path as seen from the source root.
func (f *fanotify) below(path string) (tree.Path, bool) {
	rel, err := filepath.Rel(f.w.pin.real, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	p, err := tree.Clean(rel)
	return p, err == nil
}

// tmpfileInode recognises the name that the kernel gives to a file made with
// O_TMPFILE: '#' and the inode number. Its events keep that name even after it
// has been linked into a directory.
func tmpfileInode(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}
