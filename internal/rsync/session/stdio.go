package session

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// stdio is the connection of a server that a remote shell started.
type stdio struct {
	io.Reader
	io.Writer
}

func newStdio(in io.Reader, out io.Writer) *stdio {
	s := &stdio{in, out}
	if f, ok := in.(*os.File); ok {
		s.Reader = interruptible(f)
	}
	if f, ok := out.(*os.File); ok {
		s.Writer = interruptible(f)
	}
	return s
}

// interruptible is f in a form whose Close ends a Read or Write that is under
// way, if it is a pipe or a socket.
func interruptible(f *os.File) *os.File {
	if !pollable(f) {
		return f
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return f
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return f
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// output is the file that goes to the client, if it is a pipe or a socket.
func (s *stdio) output() *os.File {
	f, _ := s.Writer.(*os.File)
	if f == nil || !pollable(f) {
		return nil
	}
	return f
}

// CloseWrite tells a client at the other end of a socket that nothing more is
// coming.
func (s *stdio) CloseWrite() error {
	if half, ok := s.Writer.(halfCloser); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// pollable reports whether f is a pipe or a socket.
func pollable(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

func (s *stdio) Close() error {
	var errs [2]error
	if c, ok := s.Reader.(io.Closer); ok {
		errs[0] = c.Close()
	}
	if c, ok := s.Writer.(io.Closer); ok {
		errs[1] = c.Close()
	}
	return errors.Join(errs[:]...)
}
