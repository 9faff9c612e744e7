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

	// Temp makes a temporary name for what is to be called base, another one
	// every time. nil is the form of the package comment; with any other,
	// RemoveStale and Sweep know nothing of what is left behind.
	Temp func(base string) string

	// Keep is called with the path of what is about to be replaced by something
	// else, unless it is a directory; if it fails, nothing is replaced. It must
	// not use the Root that calls it. Nothing that is done through a Place comes
	// here. nil keeps nothing.
	Keep func(p tree.Path) error

	// KeepModes leaves directories alone whose mode does not let their owner
	// write: then what is to be done in them fails. Otherwise they are made
	// writable for that long.
	KeepModes bool
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
	reader, err := walk.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return NewRoot(reader, opts)
}

// NewRoot writes beneath what reader reads, and takes it over. It goes through
// the symlinks that reader goes through.
func NewRoot(reader *walk.Root, opts Options) (*Root, error) {
	who, err := whoami()
	if err != nil {
		_ = reader.Close()
		return nil, err
	}
	r := &Root{reader: reader, opts: opts, who: who, staleAge: staleAge}
	if unix.Access("/proc/self/fd", unix.X_OK) != nil && !who.root() {
		r.noUnnamed.Store(true)
	}
	return r, nil
}

// On is NewRoot that leaves reader to its owner.
func On(reader *walk.Root, opts Options) (*Root, error) {
	own, err := reader.Again()
	if err != nil {
		return nil, err
	}
	return NewRoot(own, opts)
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

// Place is a name in a directory whose handle is held for as long as the
// function runs that was given it; "." is the root itself.
type Place struct {
	root *Root
	dir  *walk.Dir
	fd   int // of dir
	name string
	path tree.Path // "" for one that was made from another
}

// Object is what has the name.
func (at Place) Object() Object { return Object{fd: at.fd, name: at.name} }

// Beside is another name in the same directory.
func (at Place) Beside(name string) Place {
	at.name, at.path = name, ""
	return at
}

// keep calls Options.Keep before what stands here is replaced.
func (at Place) keep() error {
	if at.root.opts.Keep == nil || at.path == "" {
		return nil
	}
	return during("keep what stands there", at.root.opts.Keep(at.path))
}

// Fresh calls create with temporary names in the directory until one is free,
// and returns what was made.
func (at Place) Fresh(create func(temp Object) error) (Object, error) {
	var temp Object
	_, err := at.root.fresh(at.name, func(name string) error {
		temp = Object{fd: at.fd, name: name}
		return create(temp)
	})
	return temp, err
}

// spot is where a Place is to be found: a name in directory dir.
type spot struct {
	dir  tree.Path
	name string    // "." is dir itself
	path tree.Path // "" is a directory, which is never replaced
}

func spotOf(p tree.Path) (spot, error) {
	name := p.Base()
	switch {
	case p == tree.Root:
		return spot{name: "."}, nil
	case name == "" || name == "." || name == "..":
		return spot{}, syscall.EINVAL
	}
	return spot{dir: p.Parent(), name: name, path: p}, nil
}

// with does f at p.
func (r *Root) with(op string, p tree.Path, f func(at Place) error) error {
	if err := r.At(p, f); err != nil {
		return &Error{Op: op, Path: p, Err: err}
	}
	return nil
}

// pair does f at two places.
func (r *Root) pair(op string, from, to tree.Path, f func(from, to Place) error) error {
	if from == tree.Root || to == tree.Root {
		return &Error{Op: op, Path: from, Err: syscall.EINVAL}
	}
	if err := r.Both(from, to, f); err != nil {
		return &Error{Op: op, Path: from, Err: fmt.Errorf("to %s: %w", to, err)}
	}
	return nil
}

// At does f at the place of p. Its error is returned as it is. f may be called a
// second time, with another handle, after ENOENT or EPERM, and after EACCES.
func (r *Root) At(p tree.Path, f func(at Place) error) error {
	s, err := spotOf(p)
	if err != nil {
		return err
	}
	return r.on([]spot{s}, func(at []Place) error { return f(at[0]) })
}

// AtDir is At for directory p itself, under the name "." in itself. A symlink at
// p leads there if the Root goes through symlinks.
func (r *Root) AtDir(p tree.Path, f func(at Place) error) error {
	return r.on([]spot{{dir: p, name: "."}}, func(at []Place) error { return f(at[0]) })
}

// Both is At for two places.
func (r *Root) Both(p, q tree.Path, f func(p, q Place) error) error {
	from, err := spotOf(p)
	if err != nil {
		return err
	}
	to, err := spotOf(q)
	if err != nil {
		return err
	}
	return r.on([]spot{from, to}, func(at []Place) error { return f(at[0], at[1]) })
}

// Forget drops the handles held of directory p and those below it: it was
// removed or renamed through a Place.
func (r *Root) Forget(p tree.Path) { r.dirs.forget(p) }

// on does f at some places. A directory handle from the cache may be of a
// directory that was removed or moved since: then f is done again with a new
// one.
func (r *Root) on(spots []spot, f func(at []Place) error) error {
	stale, err := r.once(spots, f)
	// In a removed directory O_TMPFILE is EPERM on ext4, all else ENOENT.
	if stale && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EPERM)) {
		for _, s := range spots {
			r.dirs.forget(s.dir)
		}
		_, err = r.once(spots, f)
	}
	return err
}

