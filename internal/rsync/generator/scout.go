package generator

import (
	"errors"
	"io/fs"
	"runtime"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
)

// Sizes of what is looked at ahead.
const (
	chunkSize  = 128 // entries that a scout takes at a time
	chunksMost = 24  // chunks under way or waiting to be used
	alone      = 4   // entries of a list that are not worth a scout's while
	scoutsMost = 4
)

// scout looks at the destination of entries before their turn. Apart from the
// workers it belongs to main.
type scout struct {
	g     *run
	lists []*list  // with entries that no chunk has
	queue []*chunk // submitted, in the order in which main uses them
	spare []*chunk
	jobs  chan *chunk
	wg    sync.WaitGroup

	// Main's own doings that make what scouts saw doubtful: how many directories
	// it removed, and how many times it changed anything.
	removals, changes uint32

	own dest.Found // where main looked itself
}

// chunk is a run of entries of one list, and what is at their places.
type chunk struct {
	l     *list
	from  int // in l.Order
	files []*flist.File
	found [chunkSize]dest.Found
	errs  [chunkSize]error
	ready chan struct{} // gets a token when found is filled
	taken bool          // main has the token

	removals, changes uint32 // as they were when the chunk was submitted
}

func newScout(g *run) *scout {
	s := &scout{g: g, jobs: make(chan *chunk, chunksMost)}
	if g.opt.ListOnly > 0 {
		return s
	}
	for range min(max(runtime.GOMAXPROCS(0), 2), scoutsMost) {
		s.wg.Go(func() {
			for c := range s.jobs {
				c.look(g.d)
				c.ready <- struct{}{}
			}
		})
	}
	return s
}

// close ends the workers.
func (s *scout) close() {
	close(s.jobs)
	s.wg.Wait()
}

// add has the entries of a list looked at, after those of the lists before.
func (s *scout) add(l *list) {
	if len(l.Order) >= alone && s.g.opt.ListOnly == 0 {
		s.lists = append(s.lists, l)
	}
}

// submit keeps the scouts busy.
func (s *scout) submit() {
	for len(s.queue) < chunksMost && len(s.lists) > 0 {
		l := s.lists[0]
		var c *chunk
		if n := len(s.spare); n > 0 {
			c, s.spare = s.spare[n-1], s.spare[:n-1]
		} else {
			c = &chunk{ready: make(chan struct{}, 1)}
		}
		n := min(chunkSize, len(l.Order)-l.chunks)
		c.l, c.from, c.files = l, l.chunks, l.Order[l.chunks:l.chunks+n]
		c.removals, c.changes = s.removals, s.changes
		if l.chunks += n; l.chunks == len(l.Order) {
			s.lists = s.lists[1:]
		}
		s.queue = append(s.queue, c)
		s.jobs <- c
	}
}

// leave drops what was seen of a list and not asked for.
func (s *scout) leave(l *list) {
	for len(s.queue) > 0 && s.queue[0].l == l {
		s.drop()
	}
}

// drop gives the first chunk back.
func (s *scout) drop() {
	c := s.queue[0]
	c.await()
	copy(s.queue, s.queue[1:])
	s.queue = s.queue[:len(s.queue)-1]
	c.l, c.files, c.taken = nil, nil, false
	s.spare = append(s.spare, c)
	s.submit()
}

// at is what stands where l.Order[i] goes. It is called with rising i, holds
// until the next call and may be changed.
func (s *scout) at(l *list, i int) (*dest.Found, error) {
	f := l.Order[i]
	for len(s.queue) > 0 && s.queue[0].l == l && i >= s.queue[0].from+len(s.queue[0].files) {
		s.drop()
	}
	if len(s.queue) == 0 || s.queue[0].l != l {
		return s.fresh(f)
	}
	c := s.queue[0]
	c.await()
	k := i - c.from
	found := &c.found[k]
	switch {
	case c.errs[k] != nil, c.removals != s.removals:
		return s.fresh(f)
	case found.Nlink > 1 && found.Kind != tree.Dir && c.changes != s.changes:
		return s.fresh(f) // may have changed under another name
	}
	return found, nil
}

// await waits until found is filled.
func (c *chunk) await() {
	if !c.taken {
		<-c.ready
		c.taken = true
	}
}

// fresh looks now.
func (s *scout) fresh(f *flist.File) (*dest.Found, error) {
	var err error
	s.own, err = s.g.d.Stat(f)
	return &s.own, err
}

// nothing is the answer where nothing can be.
func (s *scout) nothing() *dest.Found {
	s.own = dest.Found{}
	return &s.own
}

// look fills in what is there, with one handle for entries of one directory.
func (c *chunk) look(d *dest.Dest) {
	var folder *dest.Folder
	var none error // why folder is nil
	var dir tree.Path
	for i, f := range c.files {
		c.errs[i] = nil
		if f.Dup {
			continue
		}
		if f.Path == tree.Root {
			c.found[i], c.errs[i] = d.Stat(f)
			continue
		}
		if p := f.Path.Parent(); p != dir || folder == nil && none == nil {
			if folder != nil {
				folder.Close()
			}
			dir = p
			folder, none = d.Folder(dir)
		}
		switch {
		case none == nil:
			c.errs[i] = folder.Stat(f, &c.found[i])
		case errors.Is(none, fs.ErrNotExist):
			c.found[i] = dest.Found{}
		default:
			c.errs[i] = none
		}
	}
	if folder != nil {
		folder.Close()
	}
}
