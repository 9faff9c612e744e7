package walk

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Dir is a held directory handle. Names are single components; anything else
// is EINVAL. It stays with the directory when that is renamed.
type Dir struct {
	h      *handle
	path   tree.Path // where it was found, for messages
	origin origin
}

// Close gives the handle back; a second call returns fs.ErrClosed.
func (d *Dir) Close() error { return d.h.close() }

// Path is where the directory was when it was opened.
func (d *Dir) Path() tree.Path { return d.path }

// Acquire gives the descriptor (O_PATH), which stays open until Release.
func (d *Dir) Acquire() (fd int, err error) { return d.h.acquire() }

// Release ends the use that Acquire began.
func (d *Dir) Release() { d.h.release() }

// Stat is the metadata of the directory itself.
func (d *Dir) Stat() (tree.Meta, error) {
	fd, err := d.h.acquire()
	if err != nil {
		return tree.Meta{}, fail("stat", d.path, err)
	}
	defer d.h.release()
	m, err := statFD(fd)
	return m, fail("stat", d.path, err)
}

// Dir opens a handle on the subdirectory called name.
func (d *Dir) Dir(name string) (sub *Dir, err error) {
	err = d.at("open directory", name, func(fd int) error {
		got, err := openat(fd, name, openPath)
		if err == nil {
			sub = &Dir{h: newHandle(got), path: d.path.Join(name), origin: d.origin}
		}
		return err
	})
	return sub, err
}

// Up opens a handle on the directory that holds d, which must be the one
// identified by want: anything else, since d was moved, is ESTALE. It is for
// those who came down from there and closed the handle meanwhile.
func (d *Dir) Up(want tree.Inode) (*Dir, error) {
	fd, err := d.h.acquire()
	if err != nil {
		return nil, fail("open directory", d.path.Parent(), err)
	}
	defer d.h.release()
	got, err := openat(fd, "..", openPath)
	if err != nil {
		return nil, fail("open directory", d.path.Parent(), err)
	}
	m, err := statFD(got)
	if err == nil && m.Inode() != want {
		err = syscall.ESTALE
	}
	if err != nil {
		_ = unix.Close(got)
		return nil, fail("open directory", d.path.Parent(), err)
	}
	return &Dir{h: newHandle(got), path: d.path.Parent(), origin: d.origin}, nil
}

func (d *Dir) at(op, name string, f func(fd int) error) error {
	if name == "" || name == "." || name == ".." || strings.IndexByte(name, '/') >= 0 {
		return fail(op, d.path.Join(name), syscall.EINVAL)
	}
	fd, err := d.h.acquire()
	if err != nil {
		return fail(op, d.path.Join(name), err)
	}
	defer d.h.release()
	if err := f(fd); err != nil {
		return fail(op, d.path.Join(name), err)
	}
	return nil
}

// Lstat is the metadata of the entry called name.
func (d *Dir) Lstat(name string) (m tree.Meta, err error) {
	err = d.at("lstat", name, func(fd int) (err error) {
		m, err = statName(fd, name)
		return err
	})
	return m, err
}

// Readlink is the target of the symlink called name.
func (d *Dir) Readlink(name string) (target string, err error) {
	err = d.at("readlink", name, func(fd int) (err error) {
		target, err = readlink(fd, name)
		return err
	})
	return target, err
}

// Open is Root.Open for the entry called name.
func (d *Dir) Open(name string) (f *os.File, err error) {
	err = d.at("open", name, func(fd int) (err error) {
		f, err = openRegular(fd, name, d.path.Join(name))
		return err
	})
	return f, err
}

// Xattrs is Root.Xattrs for the entry called name.
func (d *Dir) Xattrs(name string) (attrs []Xattr, err error) {
	err = d.at("read attributes of", name, func(fd int) (err error) {
		attrs, err = XattrsAt(fd, name)
		return err
	})
	return attrs, err
}

// ReadDir is Root.ReadDir for this directory.
func (d *Dir) ReadDir() ([]tree.Entry, error) {
	entries, _, err := d.Read()
	return entries, err
}

// Read is ReadDir that also names the entries which vanished meanwhile.
func (d *Dir) Read() (entries []tree.Entry, vanished []string, err error) {
	at, err := d.h.acquire()
	if err != nil {
		return nil, nil, fail(opList, d.path, err)
	}
	defer d.h.release()
	fd, err := openat(at, ".", openList)
	if err != nil {
		return nil, nil, fail(opList, d.path, err)
	}
	defer unix.Close(fd)
	return read(fd, d.path, defaultWorkers())
}

// ReadlinkAt is the target of the symlink called name in the directory open as
// fd. The error is a syscall.Errno.
func ReadlinkAt(fd int, name string) (string, error) { return readlink(fd, name) }

func readlink(fd int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(fd, name, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// openRegular opens without waiting (a fifo would) and checks afterwards what
// it got, since the kind may change between a look and an open.
func openRegular(at int, name string, p tree.Path) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := openat(at, name, flags|unix.O_NOATIME)
	if err == syscall.EPERM { // O_NOATIME is for the owner only
		fd, err = openat(at, name, flags)
	}
	switch err {
	case nil:
	case syscall.ELOOP, syscall.ENXIO: // a symlink; a socket or a device without driver
		return nil, ErrNotRegular
	default:
		return nil, err
	}
	m, err := statFD(fd)
	if err == nil && m.Kind != tree.File {
		err = ErrNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.String()), nil
}
