package sender

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
)

const openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// openFile opens the file called name, a single component, in dir, which is open
// as at, and gives its state. It is a regular file, or a device with
// --copy-devices. Only where the list says so is a symlink followed.
func (s *source) openFile(dir *walk.Dir, at int, name string, followed bool) (fd int, v version, err error) {
	if followed {
		fd, err = dir.OpenFollowing(name)
	} else {
		fd, err = openAt(at, name, openFlags|unix.O_NOATIME)
		if err == syscall.EPERM { // O_NOATIME is for the owner only
			fd, err = openAt(at, name, openFlags)
		}
	}
	switch {
	case err == nil:
	case s.careful && (err == syscall.ELOOP || err == syscall.ENXIO): // a symlink; a socket, or a device without driver
		return -1, version{}, walk.ErrNotRegular
	default:
		return -1, version{}, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = s.mayRead(fd, &st)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, version{}, err
	}
	return fd, versionOf(&st), nil
}

// mayRead refuses what is no regular file, and gives devices their size.
func (s *source) mayRead(fd int, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFBLK, unix.S_IFCHR:
		if s.params.Opt.CopyDevices {
			if size, err := unix.Seek(fd, 0, unix.SEEK_END); err == nil {
				st.Size = size
				_, err = unix.Seek(fd, 0, unix.SEEK_SET)
				return err
			}
			return nil
		}
	}
	return walk.ErrNotRegular
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
