package walk

import (
	"os"
	"strings"
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
	var buf [tree.MaxName + 1]byte // a copy with NUL that needs no allocation
	if len(name) > tree.MaxName {
		return tree.Meta{}, syscall.ENAMETOOLONG
	}
	if strings.IndexByte(name, 0) >= 0 {
		return tree.Meta{}, syscall.EINVAL
	}
	copy(buf[:], name)
	return statx(fd, &buf[0], statFlags)
}

func statx(fd int, name *byte, flags int) (tree.Meta, error) {
	var st unix.Statx_t
	if err := statxInto(fd, name, flags, unix.STATX_BASIC_STATS, &st); err != nil {
		return tree.Meta{}, err
	}
	return metaOf(&st)
}

// statxInto takes the name as a pointer to NUL-terminated bytes, since the
// wrapper in x/sys allocates a copy for every call.
func statxInto(fd int, name *byte, flags, mask int, st *unix.Statx_t) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(name)),
			uintptr(flags), uintptr(mask), uintptr(unsafe.Pointer(st)), 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return errno
		}
	}
}

// Times are those that tree.Meta has no room for, since few want them.
type Times struct {
	Access, Birth tree.Time // Birth is zero where the file system keeps none
}

// StatTimesAt is StatAt with the other times.
func StatTimesAt(fd int, name string) (m tree.Meta, t Times, err error) {
	p, flags := &emptyName[0], unix.AT_EMPTY_PATH
	if name != "" {
		if p, err = unix.BytePtrFromString(name); err != nil {
			return m, t, err
		}
		flags = statFlags
	}
	var st unix.Statx_t
	if err = statxInto(fd, p, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil {
		return m, t, err
	}
	t.Access = tree.Time{Sec: st.Atime.Sec, Nsec: st.Atime.Nsec}
	if st.Mask&unix.STATX_BTIME != 0 {
		t.Birth = tree.Time{Sec: st.Btime.Sec, Nsec: st.Btime.Nsec}
	}
	m, err = metaOf(&st)
	return m, t, err
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
