package session

import (
	"io"
	"sync"
	"syscall"

	"lockstep/internal/rsync/wire"
)

// pipeSize is how many bytes fit between the halves of a local copy in one
// direction. It stays in the processor's cache.
const pipeSize = 256 << 10

// flow is one direction of a connection within the process: a ring of bytes.
type flow struct {
	mu     sync.Mutex
	filled sync.Cond // something to read, or an end
	room   sync.Cond // something can be written, or an end
	ring   []byte
	head   int // first unread byte
	size   int // unread bytes
	eof    bool
	cause  error // why both sides are to stop
	cut    bool  // Read must return wire.ErrInterrupted
}

func newFlow() *flow {
	f := &flow{ring: make([]byte, pipeSize)}
	f.filled.L, f.room.L = &f.mu, &f.mu
	return f
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.size == 0 && !f.eof && f.cause == nil && !f.cut {
		f.filled.Wait()
	}
	switch {
	case f.cut:
		return 0, wire.ErrInterrupted
	case f.cause != nil:
		return 0, f.cause
	case f.size == 0:
		return 0, io.EOF
	}
	before, n := f.size, 0
	for n < len(p) && f.size > 0 {
		k := copy(p[n:], f.ring[f.head:min(f.head+f.size, len(f.ring))])
		f.head = (f.head + k) % len(f.ring)
		f.size -= k
		n += k
	}
	// A writer that waits is woken once for half a ring, not for every piece.
	if half := len(f.ring) / 2; before > half && f.size <= half {
		f.room.Signal()
	}
	return n, nil
}

func (f *flow) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for done := 0; done < len(p); {
		for f.size == len(f.ring) && f.cause == nil && !f.eof {
			f.room.Wait()
		}
		switch {
		case f.cause != nil:
			return done, f.cause
		case f.eof:
			return done, &linkError{syscall.EPIPE}
		}
		if f.size == 0 {
			f.filled.Signal()
		}
		tail := (f.head + f.size) % len(f.ring)
		end := len(f.ring)
		if tail < f.head {
			end = f.head
		}
		k := copy(f.ring[tail:end], p[done:])
		f.size += k
		done += k
	}
	return len(p), nil
}

// set changes what ends a flow and wakes whoever waits.
func (f *flow) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.filled.Broadcast()
	f.room.Broadcast()
}

// half is one end of a connection within the process.
type half struct {
	in, out  *flow
	throttle *bucket
	ended    chan struct{}
	endOnce  sync.Once
}

// newPipe is a connection within the process.
func newPipe() (a, b *half) {
	there, back := newFlow(), newFlow()
	return &half{in: back, out: there, ended: make(chan struct{})}, &half{in: there, out: back, ended: make(chan struct{})}
}

func (h *half) Read(p []byte) (int, error) { return h.in.read(p) }

func (h *half) Write(p []byte) (int, error) {
	if h.throttle == nil {
		return h.out.write(p)
	}
	for done := 0; done < len(p); {
		chunk, err := h.throttle.take(p[done:], h.ended)
		if err != nil {
			return done, err
		}
		n, err := h.out.write(chunk)
		done += n
		if err != nil {
			return done, err
		}
	}
	return len(p), nil
}

func (h *half) WriteVector(pieces [][]byte) error {
	for _, p := range pieces {
		if _, err := h.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (h *half) interrupt() { h.in.set(func() { h.in.cut = true }) }
func (h *half) resume()    { h.in.set(func() { h.in.cut = false }) }

// hangUp tells the other half that nothing more comes, and drops what it still
// says.
func (h *half) hangUp() {
	h.out.set(func() { h.out.eof = true })
	h.in.set(func() { h.in.eof = true })
}

// end stops both directions at once, for both halves.
func (h *half) end(cause error) {
	h.endOnce.Do(func() { close(h.ended) })
	for _, f := range []*flow{h.in, h.out} {
		f.set(func() {
			if f.cause == nil {
				f.cause = cause
			}
		})
	}
}
