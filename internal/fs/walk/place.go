package walk

import (
	"os"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Place is a directory at which paths that somebody names begin, unlike the
// paths of a Root: they may hold "..", and symlinks in them are followed. A
// working directory leads anywhere, absolute paths included; a module holds
// everything within, and what leads out of it is ELOOP. It may be used from any
// goroutine, and lives as long as the Roots made from it are used.
type Place struct {
	h        *handle
	resolve  resolver
	confined bool
	top      bool // confined, and the root of this process: absolute symlinks lead back to it
}

// OpenPlace opens a working directory.
func OpenPlace(dir string) (*Place, error) { return openPlace(dir, false) }

// OpenModule opens a directory that nothing leaves. In "/", to which the process
// may have changed its root, absolute symlinks lead to where they say.
func OpenModule(dir string) (*Place, error) { return openPlace(dir, true) }

func openPlace(dir string, confined bool) (*Place, error) {
	fd, err := openat(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: tree.Quote(dir), Err: err}
	}
	return &Place{h: newHandle(fd), resolve: probe(fd), confined: confined, top: confined && dir == "/"}, nil
}

// Close gives the handle back; a second call returns fs.ErrClosed.
func (p *Place) Close() error { return p.h.close() }

// Root opens the directory called dir, "" for the place itself. The error is an
// *os.PathError with a syscall.Errno.
func (p *Place) Root(dir string) (*Root, error) {
	r, err := p.root(dir)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: tree.Quote(dir), Err: err}
	}
	return r, nil
}

func (p *Place) root(dir string) (*Root, error) {
	at, err := p.h.acquire()
	if err != nil {
		return nil, err
	}
	defer p.h.release()
	fd, err := p.follow(at, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r, err := rootAt(fd, NoLinks)
	if err == nil {
		r.origin = origin{place: p, at: dir}
	}
	return r, err
}

// follow opens a path, symlinks in it followed. at is p's descriptor.
func (p *Place) follow(at int, path string, flags int) (int, error) {
	switch {
	case path == "":
		path = "."
	case p.confined:
		return p.resolve.within(at, path, flags, p.top)
	}
	return openat(at, path, flags)
}

// Confined reports whether p is a module.
func (p *Place) Confined() bool { return p.confined }
