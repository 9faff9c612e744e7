package walk

import (
	"io/fs"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// handle is a file descriptor that stays open while anyone uses it, so that a
// Close in the midst of a call can't hand the number to another file.
type handle struct {
	fd     int
	refs   atomic.Int32 // users, plus one for the owner until close
	closed atomic.Bool
}

func newHandle(fd int) *handle {
	h := &handle{fd: fd}
	h.refs.Store(1)
	return h
}

// acquire keeps the descriptor open until release. Who has acquired it may do
// so again after a close: the descriptor lives as long as its last user.
func (h *handle) acquire() (fd int, err error) {
	for {
		n := h.refs.Load()
		if n == 0 {
			return -1, fs.ErrClosed
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return h.fd, nil
		}
	}
}

func (h *handle) release() {
	if h.refs.Add(-1) == 0 {
		_ = unix.Close(h.fd) // opened for reading: nothing can be lost
	}
}

func (h *handle) close() error {
	if h.closed.Swap(true) {
		return fs.ErrClosed
	}
	h.release()
	return nil
}
