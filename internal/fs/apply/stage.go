package apply

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// unnamedFrom is the size in bytes from which a file that replaces another is
// written without a name and gets its temporary name at the end. Smaller ones
// have it for some microseconds only, and are made faster that way.
const unnamedFrom = 1 << 20

// Staging says how a file is begun that is put in place later.
type Staging struct {
	Mode     uint32 // to create it with
	Replaces bool   // something stands where it will be
	Size     int64  // of the content, as far as known
	Scratch  *Root  // made in the root directory of another Root; nil: beside its place
}

// Staged is a file being made that is not in place yet. It belongs to one
// goroutine, which ends it with Publish or Discard.
type Staged struct {
	r    *Root
	at   Place // where it will be
	home Place // where its temporary name is
	fd   int
	temp string // "" is none
	held bool   // the places are to be released
}

// Stage makes an empty file to be put at p. It has no name, or a temporary one.
func (r *Root) Stage(p tree.Path, how Staging) (s *Staged, err error) {
	if p == tree.Root {
		return nil, syscall.EINVAL
	}
	err = r.At(p, func(at Place) error {
		if how.Scratch == nil {
			s, err = r.stage(at, at, how)
			return err
		}
		return how.Scratch.At(tree.Path(at.name), func(home Place) error {
			s, err = r.stage(at, home, how)
			return err
		})
	})
	return s, err
}

// stage makes the file and keeps the handles of its places.
func (r *Root) stage(at, home Place, how Staging) (*Staged, error) {
	s, err := r.begin(at, home, how)
	if err == nil {
		s.held = true
		_, _ = at.dir.Acquire() // never fails for who has it acquired
		_, _ = home.dir.Acquire()
	}
	return s, err
}

// begin makes the file. The places must be held for as long as it is used.
func (r *Root) begin(at, home Place, how Staging) (*Staged, error) {
	s := &Staged{r: r, at: at, home: home}
	unnamed := &home.root.noUnnamed
	if !unnamed.Load() && (!how.Replaces || how.Size >= unnamedFrom) {
		fd, err := unix.Openat(home.fd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, how.Mode)
		switch err {
		case nil:
			s.fd = fd
			return s, nil
		case syscall.EOPNOTSUPP, syscall.EISDIR: // the second before Linux 3.11
			unnamed.Store(true)
		default:
			return nil, during("create", err)
		}
	}
	if err := s.named(how.Mode); err != nil {
		return nil, during("create temporary file", err)
	}
	return s, nil
}

// named makes the file under a temporary name. The lock tells RemoveStale that
// someone is at work; it ends with the process, or when the file is closed.
func (s *Staged) named(mode uint32) (err error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	s.temp, err = s.home.root.fresh(s.home.name, func(name string) (err error) {
		s.fd, err = unix.Openat(s.home.fd, name, flags, mode)
		return err
	})
	if err != nil {
		s.temp = ""
		return err
	}
	if s.r.opts.Temp == nil {
		_ = unix.Flock(s.fd, unix.LOCK_EX) // where locks are missing its age must do
	}
	return nil
}

// FD is the open file, for reading and writing.
func (s *Staged) FD() int { return s.fd }

// Object is the file.
func (s *Staged) Object() Object { return Object{fd: s.fd} }

// Place is where the file will be.
func (s *Staged) Place() Place { return s.at }

// CopyFrom fills the file, which is empty, with what src has: shared, copied by
// the kernel, or read and written, whatever is possible and fast. Holes stay.
func (s *Staged) CopyFrom(src *os.File) error {
	conn, err := src.SyscallConn()
	if err != nil {
		return &SourceError{err}
	}
	held := conn.Control(func(fd uintptr) {
		var st unix.Stat_t
		if err = unix.Fstat(int(fd), &st); err != nil {
			err = &SourceError{err}
			return
		}
		c := copier{r: s.r, src: int(fd), dst: s.fd}
		err = c.run(&st)
	})
	if held != nil {
		return &SourceError{held}
	}
	return err
}

// Publish gives the file its final name in one step. What stands there is
// replaced; a directory is not. On an error it is still staged.
func (s *Staged) Publish() error {
	if err := s.publish(s.at, true); err != nil {
		return err
	}
	s.release()
	return nil
}

// Unnamed reports whether the file has no name so far, not even a temporary one.
func (s *Staged) Unnamed() bool { return s.temp == "" }

// PublishNew is Publish for a file that is Unnamed, where nothing stands. If
// something does the error is syscall.EEXIST and nothing has happened.
func (s *Staged) PublishNew() error {
	err := s.link(s.fd, s.at.fd, s.at.name)
	switch err {
	case nil:
		s.release()
		return nil
	case syscall.EEXIST:
		return err
	}
	return during("link", err)
}

// PublishAt is Publish for another place.
func (s *Staged) PublishAt(to Place) error {
	if err := s.publish(to, true); err != nil {
		return err
	}
	s.release()
	return nil
}

// publish gives the file the name of place to. free says that there may be
// nothing.
func (s *Staged) publish(to Place, free bool) error {
	if s.temp == "" {
		if free {
			if err := s.link(s.fd, to.fd, to.name); err != syscall.EEXIST {
				return during("link", err)
			}
		}
		name, err := s.home.root.fresh(s.home.name, func(name string) error { return s.link(s.fd, s.home.fd, name) })
		if err != nil {
			return during("link", err)
		}
		s.temp = name
	}
	if s.r.opts.Temp == nil || s.r.opts.Sync {
		if err := s.close(); err != nil { // NFS tells here that the disk is full
			return during("close", err)
		}
	}
	if err := unix.Renameat(s.home.fd, s.temp, to.fd, to.name); err != nil {
		return during("rename", err)
	}
	s.temp = ""
	return nil
}

// link names an unnamed file.
func (s *Staged) link(fd, dir int, name string) error {
	byProc := &s.home.root.linkByProc
	if !byProc.Load() {
		if err := unix.Linkat(fd, "", dir, name, unix.AT_EMPTY_PATH); err != syscall.ENOENT {
			return err
		}
	}
	err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), dir, name, unix.AT_SYMLINK_FOLLOW)
	if err == nil {
		byProc.Store(true)
	}
	return err
}

// Discard leaves no trace of the file.
func (s *Staged) Discard() {
	if s.temp != "" {
		_ = unix.Unlinkat(s.home.fd, s.temp, 0)
		s.temp = ""
	}
	s.release()
}

// release gives everything back but the file's name.
func (s *Staged) release() {
	_ = s.close()
	if s.held {
		s.at.dir.Release()
		s.home.dir.Release()
		s.held = false
	}
}

func (s *Staged) close() error {
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

// Stage makes an empty file to be put at this place.
func (at Place) Stage(how Staging) (*Staged, error) { return at.root.stage(at, at, how) }

// Reopen opens the staged file for reading from its start.
func (s *Staged) Reopen() (*os.File, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(s.fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), s.at.name), nil
}
