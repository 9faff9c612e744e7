package apply

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// Object is what single system calls work on: a name in a directory that is
// held open, which is never followed, or, without a name, an open file. Its
// errors are plain ones of the system. It is valid as long as the directory or
// the file is held.
type Object struct {
	fd   int
	name string
}

// Chown sets owner and group, -1 for what stays.
func (o Object) Chown(uid, gid int) error {
	if o.name == "" {
		return unix.Fchown(o.fd, uid, gid)
	}
	return unix.Fchownat(o.fd, o.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// Chmod sets the 12 permission bits of anything but a symlink.
func (o Object) Chmod(perm uint16) error {
	if o.name == "" {
		return unix.Fchmod(o.fd, uint32(perm))
	}
	if !noChmodAt.Load() {
		err := unix.Fchmodat(o.fd, o.name, uint32(perm), unix.AT_SYMLINK_NOFOLLOW)
		switch err {
		default:
			return err
		case syscall.EOPNOTSUPP: // missing: x/sys says so
			noChmodAt.Store(true)
		case syscall.EPERM:
		}
	}
	return o.chmodPinned(perm)
}

// noChmodAt keeps chmod from using fchmodat2(2).
var noChmodAt atomic.Bool

// chmodPinned is chmod before Linux 6.6, which brought fchmodat2, and behind
// filters that do not know it: the object is held by a
// handle, seen not to be a symlink, and reached through /proc.
func (o Object) chmodPinned(perm uint16) error {
	fd, err := unix.Openat(o.fd, o.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return syscall.EOPNOTSUPP
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(perm))
}

// SetTimes sets the modification and the access time; nil leaves one as it is.
func (o Object) SetTimes(mtime, atime *tree.Time) error {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	for i, t := range [...]*tree.Time{atime, mtime} {
		if t != nil {
			ts[i] = unix.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)}
		}
	}
	if o.name == "" {
		return futimens(o.fd, &ts)
	}
	return unix.UtimesNanoAt(o.fd, o.name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}

// futimens is utimensat without a path, which x/sys has no way to say.
func futimens(fd int, ts *[2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Stat is the metadata of the object.
func (o Object) Stat() (tree.Meta, error) { return walk.StatAt(o.fd, o.name) }

// Xattrs are its extended attributes, see walk.XattrsAt.
func (o Object) Xattrs() ([]walk.Xattr, error) { return walk.XattrsAt(o.fd, o.name) }

// Open opens a name, without following it.
func (o Object) Open(flags int, mode uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(o.fd, o.name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == nil {
			return os.NewFile(uintptr(fd), o.name), nil
		}
		if err != syscall.EINTR {
			return nil, err
		}
	}
}

// Readlink is the target of a symlink.
func (o Object) Readlink() (string, error) { return walk.ReadlinkAt(o.fd, o.name) }

// Mkdir makes a directory of that name.
func (o Object) Mkdir(perm uint32) error { return unix.Mkdirat(o.fd, o.name, perm) }

// Symlink makes a symlink of that name.
func (o Object) Symlink(target string) error { return unix.Symlinkat(target, o.fd, o.name) }

// Mknod makes a device, fifo or socket of that name as m says, but for perm.
func (o Object) Mknod(m tree.Meta, perm uint32) error {
	dev := 0
	if m.Kind.IsDevice() {
		dev = int(unix.Mkdev(m.Major, m.Minor))
	}
	return unix.Mknodat(o.fd, o.name, m.Kind.TypeBits()|perm, dev)
}

// LinkTo gives the object another name.
func (o Object) LinkTo(to Object) error {
	if o.name == "" {
		return unix.Linkat(o.fd, "", to.fd, to.name, unix.AT_EMPTY_PATH)
	}
	return unix.Linkat(o.fd, o.name, to.fd, to.name, 0)
}

// RenameTo gives the object another name instead of its own, as rename(2) does.
func (o Object) RenameTo(to Object) error { return unix.Renameat(o.fd, o.name, to.fd, to.name) }

// Unlink removes a name of anything but a directory: EISDIR.
func (o Object) Unlink() error {
	var buf [tree.MaxName + 1]byte // a copy with NUL that needs no allocation
	switch {
	case len(o.name) > tree.MaxName:
		return syscall.ENAMETOOLONG
	case strings.IndexByte(o.name, 0) >= 0:
		return syscall.EINVAL
	}
	copy(buf[:], o.name)
	if _, _, errno := unix.Syscall(unix.SYS_UNLINKAT, uintptr(o.fd), uintptr(unsafe.Pointer(&buf[0])), 0); errno != 0 {
		return errno
	}
	return nil
}

// Rmdir removes an empty directory.
func (o Object) Rmdir() error { return unix.Unlinkat(o.fd, o.name, unix.AT_REMOVEDIR) }

// StatTimes is Stat with the other times.
func (o Object) StatTimes() (tree.Meta, walk.Times, error) { return walk.StatTimesAt(o.fd, o.name) }

// Xattr is the value of one extended attribute; nil if it has none of that
// name.
func (o Object) Xattr(attr string) ([]byte, error) { return walk.XattrAt(o.fd, o.name, attr) }

// Name is the object's name in its directory, "" for an open file.
func (o Object) Name() string { return o.name }

// Opened is the Object of an open file, which the caller keeps open.
func Opened(f *os.File) Object { return Object{fd: int(f.Fd())} }
