package session

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/wire"
)

// ringSize is how many bytes are read ahead of who consumes them. Once it is
// full, half of it has to be consumed before more is read: waking the one or
// the other for each piece costs more than the copying.
const ringSize = 256 << 10

// transport is one connection with a goroutine that reads ahead, so that the
// end of the connection is noticed while nobody reads, the peer can go on
// writing while we do, and waiting can be interrupted. Reading and writing may
// go on at the same time, each by one goroutine; the rest may be called by any.
type transport struct {
	rw        io.ReadWriteCloser
	afterRead func() // called after each read, may be nil
	throttle  *bucket
	joined    []byte                      // of WriteVector
	vector    func(pieces [][]byte) error // writes several pieces at once; nil if rw can't

	mu       sync.Mutex
	filled   sync.Cond // there is something to read, or an end
	room     sync.Cond // half of ring is free, or an end
	ring     []byte
	head     int // first byte not yet consumed
	size     int // bytes not yet consumed
	total    int64
	readErr  error
	cut      bool  // Read must return wire.ErrInterrupted
	cause    error // why we ended the connection
	waiting  time.Time
	lastRead time.Time

	// Times in nanoseconds since start; writing is 0 if no write is going on.
	start               time.Time
	writing             atomic.Int64
	lastWrite, lastData atomic.Int64

	readDone chan struct{} // the read-ahead goroutine has ended
	ended    chan struct{} // we ended the connection
	endOnce  sync.Once
}

func newTransport(rw io.ReadWriteCloser, afterRead func()) *transport {
	now := time.Now()
	t := &transport{
		rw: rw, afterRead: afterRead, vector: vectorOf(rw), ring: make([]byte, ringSize),
		start: now.Add(-1), lastRead: now, // so that no time is 0
		readDone: make(chan struct{}), ended: make(chan struct{}),
	}
	t.filled.L, t.room.L = &t.mu, &t.mu
	go t.readAhead()
	return t
}

// readAhead fills the ring until the connection ends. Whoever of it and end
// comes last closes the connection.
func (t *transport) readAhead() {
	defer close(t.readDone)
	for {
		span := t.free()
		if span == nil {
			t.discard()
			return
		}
		n, err := t.rw.Read(span)
		if t.afterRead != nil {
			t.afterRead()
		}
		t.mu.Lock()
		t.size += n
		t.total += int64(n)
		if n > 0 {
			t.lastRead = time.Now()
		}
		if err != nil {
			t.readErr = t.explain(err)
		}
		ended := t.cause != nil
		t.filled.Signal()
		t.mu.Unlock()
		if err != nil {
			if ended {
				t.rw.Close()
			}
			return
		}
	}
}

// discard reads what a peer still says after our end, until it has hung up too.
// If the connection were closed with anything unread the peer's kernel would
// throw away what the peer has not read yet, and report a reset instead of an
// end: a receiving rsync then dies before it has removed its temporary files.
func (t *transport) discard() {
	var nobody [4 << 10]byte
	for {
		if _, err := t.rw.Read(nobody[:]); err != nil {
			t.rw.Close()
			return
		}
	}
}

// free waits for room in the ring and returns a part of it, nil at the end. The
// part stays where it is while the ring is emptied: head+size must not move
// but by what is read into it.
func (t *transport) free() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.size == len(t.ring) && t.cause == nil {
		for t.size > len(t.ring)/2 && t.cause == nil {
			t.room.Wait()
		}
	}
	if t.cause != nil {
		t.readErr = t.cause
		t.filled.Signal()
		return nil
	}
	tail := (t.head + t.size) % len(t.ring)
	if tail < t.head {
		return t.ring[tail:t.head]
	}
	return t.ring[tail:]
}

// linkError is a failure of the connection itself.
type linkError struct{ err error }

