package dest

import (
	"runtime"
	"sync"
	"sync/atomic"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

const (
	// tasksAhead and filesAhead bound what waits for its turn.
	tasksAhead = 64
	filesAhead = 1 << 14

	// fewestAhead is how many files a task must have to be worth a worker's while.
	fewestAhead = 16

	removersMost = 4
)

// tasks is what a remover has found to do and has not done yet. Files are
// removed ahead of their turn, by workers and by the goroutine that pushes while
// it would have to wait; those of one task by one of them, since the kernel lets
// nobody else change a directory meanwhile. All else, what has become of the
// files included, is done by the goroutine that pushes, in the order of the
// tasks.
type tasks struct {
	alone bool // each task is done when it is pushed

	queue   []*task
	files   int // of the queue
	jobs    chan *task
	workers sync.WaitGroup
}

// task is something to be said, files to be removed from a directory, or, with
// neither, the removal of that directory.
type task struct {
	say   func()
	in    *level
	files []tree.Entry

	taken atomic.Bool
	done  chan struct{} // closed when all files were tried
	errs  []error       // of files; nil if there is none
}

// push does a task when its turn has come.
func (r *remover) push(t *task) {
	if r.alone {
		r.do(t)
		return
	}
	if t.files != nil {
		t.done = make(chan struct{})
	}
	r.queue = append(r.queue, t)
	r.files += len(t.files)
	if len(t.files) >= fewestAhead && r.files > len(t.files) {
		r.offer(t)
	}
	for len(r.queue) > tasksAhead || r.files > filesAhead {
		r.next()
	}
}

// offer lets a worker take t. The first files of a remover are never offered:
// they may be all there is.
func (r *remover) offer(t *task) {
	if r.jobs == nil {
		r.jobs = make(chan *task, tasksAhead)
		for range min(runtime.GOMAXPROCS(0), removersMost) - 1 {
			r.workers.Go(func() {
				for t := range r.jobs {
					r.unlinkAll(t)
				}
			})
		}
	}
	select {
	case r.jobs <- t:
	default: // workers are busy enough
	}
}

// finish does all tasks.
func (r *remover) finish() {
	for len(r.queue) > 0 {
		r.next()
	}
	if r.jobs != nil {
		close(r.jobs)
		r.workers.Wait()
	}
}

// next does the first task of the queue.
func (r *remover) next() {
	t := r.queue[0]
	r.queue = r.queue[1:]
	r.files -= len(t.files)
	r.do(t)
}

func (r *remover) do(t *task) {
	switch {
	case r.fatal != nil:
	case t.say != nil:
		t.say()
	case t.files == nil:
		r.leave(t.in)
	case r.alone:
		for _, e := range t.files {
			p := t.in.path.Join(e.Name)
			r.tellItem(p, e.Meta, t.in.up != nil)
			r.outcome(t.in, r.one(p, e.Meta))
		}
	default:
		r.await(t)
		for i, e := range t.files {
			r.outcome(t.in, r.unlinked(t.in.path.Join(e.Name), e.Meta, t.err(i)))
		}
	}
}

// await has the files of t removed. As long as a worker is at it, those of later
// tasks are.
func (r *remover) await(t *task) {
	r.unlinkAll(t)
	for _, later := range r.queue {
		select {
		case <-t.done:
			return
		default:
			if later.files != nil {
				r.unlinkAll(later)
			}
		}
	}
	<-t.done
}

// unlinkAll removes the files of a task with one handle of their directory,
// unless somebody is at it.
func (r *remover) unlinkAll(t *task) {
	if !t.taken.CompareAndSwap(false, true) {
		return
	}
	defer close(t.done)
	tried := r.root.AtDir(t.in.path, func(at apply.Place) error {
		for i, e := range t.files {
			if err := at.Beside(e.Name).Object().Unlink(); err != nil {
				t.fail(i, err)
			} else {
				r.forget(t.in.path, e.Name, e.Meta.Kind)
			}
		}
		return nil
	}) == nil
	for i, e := range t.files {
		// The handle may have been an old one, or the directory's mode in the way.
		if !tried || t.err(i) != nil {
			t.fail(i, r.unlink(t.in.path.Join(e.Name), e.Meta))
		}
	}
}

// fail notes what has become of a file.
func (t *task) fail(i int, err error) {
	if t.errs == nil {
		t.errs = make([]error, len(t.files))
	}
	t.errs[i] = err
}

func (t *task) err(i int) error {
	if t.errs == nil {
		return nil
	}
	return t.errs[i]
}
