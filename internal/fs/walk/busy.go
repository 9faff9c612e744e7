package walk

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNoLease says that it cannot be known whether a file is being written: it
// belongs to another user, or the file system has no leases.
var ErrNoLease = errors.New("no lease to be had")

// BusyFile is Root.Busy for an open file; see there.
func BusyFile(f *os.File) (busy bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	if held := conn.Control(func(fd uintptr) { busy, err = BusyFD(int(fd)) }); held != nil {
		return false, held
	}
	return busy, err
}

// BusyFD is BusyFile for a descriptor. It must have been opened for reading
// only.
func BusyFD(fd int) (busy bool, err error) {
	switch _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err {
	case nil:
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK) // closing does it as well
		return false, nil
	case syscall.EAGAIN:
		return true, nil
	default:
		return false, ErrNoLease
	}
}
