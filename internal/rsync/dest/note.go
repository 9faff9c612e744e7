package dest

import (
	"context"
	"sync"
)

// Note is what the receiver tells the generator (rsync-transfer 1.7).
type Note struct {
	Kind  NoteKind
	Index int32 // of the entry, where there is one
}

// NoteKind says what a Note is about.
type NoteKind uint8

// The notes.
const (
	Installed NoteKind = iota // the entry's data is in place
	Redo                      // its digest was wrong, once
	Failed                    // it could not be stored, or its digest was wrong twice
	NotSent                   // the sender will not send it (MSG_NO_SEND)
	PhaseDone                 // the sender's DONE of a phase, or of a list, was read
	Ended                     // the receiver has read everything up to the goodbye
)

// Notes is the queue from the receiver to the generator. It has no bound: the
// receiver must never wait for a generator that waits for the peer to read. It
// holds a few bytes for each entry at most.
type Notes struct {
	mu    sync.Mutex
	queue []Note
	head  int           // of queue: what is before it was taken
	ill   int32         // the io_error bits heard of
	more  chan struct{} // has a token while the queue may have something
}

// NewNotes makes an empty queue.
func NewNotes() *Notes { return &Notes{more: make(chan struct{}, 1)} }

// Put adds a note; it never waits.
func (q *Notes) Put(n Note) {
	q.mu.Lock()
	q.queue = append(q.queue, n)
	q.mu.Unlock()
	q.wake()
}

// Ail adds io_error bits of the sender's to those heard of. They are in no queue:
// what is deleted hangs on them, whatever else there is to do first.
func (q *Notes) Ail(bits int32) {
	q.mu.Lock()
	q.ill |= bits
	q.mu.Unlock()
}

// Ills are the io_error bits heard of.
func (q *Notes) Ills() int32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ill
}

func (q *Notes) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// More has a token while there may be something for TryTake: for who waits for
// other things as well. One goroutine at a time takes.
func (q *Notes) More() <-chan struct{} { return q.more }

// TryTake gives the oldest note if there is one.
func (q *Notes) TryTake() (Note, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.queue) {
		return Note{}, false
	}
	n := q.queue[q.head]
	q.head++
	switch {
	case q.head == len(q.queue):
		q.queue, q.head = q.queue[:0], 0
	case q.head >= 1024 && q.head*2 >= len(q.queue): // moved at most once per note
		q.queue = q.queue[:copy(q.queue, q.queue[q.head:])]
		q.head = 0
	}
	return n, true
}

// Take waits for the oldest note, or for the end of ctx.
func (q *Notes) Take(ctx context.Context) (Note, error) {
	for {
		if n, ok := q.TryTake(); ok {
			return n, nil
		}
		select {
		case <-q.more:
		case <-ctx.Done():
			return Note{}, ctx.Err()
		}
	}
}