func (e *linkError) Error() string { return e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

// explain puts our own reason for the end before its consequences. The caller
// holds mu.
func (t *transport) explain(err error) error {
	switch {
	case t.cause != nil:
		return t.cause
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return &linkError{err}
}

// Read takes from what was read ahead.
func (t *transport) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = time.Now()
	for {
		switch {
		case t.cut:
			t.waiting = time.Time{}
			return 0, wire.ErrInterrupted
		case t.size > 0:
			n := copy(p, t.ring[t.head:min(t.head+t.size, len(t.ring))])
			t.head = (t.head + n) % len(t.ring)
			t.waiting = time.Time{}
			half := len(t.ring) / 2
			if t.size > half && t.size-n <= half {
				t.room.Signal()
			}
			t.size -= n
			return n, nil
		case t.readErr != nil:
			return 0, t.readErr
		}
		t.filled.Wait()
	}
}

// interrupt makes Read fail, now and until resume.
func (t *transport) interrupt() { t.setCut(true) }

func (t *transport) resume() { t.setCut(false) }

func (t *transport) setCut(cut bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = cut
	t.filled.Signal()
}

// emptyFrame is a keep-alive: a data frame without payload. It does not count
// as activity, else a frozen peer would never be noticed.
const emptyFrame = "\x00\x00\x00\x07"

// Write writes p as fast as the bandwidth limit allows.
func (t *transport) Write(p []byte) (int, error) {
	t.writing.Store(t.now())
	defer t.writing.Store(0)
	idle := string(p) == emptyFrame
	for done := 0; done < len(p); {
		chunk := p[done:]
		if t.throttle != nil {
			var err error
			if chunk, err = t.throttle.take(chunk, t.ended); err != nil {
				return done, t.reason(err)
			}
		}
		n, err := t.rw.Write(chunk)
		done += n
		t.wrote(!idle)
		if err != nil {
			return done, t.reason(err)
		}
	}
	return len(p), nil
}

// WriteVector writes several pieces in one go if the connection can.
func (t *transport) WriteVector(pieces [][]byte) error {
	if _, encrypted := t.rw.(*tls.Conn); encrypted && t.throttle == nil {
		t.joined = t.joined[:0]
		for _, p := range pieces { // each write would be a record of its own
			t.joined = append(t.joined, p...)
		}
		_, err := t.Write(t.joined)
		return err
	}
	if t.vector == nil || t.throttle != nil {
		for _, p := range pieces {
			if len(p) == 0 {
				continue
			}
			if _, err := t.Write(p); err != nil {
				return err
			}
		}
		return nil
	}
	t.writing.Store(t.now())
	defer t.writing.Store(0)
	err := t.vector(pieces)
	t.wrote(true)
	return t.reason(err)
}

// vectorOf is how a connection writes several pieces with one system call, nil
// if it can't.
func vectorOf(rw io.ReadWriteCloser) func(pieces [][]byte) error {
	switch rw := rw.(type) {
	case net.Conn:
		return func(pieces [][]byte) error {
			buffers := net.Buffers(pieces)
			_, err := buffers.WriteTo(rw)
			return err
		}
	case interface{ output() *os.File }:
		if f := rw.output(); f != nil {
			return func(pieces [][]byte) error { return writeVector(f, pieces) }
		}
	}
	return nil
}

// writeVector writes pieces to a pipe or a socket.
func writeVector(f *os.File, pieces [][]byte) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for len(pieces) > 0 && err == nil {
		var n int
		failed := conn.Write(func(fd uintptr) bool {
			n, err = unix.Writev(int(fd), pieces)
			return err != unix.EAGAIN
		})
		if err == unix.EINTR {
			n, err = 0, nil
		}
		if err == nil {
			err = failed
		}
		for n > 0 || len(pieces) > 0 && len(pieces[0]) == 0 {
			k := min(n, len(pieces[0]))
			if n, pieces[0] = n-k, pieces[0][k:]; len(pieces[0]) == 0 {
				pieces = pieces[1:]
			}
		}
	}
	return err
}

func (t *transport) now() int64 { return int64(time.Since(t.start)) }

func (t *transport) wrote(data bool) {
	now := t.now()
	t.lastWrite.Store(now)
	if data {
		t.lastData.Store(now)
	}
}

// reason is explain for whoever does not hold mu; nil stays nil.
func (t *transport) reason(err error) error {
	if err == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.explain(err)
}

// sinceWrite is how long nothing has been written; 0 during a write.
func (t *transport) sinceWrite() time.Duration {
	if t.writing.Load() != 0 {
		return 0
	}
	return time.Duration(t.now() - t.lastWrite.Load())
}

// silence is how long somebody has been waiting for the peer while no data
// went either way; 0 if nobody waits.
func (t *transport) silence() time.Duration {
	t.mu.Lock()
	waiting, last := t.waiting, t.lastRead
	t.mu.Unlock()
	since := int64(0)
	if !waiting.IsZero() {
		since = int64(waiting.Sub(t.start))
	}
	if writing := t.writing.Load(); writing != 0 && (since == 0 || writing < since) {
		since = writing
	}
	if since == 0 {
		return 0
	}
	return time.Duration(t.now() - max(since, int64(last.Sub(t.start)), t.lastData.Load()))
}

// heard is the number of bytes read so far.
func (t *transport) heard() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// alive reports whether the connection still stands, with nothing unread if
// quiet is asked for.
func (t *transport) alive(quiet bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readErr == nil && t.cause == nil && (!quiet || t.size == 0)
}

// lingering is how long the peer may take to hang up after we did: on a busy
// machine it needs more than a moment, and an end is to take less than a second.
const lingering = 800 * time.Millisecond

// halfCloser is a connection that can tell its peer that nothing more is coming
// while it still reads. The error is errors.ErrUnsupported if it turns out that
// it can't.
type halfCloser interface{ CloseWrite() error }

// end stops reading and writing; cause is the error of everything after, unless
// another came first. It does not wait. The peer learns of it at once. The
// connection is closed when the peer has hung up too, or after lingering.
func (t *transport) end(cause error) {
	t.mu.Lock()
	if t.cause == nil {
		t.cause = cause
	}
	over := t.readErr != nil
	t.filled.Signal()
	t.room.Signal()
	t.mu.Unlock()
	t.endOnce.Do(func() {
		close(t.ended)
		half, ok := t.rw.(halfCloser)
		if over || !ok {
			t.rw.Close()
			return
		}
		time.AfterFunc(lingering, func() { t.rw.Close() })
		if errors.Is(half.CloseWrite(), errors.ErrUnsupported) {
			t.rw.Close()
		}
	})
}

// closed waits, after end, until the connection is closed, or a little longer
// than the peer has: a read from a terminal ends when it will.
func (t *transport) closed() {
	select {
	case <-t.readDone:
	case <-time.After(lingering + 100*time.Millisecond):
	}
}
