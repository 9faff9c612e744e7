package watch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// ErrRootGone is wrapped by every RootError.
var ErrRootGone = errors.New("the watched root is gone")

// Cause is what became of the root.
type Cause uint8

// The causes.
const (
	Vanished  Cause = iota // nothing is there any more: deleted or moved
	Deleted                // it was removed
	Moved                  // it has another name now
	Replaced               // its path leads to another directory
	Unmounted              // its file system was unmounted
)

var causeNames = [...]string{"no longer there", "deleted", "moved away", "replaced by another directory", "unmounted"}

func (c Cause) String() string { return causeNames[c] }

// RootError says that the root's path no longer leads to the directory that is
// watched. Nothing that is seen there afterwards is news of the source.
type RootError struct {
	Root  string
	Cause Cause
	Err   error // what the kernel said, or nil
}

func (e *RootError) Error() string {
	s := fmt.Sprintf("watched root %s: %v", tree.Quote(e.Root), e.Cause)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives ErrRootGone and Err.
func (e *RootError) Unwrap() []error { return []error{ErrRootGone, e.Err} }

// pin is the identity of the root. It holds no descriptor, since that would
// keep the file system from being unmounted.
type pin struct {
	path  string // as given
	real  string // without symlinks
	inode tree.Inode
	mount uint64 // id of the mount it lies on
	top   bool   // it is the root of that mount
}

func pinRoot(path string) (*pin, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tree.Quote(path), err)
	}
	defer unix.Close(fd)
	st, err := statRoot(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", tree.Quote(path), err)
	}
	real, err := os.Readlink(procFD(fd))
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", tree.Quote(path), err)
	}
	return &pin{path: path, real: real, inode: inodeOf(&st), mount: st.Mnt_id,
		top: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0}, nil
}

// procFD is a name that leads to the object open as fd, whatever its path.
func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func statRoot(at int, path string, flags int) (st unix.Statx_t, err error) {
	// A unique mount id (Linux 6.8) is never used again; the plain one may be.
	err = unix.Statx(at, path, flags|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID_UNIQUE, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		err = unix.Statx(at, path, flags|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
	}
	return st, err
}

func inodeOf(st *unix.Statx_t) tree.Inode {
	return tree.Inode{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
}

// check reports whether the path still leads to the pinned directory; the
// error is a *RootError.
func (p *pin) check() error {
	st, err := statRoot(unix.AT_FDCWD, p.path, 0)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ESTALE:
		return &RootError{Root: p.path, Cause: Vanished, Err: err}
	case err != nil:
		return nil // cannot tell; a scan that meets the same error fails by itself
	}
	return p.match(&st)
}

func (p *pin) match(st *unix.Statx_t) error {
	switch {
	case inodeOf(st) == p.inode && st.Mnt_id == p.mount:
		return nil
	case p.top && st.Mnt_id != p.mount:
		return &RootError{Root: p.path, Cause: Unmounted}
	}
	return &RootError{Root: p.path, Cause: Replaced}
}

// open opens the root for reading. The caller closes it soon: while it is open
// the file system cannot be unmounted.
func (p *pin) open() (int, error) {
	fd, err := unix.Open(p.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		if gone := p.check(); gone != nil {
			return -1, gone
		}
		return -1, fmt.Errorf("open %s: %w", tree.Quote(p.path), err)
	}
	st, err := statRoot(fd, "", unix.AT_EMPTY_PATH)
	if err == nil {
		err = p.match(&st)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openBelow opens the directory p beneath base without following symlinks.
func openBelow(base int, p tree.Path, flags int) (int, error) {
	name := string(p)
	if p == tree.Root {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(base, name, &how)
		switch err {
		case unix.EINTR:
		case unix.ENOSYS: // Linux before 5.6
			return openSteps(base, name, flags)
		default:
			return fd, err
		}
	}
}

func openSteps(base int, path string, flags int) (int, error) {
	at := base
	for {
		name, rest, more := strings.Cut(path, "/")
		how := unix.O_PATH
		if !more {
			how = flags
		}
		fd, err := unix.Openat(at, name, how|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if at != base {
			_ = unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, path = fd, rest
	}
}
