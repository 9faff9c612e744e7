package apply

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// unnamedFrom is the size in bytes from which a file that replaces another is
// written without a name and gets its temporary name at the end. Smaller ones
// have it for some microseconds only, and are made faster that way.
const unnamedFrom = 1 << 20

// stage is a file being made that is not in place yet.
type stage struct {
	r    *Root
	at   place     // where it will be
	have tree.Meta // what is there now
	fd   int
	temp string // its name so far; "" is none
}

// newStage makes an empty file to be put at place at. want tells its mode and
// size.
func (r *Root) newStage(at place, have, want tree.Meta) (*stage, error) {
	s := &stage{r: r, at: at, have: have}
	mode := r.createMode(have, want)
	if !r.noUnnamed.Load() && (!have.Exists() || want.Size >= unnamedFrom) {
		fd, err := unix.Openat(at.fd, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, mode)
		switch err {
		case nil:
			s.fd = fd
			return s, nil
		case syscall.EOPNOTSUPP, syscall.EISDIR: // the second before Linux 3.11
			r.noUnnamed.Store(true)
		default:
			return nil, during("create", err)
		}
	}
	if err := s.named(mode); err != nil {
		return nil, during("create temporary file", err)
	}
	return s, nil
}

// named makes the file under a temporary name. The lock tells RemoveStale that
// someone is at work; it ends with the process, or when the file is closed.
func (s *stage) named(mode uint32) (err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	s.temp, err = fresh(s.at.name, func(name string) (err error) {
		s.fd, err = unix.Openat(s.at.fd, name, flags, mode)
		return err
	})
	if err != nil {
		s.temp = ""
		return err
	}
	_ = unix.Flock(s.fd, unix.LOCK_EX) // where locks are missing its age must do
	return nil
}

// createMode is the mode to create a file with: the final one if possible,
// which saves a call, but nothing for others while the owner is not the final
// one.
func (r *Root) createMode(have, want tree.Meta) uint32 {
	switch {
	case !r.opts.Perms && have.Kind == tree.File:
		return uint32(have.Perm) & 0o777
	case r.opts.Perms && (r.opts.Owner && want.UID != r.who.uid || r.opts.Group && want.GID != r.who.groups[0]):
		return uint32(want.Perm)&0o700 | 0o200
	}
	return uint32(want.Perm) & 0o777
}

// finish sets the attributes and makes the file visible in one step. An
// *AttrError means that the file is in place all the same.
func (s *stage) finish(want attrs) error {
	attrErr, err := s.dress(want)
	if err == nil {
		err = s.publish()
	}
	if err != nil {
		s.discard()
		return err
	}
	_ = s.close()
	if s.r.opts.Sync {
		if err := syncDir(s.at.fd); err != nil {
			return during("sync the directory", err)
		}
	}
	return attrErr
}

// dress sets the attributes, and writes the file to disk if that is wanted.
func (s *stage) dress(want attrs) (attrErr, err error) {
	now, err := walk.StatAt(s.fd, "")
	if err != nil {
		return nil, during("stat", err)
	}
	if !s.r.opts.Perms && s.have.Kind == tree.File {
		want.meta.Perm, want.mode = s.have.Perm, true
	}
	attrErr = s.r.setAttrs(object{fd: s.fd}, now, want)
	if s.r.opts.Sync {
		err = during("sync", unix.Fsync(s.fd))
	}
	return attrErr, err
}

// publish gives the file its final name.
func (s *stage) publish() error {
	if s.temp == "" {
		if !s.have.Exists() {
			if err := s.r.link(s.fd, s.at.fd, s.at.name); err != syscall.EEXIST {
				return during("link", err)
			}
		}
		name, err := fresh(s.at.name, func(name string) error { return s.r.link(s.fd, s.at.fd, name) })
		if err != nil {
			return during("link", err)
		}
		s.temp = name
	}
	if err := s.close(); err != nil { // NFS tells here that the disk is full
		return during("close", err)
	}
	if err := unix.Renameat(s.at.fd, s.temp, s.at.fd, s.at.name); err != nil {
		return during("rename", err)
	}
	s.temp = ""
	return nil
}

// link names an unnamed file.
func (r *Root) link(fd, dir int, name string) error {
	if !r.linkByProc.Load() {
		if err := unix.Linkat(fd, "", dir, name, unix.AT_EMPTY_PATH); err != syscall.ENOENT {
			return err
		}
	}
	err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), dir, name, unix.AT_SYMLINK_FOLLOW)
	if err == nil {
		r.linkByProc.Store(true)
	}
	return err
}

// discard leaves no trace of the file.
func (s *stage) discard() {
	if s.temp != "" {
		_ = unix.Unlinkat(s.at.fd, s.temp, 0)
	}
	_ = s.close()
}

func (s *stage) close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

func syncDir(fd int) error {
	dir, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return unix.Fsync(dir)
}
