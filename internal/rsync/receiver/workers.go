package receiver

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// Bounds of the queues. Each waiting job has at most one chunk, and the jobs
// that are worked on have chunksAhead more.
const (
	jobsAhead   = 64
	chunksAhead = 4
	maxWorkers  = 4
)

// job is a file that is to be made. Its first chunk may be all of it; otherwise
// the others come through more, which is closed when the stream breaks.
type job struct {
	index int32
	file  *flist.File
	basis wire.Basis
	xname string
	head  delta.Head
	skip  int64 // --append: bytes that stand already
	redo  bool
	// absent says that the generator found nothing there, if the sender is to be
	// believed.
	absent bool
	final  bool // if the digest is wrong the file is not asked for again
	first  *chunk
	more   chan *chunk

	turn int           // how many jobs came before
	came dest.NoteKind // what came of it, if that is to be noted
	note bool
}

// next is the chunk after c, nil if there is none.
func (j *job) next(c *chunk) *chunk {
	if c.last || c.broken || j.more == nil {
		return nil
	}
	return <-j.more
}

// workers finish files. A job is worked on by one of them from start to end. All
// take jobs until close, whatever has failed. What came of the jobs is noted in
// the order in which they were added: the generator links the other names of a
// file then, and says so.
type workers struct {
	m      *run
	queue  chan *job
	cancel context.CancelCauseFunc
	jobs   sync.WaitGroup // not finished
	ended  sync.WaitGroup
	count  int
	added  int // jobs

	mu    sync.Mutex   // guards what follows
	noted int          // jobs, from the first on
	early map[int]*job // finished before one that was added before, by turn

	literal, matched atomic.Int64 // bytes
}

func newWorkers(m *run, cancel context.CancelCauseFunc) *workers {
	return &workers{m: m, queue: make(chan *job, jobsAhead), cancel: cancel, early: make(map[int]*job)}
}

// add queues a job; it waits while the queue is full.
func (w *workers) add(j *job) {
	w.jobs.Add(1)
	j.turn = w.added
	w.added++
	if w.count < min(maxWorkers, runtime.GOMAXPROCS(0)) && (w.count == 0 || len(w.queue) > 0) {
		w.count++
		w.ended.Go(w.work)
	}
	w.queue <- j
}

// wait returns when all jobs are finished.
func (w *workers) wait() { w.jobs.Wait() }

// close ends the workers when all jobs are finished.
func (w *workers) close() {
	close(w.queue)
	w.ended.Wait()
}

func (w *workers) work() {
	k := &worker{workers: w, m: w.m, hash: w.m.params.Xfer.New(w.m.params.Seed)}
	for j := range w.queue {
		if err := k.do(j); err != nil {
			w.cancel(err)
		}
		w.finished(j)
		w.jobs.Done()
	}
}

// finished notes what came of j, and of those that have waited for it.
func (w *workers) finished(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j.turn != w.noted {
		w.early[j.turn] = j
		return
	}
	for ok := true; ok; j, ok = w.early[w.noted] {
		delete(w.early, w.noted)
		w.noted++
		if j.note {
			w.m.notes.Put(dest.Note{Kind: j.came, Index: j.index})
		}
	}
}

// worker is one goroutine that makes files.
type worker struct {
	workers *workers
	m       *run
	hash    *checksum.Hash
	sum     [checksum.MaxSize]byte
	buf     []byte      // of blocks
	free    chan []byte // of blocks that are read ahead; nil until there are any
}

// redos are the files whose digest was wrong once. What the generator asks for
// again is a redo (1.8).
type redos struct {
	mu    sync.Mutex
	index map[int32]struct{}
}

func (r *redos) add(index int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == nil {
		r.index = make(map[int32]struct{})
	}
	r.index[index] = struct{}{}
}

func (r *redos) has(index int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.index[index]
	return ok
}
