package walk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Root is an open directory with everything beneath it, see the package
// comment.
type Root struct {
	h       *handle
	resolve resolver
	inode   tree.Inode
	origin  origin
}

// OpenRoot opens the directory called dir; a symlink in dir itself is
// followed. The Root stays with that directory when it is renamed.
func OpenRoot(dir string) (*Root, error) {
	fd, err := openat(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: tree.Quote(dir), Err: err}
	}
	r, err := rootAt(fd, NoLinks)
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: tree.Quote(dir), Err: err}
	}
	return r, nil
}

// NewRoot is a Root on the open directory dir, which the caller goes on owning,
// and which goes through symlinks as links says.
func NewRoot(dir *os.File, links Symlinks) (r *Root, err error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	held := conn.Control(func(fd uintptr) {
		var own int
		if own, err = openat(int(fd), ".", openPath); err == nil {
			r, err = rootAt(own, links)
		}
	})
	if held != nil {
		return nil, held
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir.Name(), Err: err}
	}
	return r, nil
}

// Again is another Root on the same directory.
func (r *Root) Again() (*Root, error) {
	fd, err := r.h.acquire()
	if err != nil {
		return nil, fail("open", tree.Root, err)
	}
	defer r.h.release()
	own, err := openat(fd, ".", openPath)
	if err != nil {
		return nil, fail("open", tree.Root, err)
	}
	again, err := rootAt(own, r.resolve.links)
	return again, fail("open", tree.Root, err)
}

// Sub is directory p as a Root of its own, which goes through symlinks as links
// says. p itself may be a symlink if r goes through it.
func (r *Root) Sub(p tree.Path, links Symlinks) (*Root, error) {
	root, err := r.h.acquire()
	if err != nil {
		return nil, fail("open directory", p, err)
	}
	defer r.h.release()
	fd, err := r.resolve.open(root, p, openPath)
	if err != nil {
		return nil, fail("open directory", p, err)
	}
	sub, err := rootAt(fd, links)
	return sub, fail("open directory", p, err)
}

// rootAt takes over fd.
func rootAt(fd int, links Symlinks) (*Root, error) {
	m, err := statFD(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	resolve := probe(fd)
	resolve.links = links
	return &Root{h: newHandle(fd), resolve: resolve, inode: m.Inode()}, nil
}

// Close gives the handle back; a second call returns fs.ErrClosed.
func (r *Root) Close() error { return r.h.close() }

// Inode identifies the directory that OpenRoot found.
func (r *Root) Inode() tree.Inode { return r.inode }

// at calls f with the directory that holds p and p's name in it; the root is
// "." in itself.
func (r *Root) at(op string, p tree.Path, f func(fd int, name string) error) error {
	root, err := r.h.acquire()
	if err != nil {
		return fail(op, p, err)
	}
	defer r.h.release()
	switch {
	case p == tree.Root:
		return fail(op, p, f(root, "."))
	case !proper(p):
		return fail(op, p, syscall.EINVAL)
	}
	parent := p.Parent()
	if parent == tree.Root {
		return fail(op, p, f(root, p.Base()))
	}
	fd, err := r.resolve.open(root, parent, openPath)
	if err != nil {
		return fail(op, p, err)
	}
	defer unix.Close(fd)
	return fail(op, p, f(fd, p.Base()))
}

// Lstat is p's metadata.
func (r *Root) Lstat(p tree.Path) (m tree.Meta, err error) {
	err = r.at("lstat", p, func(fd int, name string) (err error) {
		m, err = statName(fd, name)
		return err
	})
	return m, err
}

// Readlink is the target of symlink p, EINVAL if p is something else.
func (r *Root) Readlink(p tree.Path) (target string, err error) {
	err = r.at("readlink", p, func(fd int, name string) (err error) {
		target, err = readlink(fd, name)
		return err
	})
	return target, err
}

// Open opens regular file p for reading, ErrNotRegular if p is something else.
// The access time is left alone where the kernel allows it.
func (r *Root) Open(p tree.Path) (f *os.File, err error) {
	err = r.at("open", p, func(fd int, name string) (err error) {
		f, err = openRegular(fd, name, p)
		return err
	})
	return f, err
}

// ReadDir lists directory p with the metadata of every entry, sorted by name
// as bytes. Entries that vanish meanwhile are left out. With a *PartialError
// the entries that could be read are returned; with any other error the
// listing is not complete.
func (r *Root) ReadDir(p tree.Path) (entries []tree.Entry, err error) {
	err = r.opened(p, openList, func(fd int) (err error) {
		entries, err = list(fd, p, defaultWorkers())
		return err
	})
	return entries, err
}

// Dir opens a handle on directory p for work on its entries.
func (r *Root) Dir(p tree.Path) (*Dir, error) {
	root, err := r.h.acquire()
	if err != nil {
		return nil, fail("open directory", p, err)
	}
	defer r.h.release()
	fd, err := r.resolve.open(root, p, openPath)
	if err != nil {
		return nil, fail("open directory", p, err)
	}
	return &Dir{h: newHandle(fd), path: p, origin: r.origin}, nil
}

// Xattrs are p's extended attributes, those of a symlink itself included,
// sorted by name. They contain the ACLs (system.posix_acl_access and
// system.posix_acl_default) in the kernel's form. A file system without
// attributes has none.
func (r *Root) Xattrs(p tree.Path) (attrs []Xattr, err error) {
	err = r.at("read attributes of", p, func(fd int, name string) (err error) {
		attrs, err = XattrsAt(fd, name)
		return err
	})
	return attrs, err
}

// Busy reports whether some process has regular file p open for writing or
// mapped writable. It asks for a read lease and gives it back at once; where
// leases are not to be had the error is ErrNoLease. While the lease is held,
// some microseconds, a process that opens the file for writing waits, or gets
// EWOULDBLOCK if it asked not to.
func (r *Root) Busy(p tree.Path) (busy bool, err error) {
	f, err := r.Open(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	busy, err = BusyFile(f)
	return busy, fail("lease", p, err)
}

// File is another handle (O_PATH) on the directory, for the caller to close.
func (r *Root) File() (*os.File, error) {
	fd, err := r.h.acquire()
	if err != nil {
		return nil, fail("open", tree.Root, err)
	}
	defer r.h.release()
	own, err := openat(fd, ".", openPath)
	if err != nil {
		return nil, fail("open", tree.Root, err)
	}
	return os.NewFile(uintptr(own), "."), nil
}
