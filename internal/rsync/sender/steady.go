package sender

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// What OnError hears about a file that Steady kept from being sent.
var (
	ErrBusy    = errors.New("is being written")
	ErrChanged = errors.New("changed while it was being sent")
)

// Steady has files sent whole or not at all: one that some process has open
// for writing is left out, with ErrBusy; of one that changes while it is sent,
// the peer is made to throw away what it got, with ErrChanged.
type Steady struct {
	// Within bounds the search for writers to files modified in this span of
	// time; 0 looks at all.
	Within time.Duration
	// AsIs exempts paths, relative to Root.
	AsIs func(p tree.Path) bool
}

// version tells states of a file apart.
type version struct {
	size, mtime, mtimeNsec, ctime, ctimeNsec int64
}

func versionOf(st *unix.Stat_t) version {
	return version{st.Size, int64(st.Mtim.Sec), int64(st.Mtim.Nsec), int64(st.Ctim.Sec), int64(st.Ctim.Nsec)}
}

// versionNow is the state of an open file, the zero version if it is unknown.
func versionNow(fd int) version {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return version{}
	}
	return versionOf(&st)
}

// busy reports whether a file that was just opened should be left out.
func (s *Steady) busy(p tree.Path, fd int, v version) bool {
	if s == nil || s.Within > 0 && time.Since(time.Unix(v.mtime, v.mtimeNsec)) > s.Within || s.exempt(p) {
		return false
	}
	busy, err := walk.BusyFD(fd)
	return err == nil && busy
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

func (s *Steady) exempt(p tree.Path) bool { return s.AsIs != nil && s.AsIs(p) }
