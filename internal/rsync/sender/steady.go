package sender

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// ErrChanged is what OnError hears about a file that Steady kept from arriving.
var ErrChanged = errors.New("changed while it was being sent")

// ErrWriting is an ErrChanged about a file that was not sent because Steady
// knows that it is being written.
var ErrWriting = fmt.Errorf("is being written: %w", ErrChanged)

// Steady has files arrive as they were at one moment or not at all: of one that
// changes while it is sent, the peer is made to throw away what it got, with
// ErrChanged.
type Steady struct {
	// AsIs exempts paths, relative to Root.
	AsIs func(p tree.Path) bool
	// Writing tells of files, by path relative to Root and inode, that are not
	// even to be read, with ErrWriting. It may be nil, and is called from
	// several goroutines.
	Writing func(p tree.Path, i tree.Inode) bool
}

// version tells states of a file apart.
type version struct {
	inode                                    tree.Inode
	size, mtime, mtimeNsec, ctime, ctimeNsec int64
}

func versionOf(st *unix.Stat_t) version {
	return version{tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}, st.Size, int64(st.Mtim.Sec), int64(st.Mtim.Nsec), int64(st.Ctim.Sec), int64(st.Ctim.Nsec)}
}

// versionNow is the state of an open file, the zero version if it is unknown.
func versionNow(fd int) version {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return version{}
	}
	return versionOf(&st)
}

// changed reports whether a file that was sent is not what was opened. A file
// that shrank has been filled up with zeros, which is reported as such.
func (s *Steady) changed(p tree.Path, l *load) bool {
	if s == nil || s.exempt(p) {
		return false
	}
	if l.file == nil {
		return l.torn
	}
	now := l.state
	if conn, err := l.file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { now = versionNow(int(fd)) })
	}
	return now != l.state
}

// writing reports whether a file is not to be read.
func (s *Steady) writing(p tree.Path, i tree.Inode) bool {
	return s != nil && s.Writing != nil && s.Writing(p, i)
}

func (s *Steady) exempt(p tree.Path) bool { return s.AsIs != nil && s.AsIs(p) }
