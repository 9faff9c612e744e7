package walk

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Visitor is what Walk calls.
type Visitor struct {
	// Dir is called once for every directory, the start included, from several
	// goroutines at a time; a directory always before those below it. meta and
	// entries are as of ReadDir, and the callee may keep them. With err the
	// directory could not be read, or not completely: see ReadDir; one that
	// vanished after its parent was listed has fs.ErrNotExist.
	Dir func(dir tree.Path, meta tree.Meta, entries []tree.Entry, err error)

	// Enter decides whether to descend into a directory below the start, after
	// Dir was called for its parent; nil is always.
	Enter func(dir tree.Path) bool

	// Workers is how many directories are read at a time; 0 is a good number
	// for this machine.
	Workers int
}

// defaultWorkers: looking at entries waits for locks and disks, so somewhat
// more goroutines than CPUs pay.
func defaultWorkers() int { return min(max(2*runtime.GOMAXPROCS(0), 4), 16) }

// Walk reads directory start and what is below it. Trouble with single
// directories goes to v.Dir; Walk itself fails if ctx ends, if the Root is
// closed, or if start is not a directory. Nothing is called after it returned.
//
// A directory whose path would be longer than tree.MaxPath is not read: Dir is
// told so with ENAMETOOLONG.
func (r *Root) Walk(ctx context.Context, start tree.Path, v Visitor) error {
	m, err := r.Lstat(start)
	if err != nil {
		return err
	}
	if !m.IsDir() {
		return fail("walk", start, syscall.ENOTDIR)
	}
	root, err := r.h.acquire()
	if err != nil {
		return fail("walk", start, err)
	}
	defer r.h.release()
	if v.Workers <= 0 {
		v.Workers = defaultWorkers()
	}
	w := &walker{ctx: ctx, visitor: v, resolve: r.resolve, root: root, pending: []tree.Path{start}}
	w.wake.L = &w.mu
	defer context.AfterFunc(ctx, w.wakeAll)()
	var group sync.WaitGroup
	for range v.Workers {
		group.Go(w.work)
	}
	group.Wait()
	return ctx.Err()
}

// walker is one Walk under way.
type walker struct {
	ctx     context.Context
	visitor Visitor
	resolve resolver
	root    int

	mu      sync.Mutex
	wake    sync.Cond
	pending []tree.Path // a stack: going deep first keeps it short
	active  int         // directories being read, which may add to pending
}

// wakeAll lets every worker look at ctx. The lock keeps it from coming between
// a worker's look and its wait.
func (w *walker) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake.Broadcast()
}

func (w *walker) work() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && w.active > 0 && w.ctx.Err() == nil {
			w.wake.Wait()
		}
		if len(w.pending) == 0 || w.ctx.Err() != nil {
			w.wake.Broadcast()
			return
		}
		last := len(w.pending) - 1
		dir := w.pending[last]
		w.pending = w.pending[:last]
		w.active++
		w.mu.Unlock()

		below := w.visit(dir)

		w.mu.Lock()
		w.active--
		w.pending = append(w.pending, below...)
		if len(below) > 1 || len(w.pending) == 0 {
			w.wake.Broadcast()
		}
	}
}

// visit reads one directory and returns those to descend into, the first last.
func (w *walker) visit(dir tree.Path) []tree.Path {
	meta, entries, err := w.read(dir)
	w.visitor.Dir(dir, meta, entries, err)
	var below []tree.Path
	for _, e := range slices.Backward(entries) {
		if !e.Meta.IsDir() {
			continue
		}
		if p := dir.Join(e.Name); w.visitor.Enter == nil || w.visitor.Enter(p) {
			below = append(below, p)
		}
	}
	return below
}

func (w *walker) read(dir tree.Path) (tree.Meta, []tree.Entry, error) {
	if len(dir) > tree.MaxPath {
		return tree.Meta{}, nil, fail(opList, dir, syscall.ENAMETOOLONG)
	}
	fd, err := w.resolve.open(w.root, dir, openList)
	if err != nil {
		return tree.Meta{}, nil, fail(opList, dir, err)
	}
	defer unix.Close(fd)
	meta, err := statFD(fd)
	if err != nil {
		return tree.Meta{}, nil, fail(opList, dir, err)
	}
	entries, err := list(fd, dir, w.visitor.Workers)
	return meta, entries, err
}