func (r *Root) once(spots []spot, f func(at []Place) error) (stale bool, err error) {
	at := make([]Place, 0, 2)
	defer func() {
		for _, held := range at {
			held.dir.Release()
		}
	}()
	for _, s := range spots {
		here := Place{root: r, name: s.name, path: s.path}
		var cached bool
		here.dir, here.fd, cached, err = r.dirs.get(r.reader, s.dir)
		if err != nil {
			return stale, err
		}
		at = append(at, here)
		stale = stale || cached
	}
	err = f(at)
	if !r.opts.KeepModes && !r.who.root() && errors.Is(err, syscall.EACCES) {
		err = r.widened(at, err, f)
	}
	return stale, err
}

// below is with for what can't be done to the root itself.
func (r *Root) below(op string, p tree.Path, f func(at Place) error) error {
	if p == tree.Root {
		return &Error{Op: op, Path: p, Err: syscall.EINVAL}
	}
	return r.with(op, p, f)
}

// widened does f once more with the directories made writable for that long,
// if they are ours and only their mode is in the way: a tree may well hold
// directories of mode 0555, and they change too. cause is why f failed before.
func (r *Root) widened(at []Place, cause error, f func([]Place) error) (err error) {
	r.widening.Lock()
	defer r.widening.Unlock()
	tried := false
	for _, here := range at {
		m, err := here.dir.Stat()
		if err != nil || !r.ours(m) || m.Perm&0o300 == 0o300 {
			continue
		}
		dir := Object{fd: here.fd, name: "."}
		if dir.Chmod(m.Perm|0o300) != nil {
			continue
		}
		tried = true
		defer func() {
			if back := dir.Chmod(m.Perm); back != nil {
				err = errors.Join(err, during("restore the mode of the directory", back))
			}
		}()
	}
	if !tried {
		return cause
	}
	return f(at)
}

// Hold is the Place of p until Release. The handle of its directory may come
// from the cache; nothing is tried again.
func (r *Root) Hold(p tree.Path) (Place, error) {
	s, err := spotOf(p)
	if err != nil {
		return Place{}, err
	}
	at := Place{root: r, name: s.name}
	at.dir, at.fd, _, err = r.dirs.get(r.reader, s.dir)
	return at, err
}

// Release ends Hold.
func (at Place) Release() { at.dir.Release() }

// In is the Place of an entry of a directory of r that the caller holds, until
// Release.
func (r *Root) In(dir *walk.Dir, name string) (Place, error) {
	fd, err := dir.Acquire()
	if err != nil {
		return Place{}, err
	}
	return Place{root: r, dir: dir, fd: fd, name: name}, nil
}
