package apply

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// Mkdir makes directory p with the attributes of meta but for the times, which
// are set when its children are done (SetMeta). A directory that stands there
// gets the attributes; anything else is replaced in one step. Unless running as
// root the owner can read and write a new directory whatever meta says, until
// SetMeta.
func (r *Root) Mkdir(p tree.Path, meta tree.Meta, xattrs []walk.Xattr) (created bool, err error) {
	err = r.below("make directory", p, func(at Place) error {
		err := r.mkdir(at.fd, at.name, meta)
		created = err == nil
		switch err {
		case nil:
			return r.dress(at.Object(), meta, xattrs, true)
		case syscall.EEXIST:
		default:
			return err
		}
		have, err := at.Object().Stat()
		if err != nil {
			return err
		}
		if have.IsDir() {
			return r.dress(at.Object(), meta, xattrs, false)
		}
		if err := at.keep(); err != nil {
			return err
		}
		created = true
		return r.replaceByDir(at, meta, xattrs)
	})
	return created, err
}

func (r *Root) mkdir(fd int, name string, meta tree.Meta) error {
	mode := uint32(meta.Perm) & 0o777
	if r.opts.Perms {
		mode = 0o700 // until the owner is right
	}
	return unix.Mkdirat(fd, name, mode)
}

// dress sets the attributes of a directory but for its times.
func (r *Root) dress(o Object, meta tree.Meta, xattrs []walk.Xattr, created bool) error {
	have, err := walk.StatAt(o.fd, o.name)
	if err != nil {
		return err
	}
	if !have.IsDir() {
		return fmt.Errorf("a %v, not a directory: %w", have.Kind, ErrKind)
	}
	meta.Mtime = have.Mtime
	if created && !r.who.root() {
		meta.Perm |= 0o700
	}
	return r.setAttrs(o, have, attrs{meta: meta, xattrs: xattrs})
}

// replaceByDir puts a new directory where something else stands.
func (r *Root) replaceByDir(at Place, meta tree.Meta, xattrs []walk.Xattr) error {
	temp, err := r.fresh(at.name, func(name string) error { return r.mkdir(at.fd, name, meta) })
	if err != nil {
		return err
	}
	attrErr := r.dress(Object{at.fd, temp}, meta, xattrs, true)
	err = unix.Renameat2(at.fd, temp, at.fd, at.name, unix.RENAME_EXCHANGE)
	if err == syscall.EINVAL || err == syscall.ENOSYS { // not on this file system
		if err = unix.Unlinkat(at.fd, at.name, 0); err == nil || err == syscall.ENOENT {
			err = unix.Renameat(at.fd, temp, at.fd, at.name)
		}
	} else if err == nil {
		return errors.Join(attrErr, during("remove what was in the way", removeAt(at.fd, temp)))
	}
	if err != nil {
		_ = unix.Unlinkat(at.fd, temp, unix.AT_REMOVEDIR)
		return during("rename", err)
	}
	return attrErr
}

// Symlink makes p a symlink to target. What stands at p is replaced in one
// step, unless it is a directory: ErrIsDir.
func (r *Root) Symlink(p tree.Path, target string, meta tree.Meta, xattrs []walk.Xattr) error {
	return r.below("make symlink", p, func(at Place) error {
		if !r.opts.Links {
			return ErrRefused
		}
		meta.Kind = tree.Symlink
		same := func(tree.Meta) bool {
			now, err := at.dir.Readlink(at.name)
			return err == nil && now == target
		}
		return r.install(at, attrs{meta: meta, xattrs: xattrs}, same, func(name string) error {
			return unix.Symlinkat(target, at.fd, name)
		})
	})
}

// Mknod makes p a device, fifo or socket as meta says. What stands at p is
// replaced in one step, unless it is a directory: ErrIsDir.
func (r *Root) Mknod(p tree.Path, meta tree.Meta, xattrs []walk.Xattr) error {
	return r.below("make "+meta.Kind.String(), p, func(at Place) error {
		switch {
		case meta.Kind.IsDevice() && r.opts.Devices, meta.Kind.IsSpecial() && r.opts.Specials:
		default:
			return ErrRefused
		}
		same := func(have tree.Meta) bool { return have.Major == meta.Major && have.Minor == meta.Minor }
		return r.install(at, attrs{meta: meta, xattrs: xattrs}, same, func(name string) error {
			dev := 0
			if meta.Kind.IsDevice() {
				dev = int(unix.Mkdev(meta.Major, meta.Minor))
			}
			return unix.Mknodat(at.fd, name, meta.Kind.TypeBits()|r.createMode(tree.Meta{}, meta), dev)
		})
	})
}

