package apply

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// Options say which attributes are kept and which kinds are made. The zero
// value writes files and directories with the default attributes of the
// process. IDs are numbers here: names are mapped by whoever makes the Meta.
type Options struct {
	Perms  bool // the 12 permission bits
	Times  bool // modification times
	Owner  bool // user, when running as root
	Group  bool // group, as root or as a member of it
	ACLs   bool // the system.posix_acl_* attributes
	Xattrs bool // other extended attributes: user.* only, unless running as root

	Links    bool // allow Symlink
	Devices  bool // allow Mknod of devices
	Specials bool // allow Mknod of fifos and sockets

	Sync bool // content and name of a file are on disk when CopyFile returns
}

// staleAge is how long a temporary must have been left alone before it can be
// taken for a leftover. Living ones are locked; this covers the moment between
// creating and locking.
const staleAge = time.Minute

// Root writes beneath one directory, see the package comment.
type Root struct {
	reader   *walk.Root
	dirs     dirCache
	opts     Options
	who      identity
	staleAge time.Duration

	// What the file system or the kernel turned out not to do.
	noUnnamed  atomic.Bool // O_TMPFILE, or linking such a file
	linkByProc atomic.Bool // linkat with AT_EMPTY_PATH, which needs a capability before Linux 6.10
	noClone    sync.Map    // devices{}: FICLONE from one to the other

	widening sync.Mutex // held while a directory is made writable for a moment
}

// identity is who the process is to the kernel.
type identity struct {
	uid    uint32
	groups []uint32
}

func (w identity) root() bool             { return w.uid == 0 }
func (w identity) member(gid uint32) bool { return slices.Contains(w.groups, gid) }

func whoami() (identity, error) {
	gids, err := os.Getgroups()
	if err != nil {
		return identity{}, fmt.Errorf("list own groups: %w", err)
	}
	who := identity{uid: uint32(os.Geteuid()), groups: []uint32{uint32(os.Getegid())}}
	for _, g := range gids {
		who.groups = append(who.groups, uint32(g))
	}
	return who, nil
}

// OpenRoot opens directory dir for writing beneath it; a symlink in dir itself
// is followed.
func OpenRoot(dir string, opts Options) (*Root, error) {
	who, err := whoami()
	if err != nil {
		return nil, err
	}
	reader, err := walk.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	r := &Root{reader: reader, opts: opts, who: who, staleAge: staleAge}
	if unix.Access("/proc/self/fd", unix.X_OK) != nil && !who.root() {
		r.noUnnamed.Store(true)
	}
	return r, nil
}

// Close gives the handles back; a second call returns fs.ErrClosed.
func (r *Root) Close() error {
	r.dirs.clear()
	return r.reader.Close()
}

// Inode identifies the directory that OpenRoot found.
func (r *Root) Inode() tree.Inode { return r.reader.Inode() }

// Reader reads the same tree; it lives as long as r.
func (r *Root) Reader() *walk.Root { return r.reader }

// place is a name in a directory whose handle is held; "." is the root itself.
type place struct {
	dir  *walk.Dir
	fd   int // of dir
	name string
}

func (at place) object() object { return object{fd: at.fd, name: at.name} }

// place finds p; the caller releases the place. stale is true if the handle
// comes from the cache, so that the directory may have moved.
func (r *Root) place(p tree.Path) (at place, stale bool, err error) {
	at.name = p.Base()
	switch {
	case p == tree.Root:
		at.name = "."
	case at.name == "" || at.name == "." || at.name == "..":
		return place{}, false, syscall.EINVAL
	}
	at.dir, at.fd, stale, err = r.dirs.get(r.reader, p.Parent())
	return at, stale, err
}

// with does f at p.
func (r *Root) with(op string, p tree.Path, f func(at place) error) error {
	err := r.on([]tree.Path{p}, func(at []place) error { return f(at[0]) })
	if err != nil {
		return &Error{Op: op, Path: p, Err: err}
	}
	return nil
}

// pair does f at two places.
func (r *Root) pair(op string, from, to tree.Path, f func(from, to place) error) error {
	if from == tree.Root || to == tree.Root {
		return &Error{Op: op, Path: from, Err: syscall.EINVAL}
	}
	err := r.on([]tree.Path{from, to}, func(at []place) error { return f(at[0], at[1]) })
	if err != nil {
		return &Error{Op: op, Path: from, Err: fmt.Errorf("to %s: %w", to, err)}
	}
	return nil
}

// on does f at some places. A directory handle from the cache may be of a
// directory that was removed or moved since: then f is done again with a new
// one.
func (r *Root) on(paths []tree.Path, f func(at []place) error) error {
	stale, err := r.once(paths, f)
	// In a removed directory O_TMPFILE is EPERM on ext4, all else ENOENT.
	if stale && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EPERM)) {
		for _, p := range paths {
			r.dirs.forget(p.Parent())
		}
		_, err = r.once(paths, f)
	}
	return err
}

func (r *Root) once(paths []tree.Path, f func(at []place) error) (stale bool, err error) {
	at := make([]place, 0, 2)
	defer func() {
		for _, held := range at {
			held.dir.Release()
		}
	}()
	for _, p := range paths {
		here, cached, err := r.place(p)
		if err != nil {
			return stale, err
		}
		at = append(at, here)
		stale = stale || cached
	}
	err = f(at)
	if errors.Is(err, syscall.EACCES) && !r.who.root() {
		err = r.widened(at, err, f)
	}
	return stale, err
}

// below is with for what can't be done to the root itself.
func (r *Root) below(op string, p tree.Path, f func(at place) error) error {
	if p == tree.Root {
		return &Error{Op: op, Path: p, Err: syscall.EINVAL}
	}
	return r.with(op, p, f)
}

// widened does f once more with the directories made writable for that long,
// if they are ours and only their mode is in the way: a tree may well hold
// directories of mode 0555, and they change too. cause is why f failed before.
func (r *Root) widened(at []place, cause error, f func([]place) error) (err error) {
	r.widening.Lock()
	defer r.widening.Unlock()
	tried := false
	for _, here := range at {
		m, err := here.dir.Stat()
		if err != nil || !r.ours(m) || m.Perm&0o300 == 0o300 {
			continue
		}
		dir := object{fd: here.fd, name: "."}
		if dir.chmod(m.Perm|0o300) != nil {
			continue
		}
		tried = true
		defer func() {
			if back := dir.chmod(m.Perm); back != nil {
				err = errors.Join(err, during("restore the mode of the directory", back))
			}
		}()
	}
	if !tried {
		return cause
	}
	return f(at)
}
