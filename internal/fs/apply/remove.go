package apply

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

const (
	// heldLevels is how many directories above the one being emptied are kept
	// open; those further up are opened again on the way back.
	heldLevels = 32

	// emptyTries bounds how often a directory is emptied that someone fills.
	emptyTries = 3
)

// Remove removes p: anything but a directory that has entries, which is
// ErrNotEmpty.
func (r *Root) Remove(p tree.Path) error {
	err := r.below("remove", p, func(at Place) error { return removeAt(at.fd, at.name) })
	r.dirs.forget(p)
	return err
}

func removeAt(fd int, name string) error {
	err := unix.Unlinkat(fd, name, 0)
	if err != syscall.EISDIR {
		return err
	}
	err = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
	if err == syscall.ENOTEMPTY || err == syscall.EEXIST {
		return ErrNotEmpty
	}
	return err
}

// RemoveAll removes p and all below it, from the bottom up, and tells how many
// objects it removed; a missing p is no error. What keep says yes to stays,
// with all below it and the directories that lead to it, and the error is then
// ErrNotEmpty; nil keeps nothing. After trouble with one entry the others are
// removed all the same, and the first error is returned.
func (r *Root) RemoveAll(p tree.Path, keep func(p tree.Path, isDir bool) bool) (removed int, err error) {
	found := false
	err = r.below("remove", p, func(at Place) error {
		u := remover{r: r, keep: keep, base: at.dir}
		m, err := at.Object().Stat()
		if err != nil {
			return err
		}
		found = true
		u.entry(at.dir, p, tree.Entry{Name: at.name, Meta: m})
		for len(u.levels) > 0 {
			u.step()
		}
		removed += u.removed
		switch {
		case u.first != nil:
			return u.first
		case u.kept:
			return ErrNotEmpty
		}
		return nil
	})
	r.dirs.forget(p)
	if !found && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return removed, err
}

// remover is one RemoveAll under way. It keeps its own stack: trees may be
// deeper than handles and goroutine stacks should be.
type remover struct {
	r       *Root
	keep    func(p tree.Path, isDir bool) bool
	base    *walk.Dir // holds the first level
	levels  []emptying
	removed int
	kept    bool  // something is protected
	first   error // the first trouble
}

// emptying is a directory whose entries are being removed.
type emptying struct {
	dir     *walk.Dir // nil while closed, see heldLevels
	path    tree.Path
	meta    tree.Meta // of the directory; before it was made writable
	entries []tree.Entry
	next    int  // of entries
	stays   bool // since something in it does
	tries   int
}

// step deals with the next entry of the innermost directory, or with the
// directory itself when it has no more.
func (u *remover) step() {
	top := &u.levels[len(u.levels)-1]
	if top.next == len(top.entries) {
		u.leave(top)
		return
	}
	e := top.entries[top.next]
	top.next++
	u.entry(top.dir, top.path.Join(e.Name), e)
}

func (u *remover) entry(dir *walk.Dir, p tree.Path, e tree.Entry) {
	if u.keep != nil && u.keep(p, e.Meta.IsDir()) {
		u.kept = true
		u.stay()
		return
	}
	fd, err := dir.Acquire()
	if err != nil {
		u.trouble(err)
		return
	}
	defer dir.Release()
	if !e.Meta.IsDir() {
		if err = unix.Unlinkat(fd, e.Name, 0); err != syscall.EISDIR {
			u.count(p, err)
			return
		}
	}
	if u.r.ours(e.Meta) && e.Meta.Perm&0o700 != 0o700 {
		_ = Object{fd, e.Name}.Chmod(e.Meta.Perm | 0o700) // else opening it will tell
	}
	switch err := u.enter(dir, p, e); {
	case errors.Is(err, fs.ErrNotExist): // gone, or no directory any more
		u.count(p, unix.Unlinkat(fd, e.Name, 0))
	case err != nil:
		u.trouble(err)
	}
}

// enter makes the directory e the innermost level.
func (u *remover) enter(parent *walk.Dir, p tree.Path, e tree.Entry) error {
	dir, err := parent.Dir(e.Name)
	if err != nil {
		return err
	}
	m, err := dir.Stat()
	if err != nil {
		_ = dir.Close()
		return err
	}
	m.Perm = e.Meta.Perm
	u.levels = append(u.levels, emptying{dir: dir, path: p, meta: m})
	u.list()
	if up := len(u.levels) - 1 - heldLevels; up >= 0 && u.levels[up].dir != nil {
		_ = u.levels[up].dir.Close()
		u.levels[up].dir = nil
	}
	return nil
}

// list reads the innermost directory. Entries that could not be looked at are
// in the way of its removal, so the trouble is not passed over.
func (u *remover) list() {
	top := &u.levels[len(u.levels)-1]
	entries, err := top.dir.ReadDir()
	top.entries, top.next = entries, 0
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		u.trouble(err)
	}
}

// leave removes the innermost directory, now empty, and goes up.
func (u *remover) leave(top *emptying) {
	parent := u.base
	if len(u.levels) > 1 {
		up := &u.levels[len(u.levels)-2]
		if up.dir == nil {
			dir, err := top.dir.Up(up.meta.Inode())
			if err != nil { // moved by someone: where to go on is not known
				u.trouble(err)
				u.abandon()
				return
			}
			up.dir = dir
		}
		parent = up.dir
	}
	fd, err := parent.Acquire()
	if err != nil {
		u.trouble(err)
		u.abandon()
		return
	}
	defer parent.Release()
	if !top.stays {
		err = unix.Unlinkat(fd, top.path.Base(), unix.AT_REMOVEDIR)
		if (err == syscall.ENOTEMPTY || err == syscall.EEXIST) && top.tries < emptyTries {
			top.tries++
			u.list()
			return
		}
	}
	stays, p := top.stays, top.path
	if (stays || err != nil) && u.r.ours(top.meta) && top.meta.Perm&0o700 != 0o700 {
		_ = Object{fd, p.Base()}.Chmod(top.meta.Perm)
	}
	_ = top.dir.Close()
	u.levels = u.levels[:len(u.levels)-1]
	switch {
	case stays:
		u.stay()
	case err == syscall.ENOTEMPTY || err == syscall.EEXIST:
		u.trouble(&Error{Op: "remove", Path: p, Err: ErrNotEmpty})
	default:
		u.count(p, err)
	}
}

// count notes the outcome of removing p.
func (u *remover) count(p tree.Path, err error) {
	switch err {
	case nil:
		u.removed++
	case syscall.ENOENT:
	default:
		u.trouble(&Error{Op: "remove", Path: p, Err: err})
	}
}

// trouble notes an error that leaves something in the innermost directory.
func (u *remover) trouble(err error) {
	if u.first == nil {
		u.first = err
	}
	u.stay()
}

func (u *remover) stay() {
	if len(u.levels) > 0 {
		u.levels[len(u.levels)-1].stays = true
	}
}

func (u *remover) abandon() {
	for _, l := range u.levels {
		if l.dir != nil {
			_ = l.dir.Close()
		}
	}
	u.levels = nil
}

// ours reports whether the mode of an object binds us and is ours to change.
func (r *Root) ours(m tree.Meta) bool { return !r.who.root() && m.UID == r.who.uid }