// install puts what create makes at Place at, dressed before it is seen. If
// the like of it stands there it is kept.
func (r *Root) install(at Place, want attrs, same func(tree.Meta) bool, create func(name string) error) error {
	have, err := at.Object().Stat()
	switch {
	case err == syscall.ENOENT:
	case err != nil:
		return err
	case have.IsDir():
		return ErrIsDir
	case have.Kind == want.meta.Kind && same(have):
		return r.setAttrs(at.Object(), have, want)
	}
	temp, err := r.fresh(at.name, create)
	if err != nil {
		return during("create", err)
	}
	made, err := walk.StatAt(at.fd, temp)
	if err != nil {
		_ = unix.Unlinkat(at.fd, temp, 0)
		return err
	}
	attrErr := r.setAttrs(Object{at.fd, temp}, made, want)
	if have.Exists() {
		if err := at.keep(); err != nil {
			_ = unix.Unlinkat(at.fd, temp, 0)
			return err
		}
	}
	if err := unix.Renameat(at.fd, temp, at.fd, at.name); err != nil {
		_ = unix.Unlinkat(at.fd, temp, 0)
		return during("rename", err)
	}
	return attrErr
}

// Link makes p another name of existing. What stands at p is replaced in one
// step, unless it is a directory: ErrIsDir.
func (r *Root) Link(existing, p tree.Path) error { return r.pair("link", existing, p, r.link) }

func (r *Root) link(from, at Place) error {
	err := unix.Linkat(from.fd, from.name, at.fd, at.name, 0)
	if err != syscall.EEXIST {
		return err
	}
	have, err := at.Object().Stat()
	if err != nil {
		return err
	}
	if have.IsDir() {
		return ErrIsDir
	}
	source, err := from.Object().Stat()
	if err != nil || source.Inode() == have.Inode() {
		return err
	}
	if err := at.keep(); err != nil {
		return err
	}
	temp, err := r.fresh(at.name, func(name string) error {
		return unix.Linkat(from.fd, from.name, at.fd, name, 0)
	})
	if err != nil {
		return err
	}
	err = unix.Renameat(at.fd, temp, at.fd, at.name)
	// A rename between two names of one file leaves both: then the other name
	// was linked meanwhile.
	if gone := unix.Unlinkat(at.fd, temp, 0); err == nil && gone != nil && gone != syscall.ENOENT {
		err = gone
	}
	return during("rename", err)
}

// Rename moves from to to in one step and creates nothing else: the directory
// that is to hold it must be there. A non-directory at to is replaced by
// another; an empty directory by a directory, one with entries is ErrNotEmpty.
func (r *Root) Rename(from, to tree.Path) error {
	err := r.pair("rename", from, to, rename)
	r.dirs.forget(from)
	r.dirs.forget(to)
	return err
}

func rename(src, dst Place) error {
	if err := keepReplaced(src, dst); err != nil {
		return err
	}
	err := unix.Renameat(src.fd, src.name, dst.fd, dst.name)
	switch err {
	case nil:
	case syscall.EISDIR:
		return ErrIsDir
	case syscall.ENOTEMPTY, syscall.EEXIST:
		return ErrNotEmpty
	default:
		return err
	}
	// Between two names of one file the kernel does nothing, and calls it done.
	left, err := src.Object().Stat()
	if err != nil || left.IsDir() {
		return nil
	}
	now, err := dst.Object().Stat()
	if err != nil || left.Inode() != now.Inode() || src.name == dst.name && sameDir(src, dst) {
		return nil
	}
	return unix.Unlinkat(src.fd, src.name, 0)
}

// keepReplaced keeps what a rename is about to replace.
func keepReplaced(src, dst Place) error {
	if dst.root.opts.Keep == nil {
		return nil
	}
	have, err := dst.Object().Stat()
	if err != nil || have.IsDir() {
		return nil // what is wrong with it the rename will say
	}
	if moved, err := src.Object().Stat(); err != nil || moved.IsDir() || moved.Inode() == have.Inode() {
		return nil
	}
	return dst.keep()
}

func sameDir(a, b Place) bool {
	m, err := a.dir.Stat()
	n, err2 := b.dir.Stat()
	return err != nil || err2 != nil || m.Inode() == n.Inode()
}
