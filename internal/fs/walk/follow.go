package walk

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// origin is where a Root was opened: symlinks below it that are to be followed
// lead anywhere, or stay within a module.
type origin struct {
	place *Place // nil if there was none
	at    string // the Root's path from place
}

func (o *origin) confined() bool { return o.place != nil && o.place.confined }

// open opens rel, a path from the directory open as fd, which is found at dir
// below the Root.
func (o *origin) open(fd int, dir tree.Path, rel string, flags int) (int, error) {
	if !o.confined() {
		return openat(fd, rel, flags)
	}
	at, err := o.place.h.acquire()
	if err != nil {
		return -1, err
	}
	defer o.place.h.release()
	path := rel
	for _, above := range []string{string(dir), o.at} {
		if above != "" {
			path = above + "/" + path
		}
	}
	return o.place.follow(at, path, flags)
}

// DirFollowing is Dir with symlinks followed, in the last component too. In the
// Root of a module they stay in the module.
func (r *Root) DirFollowing(p tree.Path) (*Dir, error) {
	const op = "open directory"
	root, err := r.h.acquire()
	if err != nil {
		return nil, fail(op, p, err)
	}
	defer r.h.release()
	if !proper(p) {
		return nil, fail(op, p, syscall.EINVAL)
	}
	rel := string(p)
	if p == tree.Root {
		rel = "."
	}
	fd, err := r.origin.open(root, tree.Root, rel, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fail(op, p, err)
	}
	return &Dir{h: newHandle(fd), path: p, origin: r.origin}, nil
}

// DirInside is Dir that also follows a symlink, as long as this leads to where
// the symlink lies or deeper, and never out of there.
func (r *Root) DirInside(p tree.Path) (*Dir, error) {
	const op = "open directory"
	at, err := r.h.acquire()
	if err != nil {
		return nil, fail(op, p, err)
	}
	defer r.h.release()
	if !proper(p) {
		return nil, fail(op, p, syscall.EINVAL)
	}
	fd, err := openat(at, ".", openPath)
	for name := range strings.SplitSeq(string(p), "/") {
		if err != nil || name == "" {
			break
		}
		var next int
		next, err = r.resolve.beneath(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
		_ = unix.Close(fd)
		fd = next
	}
	if err != nil {
		return nil, fail(op, p, err)
	}
	return &Dir{h: newHandle(fd), path: p, origin: r.origin}, nil
}

// following calls f with a descriptor (O_PATH) of what the entry called name
// leads to.
func (d *Dir) following(op, name string, f func(fd int) error) error {
	return d.at(op, name, func(dir int) error {
		fd, err := d.origin.open(dir, d.path, name, unix.O_PATH|unix.O_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return f(fd)
	})
}

// StatFollowing is the metadata of what the entry called name leads to, if it is
// a symlink, else its own.
func (d *Dir) StatFollowing(name string) (m tree.Meta, err error) {
	err = d.following("stat", name, func(fd int) (err error) {
		m, err = statFD(fd)
		return err
	})
	return m, err
}

// XattrsFollowing is Xattrs of what the entry called name leads to.
func (d *Dir) XattrsFollowing(name string) (attrs []Xattr, err error) {
	err = d.following("read attributes of", name, func(fd int) (err error) {
		path := "/proc/self/fd/" + strconv.Itoa(fd)
		attrs, err = xattrsOf(attributes{
			list: func(buf []byte) (int, error) { return unix.Listxattr(path, buf) },
			get:  func(attr string, buf []byte) (int, error) { return unix.Getxattr(path, attr, buf) },
		})
		return err
	})
	return attrs, err
}

// Times are the other times of the entry called name or, if follow is set, of
// what it leads to.
func (d *Dir) Times(name string, follow bool) (t Times, err error) {
	look := func(fd int, name string) (err error) {
		_, t, err = StatTimesAt(fd, name)
		return err
	}
	if follow {
		err = d.following("stat", name, func(fd int) error { return look(fd, "") })
	} else {
		err = d.at("stat", name, func(fd int) error { return look(fd, name) })
	}
	return t, err
}

// OpenFollowing opens what the entry called name leads to for reading, without
// waiting for it, whatever kind of thing it is. The caller closes the descriptor.
func (d *Dir) OpenFollowing(name string) (fd int, err error) {
	err = d.at("open", name, func(dir int) (err error) {
		fd, err = d.origin.open(dir, d.path, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
		return err
	})
	return fd, err
}

// beneath opens a path below the directory open as base, symlinks followed as
// long as they stay there; what leads out of it is ELOOP.
func (v resolver) beneath(base int, path string, flags int) (fd int, err error) {
	return v.within(base, path, flags, false)
}

// within is beneath. If base is a top, absolute symlinks start there and ".." ends
// there; where openat2 is missing they lead out.
func (v resolver) within(base int, path string, flags int, top bool) (fd int, err error) {
	if v.stepwise {
		return beneathByStep(base, path, flags)
	}
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	if top {
		how.Resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	}
	for range maxRaces {
		fd, err = unix.Openat2(base, path, &how)
		switch err {
		case syscall.EINTR, syscall.EAGAIN: // the latter: somebody renames while ".." is resolved
			continue
		case syscall.EXDEV:
			err = syscall.ELOOP
		}
		return fd, err
	}
	return -1, err
}

const (
	maxRaces = 64 // tries of openat2 against renames
	maxLinks = 40 // symlinks in one path, as in the kernel
)

// beneathByStep is beneath without openat2.
func beneathByStep(base int, path string, flags int) (int, error) {
	if strings.HasPrefix(path, "/") {
		return -1, syscall.ELOOP
	}
	w := wayDown{dirs: []int{base}}
	defer w.close()
	rest := strings.Split(path, "/")
	for seen := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if !w.up() {
				return -1, syscall.ELOOP
			}
			continue
		}
		target, err := readlink(w.top(), name)
		if err == nil {
			if seen++; seen > maxLinks || strings.HasPrefix(target, "/") {
				return -1, syscall.ELOOP
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		if len(rest) == 0 {
			return openat(w.top(), name, flags|unix.O_NOFOLLOW)
		}
		if err := w.down(name); err != nil {
			return -1, err
		}
	}
	return openat(w.top(), ".", flags)
}

// wayDown is the handles of the directories on the way from a base, which it
// does not own.
type wayDown struct{ dirs []int }

func (w *wayDown) top() int { return w.dirs[len(w.dirs)-1] }

func (w *wayDown) down(name string) error {
	fd, err := openat(w.top(), name, openPath)
	if err == nil {
		w.dirs = append(w.dirs, fd)
	}
	return err
}

// up is false at the base.
func (w *wayDown) up() bool {
	if len(w.dirs) == 1 {
		return false
	}
	_ = unix.Close(w.top())
	w.dirs = w.dirs[:len(w.dirs)-1]
	return true
}

func (w *wayDown) close() {
	for w.up() {
		continue
	}
}

// Root is a Root on d itself, with a handle of its own.
func (d *Dir) Root() (*Root, error) {
	fd, err := d.h.acquire()
	if err != nil {
		return nil, fail("open directory", d.path, err)
	}
	defer d.h.release()
	own, err := openat(fd, ".", openPath)
	if err != nil {
		return nil, fail("open directory", d.path, err)
	}
	r, err := rootAt(own, NoLinks)
	return r, fail("open directory", d.path, err)
}
