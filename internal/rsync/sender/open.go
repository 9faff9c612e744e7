package sender

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
)

// openFile opens the regular file called name, a single component, in the
// directory open as dir, and gives its state. It does what walk.Dir.Open does
// without making an os.File of it, which costs more than reading a small file.
func openFile(dir int, name string) (fd int, v version, err error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err = openAt(dir, name, flags|unix.O_NOATIME)
	if err == syscall.EPERM { // O_NOATIME is for the owner only
		fd, err = openAt(dir, name, flags)
	}
	switch err {
	case nil:
	case syscall.ELOOP, syscall.ENXIO: // a symlink; a socket, or a device without driver
		return -1, version{}, walk.ErrNotRegular
	default:
		return -1, version{}, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = walk.ErrNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, version{}, err
	}
	return fd, versionOf(&st), nil
}

func openAt(dir int, name string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flags, 0); err != syscall.EINTR {
			return fd, err
		}
	}
}

// readFull reads until p is full; io.ErrUnexpectedEOF if the file ends before.
func readFull(fd int, p []byte) (n int, err error) {
	for n < len(p) {
		k, err := unix.Read(fd, p[n:])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return n, err
		case k == 0:
			return n, io.ErrUnexpectedEOF
		default:
			n += k
		}
	}
	return n, nil
}
