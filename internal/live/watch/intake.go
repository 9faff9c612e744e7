package watch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readSize  = 64 << 10 // bytes asked of the kernel at once; holds hundreds of records
	keepSpare = 1 << 20  // larger buffers are given back when they are empty
	maxRecord = 4 << 10  // bytes; no record of either kernel interface is larger
)

// Pacing. To wake a reader for each record costs those who cause them as much
// as their own work, on the same file system a target's daemon too. When
// records keep coming, they are left to gather.
const (
	brisk   = 500 * time.Microsecond // between two reads that follow each other at once
	briskly = 32                     // so many of them are a flood
	nap     = 1                      // ms that a flood is left alone
	dense   = 1 << 10                // bytes that have gathered by then if it goes on
	fullNap = 10                     // ms between two looks whether a full memory has been taken from
)

// intake drains a kernel queue into memory, so that the kernel's own queue
// stays short however slow the consumer is. One goroutine runs run; another
// takes.
type intake struct {
	fd    int
	stop  int           // a descriptor that is readable once all must end
	limit int           // bytes
	keep  bool          // at the limit the kernel's queue is left to fill up; otherwise what has gathered is dropped
	ready chan struct{} // holds a token when there is something to take

	mu   sync.Mutex
	buf  []byte // whole records
	lost bool   // buf overran its limit and was emptied
	read int64  // bytes that came from the kernel in all

	fences []chan struct{} // closed once what came before them is handed over
}

func newIntake(fd, stop, limit int) *intake {
	return &intake{fd: fd, stop: stop, limit: limit, ready: make(chan struct{}, 1)}
}

// run reads until the stop descriptor is readable, or reading fails.
func (in *intake) run() error {
	fds := []unix.PollFd{{Fd: int32(in.fd), Events: unix.POLLIN}, {Fd: int32(in.stop), Events: unix.POLLIN}}
	var last time.Time
	row, napped := 0, false
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for events: %w", err)
		}
		if fds[1].Revents != 0 {
			return nil
		}
		if fds[0].Revents == 0 {
			continue
		}
		if in.keep && in.full() {
			_, _ = unix.Poll(fds[1:], fullNap)
			continue
		}
		n, err := in.fill()
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		in.wake()
		now := time.Now()
		if row = min(row+1, 2*briskly); now.Sub(last) > brisk {
			row /= 2 // a busy machine pauses in the middle of a flood, too
		}
		last = now
		if napped = row >= briskly || napped && n >= dense; napped {
			_, _ = unix.Poll(fds[1:], nap)
		}
	}
}

// fill appends what one read gives, n bytes.
func (in *intake) fill() (n int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if cap(in.buf)-len(in.buf) < readSize {
		grown := make([]byte, len(in.buf), 2*cap(in.buf)+readSize)
		copy(grown, in.buf)
		in.buf = grown
	}
	n, err = unix.Read(in.fd, in.buf[len(in.buf):cap(in.buf)])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil:
		return 0, err
	}
	in.buf = in.buf[:len(in.buf)+n]
	in.read += int64(n)
	if len(in.buf) > in.limit && !in.keep {
		in.buf, in.lost = in.buf[:0], true // they were hints; a comparison of everything replaces them
	}
	return n, nil
}

func (in *intake) full() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.buf) > in.limit
}

// catchUp reads what the kernel holds by now.
func (in *intake) catchUp(ctx context.Context) error {
	for {
		n, err := in.fill()
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if n < readSize-maxRecord { // the next record would have fitted: the queue was empty
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fence is catchUp, and asks for done to be closed when all of it has been
// handed over.
func (in *intake) fence(ctx context.Context, done chan struct{}) error {
	if err := in.catchUp(ctx); err != nil {
		return err
	}
	in.mu.Lock()
	in.fences = append(in.fences, done)
	in.mu.Unlock()
	in.wake()
	return nil
}

// wake says that there is something to take.
func (in *intake) wake() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// fenced gives the fences set so far. Records from before them are in what the
// next take gives, or were taken already.
func (in *intake) fenced() []chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	fences := in.fences
	in.fences = nil
	return fences
}

// passed closes fences.
func passed(fences []chan struct{}) {
	for _, f := range fences {
		close(f)
	}
}

// take exchanges what has come in for an empty buffer. lost says that records
// older than data were dropped.
func (in *intake) take(spare []byte) (data []byte, lost bool) {
	if cap(spare) > keepSpare {
		spare = nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	data, lost = in.buf, in.lost
	in.buf, in.lost = spare[:0], false
	return data, lost
}

// drained reports whether neither kernel nor memory hold more records.
func (in *intake) drained() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, err := unix.IoctlGetInt(in.fd, unix.TIOCINQ)
	return err == nil && n == 0 && len(in.buf) == 0 && !in.lost
}
