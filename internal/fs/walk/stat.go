package walk

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// StatFile is the metadata of an open file.
func StatFile(f *os.File) (tree.Meta, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return tree.Meta{}, err
	}
	var m tree.Meta
	cerr := conn.Control(func(fd uintptr) { m, err = statFD(int(fd)) })
	if cerr != nil {
		return tree.Meta{}, cerr
	}
	return m, err
}

// StatAt is the metadata of name in the directory open as fd, which is not
// followed, or, if name is empty, of the open file fd itself. The error is a
// syscall.Errno.
func StatAt(fd int, name string) (tree.Meta, error) {
	if name == "" {
		return statFD(fd)
	}
	return statName(fd, name)
}

const statFlags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT

var emptyName = [1]byte{}

func statFD(fd int) (tree.Meta, error) {
	return statx(fd, &emptyName[0], unix.AT_EMPTY_PATH)
}

func statName(fd int, name string) (tree.Meta, error) {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return tree.Meta{}, err
	}
	return statx(fd, p, statFlags)
}

// statx takes the name as a pointer to NUL-terminated bytes, since the
// wrapper in x/sys allocates a copy for every call.
func statx(fd int, name *byte, flags int) (tree.Meta, error) {
	var st unix.Statx_t
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(name)),
			uintptr(flags), unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(&st)), 0)
		switch errno {
		case 0:
			return metaOf(&st)
		case syscall.EINTR:
		default:
			return tree.Meta{}, errno
		}
	}
}

func metaOf(st *unix.Statx_t) (tree.Meta, error) {
	kind, ok := tree.KindOfMode(uint32(st.Mode))
	if !ok {
		return tree.Meta{}, syscall.EINVAL
	}
	m := tree.Meta{
		Kind:  kind,
		Perm:  st.Mode & tree.PermMask,
		UID:   st.Uid,
		GID:   st.Gid,
		Nlink: st.Nlink,
		Size:  int64(st.Size),
		Mtime: tree.Time{Sec: st.Mtime.Sec, Nsec: st.Mtime.Nsec},
		Ctime: tree.Time{Sec: st.Ctime.Sec, Nsec: st.Ctime.Nsec},
		Dev:   unix.Mkdev(st.Dev_major, st.Dev_minor),
		Ino:   st.Ino,
	}
	if kind.IsDevice() {
		m.Major, m.Minor = st.Rdev_major, st.Rdev_minor
	}
	return m, nil
}
