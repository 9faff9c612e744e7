package sender

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// scanAhead is how many directories are read before their turn comes.
const scanAhead = 12

// scanWorkers is how many goroutines read directories.
const scanWorkers = 3

// dirListing is one directory, filtered and in the order of the wire.
type dirListing struct {
	path    tree.Path // relative to the transfer root
	entries []tree.Entry
	extras  []*extra // beside entries; nil if no entry has any
	faults  []fault  // of entries, and of the directory itself if it is incomplete

	// err says why the directory could not be read, partial that entries of it
	// are missing: a receiver that swept it would delete what exists.
	err     error
	partial bool
	locked  map[string]bool // subdirectories that cannot be read
	sets    []int32         // attribute sets of the subdirectories, once listed
}

// incomplete reports whether the listing may miss names that exist.
func (d *dirListing) incomplete() bool { return d.err != nil || d.partial }

// extra is what some entries have beyond their metadata.
type extra struct {
	target          string
	sum             []byte
	access, initial []byte // ACLs; initial is the one that new entries inherit
	xattrs          []flist.Xattr
}

// fault is why one path, relative to the transfer root, cannot be sent.
type fault struct {
	path tree.Path
	err  error
}

// scanner reads directories ahead of the list that is being sent.
type scanner struct {
	src  *source
	jobs chan *scan
	wait sync.WaitGroup
}

// scan is one directory that is being read.
type scan struct {
	done chan struct{} // closed when the rest is set
	dirListing
}

func newScan(path tree.Path) *scan {
	return &scan{done: make(chan struct{}), dirListing: dirListing{path: path}}
}

func newScanner(src *source) *scanner {
	s := &scanner{src: src, jobs: make(chan *scan, scanAhead)}
	for range scanWorkers {
		s.wait.Go(func() {
			for job := range s.jobs {
				job.dirListing = src.list(job.path)
				close(job.done)
			}
		})
	}
	return s
}

// close waits for the directories that are being read.
func (s *scanner) close() {
	close(s.jobs)
	for range s.jobs { // nobody needs the ones that were not begun
	}
	s.wait.Wait()
}

// source is the tree as the list wants it. Its methods may be called from any
// goroutine.
type source struct {
	ctx    context.Context
	job    *Job
	params *Params
	sums   chan struct{} // limits the files hashed for -c at a time

	aliases map[tree.Path]tree.Path // old names in the list and what they are called on disk
}

func newSource(ctx context.Context, job *Job, params *Params) *source {
	return &source{ctx: ctx, job: job, params: params, sums: make(chan struct{}, loaders)}
}

// full is a path of the transfer as the Root knows it.
func (s *source) full(p tree.Path) tree.Path { return p.Under(s.job.Dir) }

// onDisk is where the content of a listed file is found.
func (s *source) onDisk(p tree.Path) tree.Path {
	if to, ok := s.aliases[p]; ok {
		p = to
	}
	return s.full(p)
}

// place is onDisk for an entry of a list, as directory and last component.
func (s *source) place(o *openList, index int32) (dir tree.Path, name string) {
	if len(s.aliases) > 0 {
		p := s.onDisk(o.Path(index))
		return p.Parent(), p.Base()
	}
	dir, name = o.Split(index)
	return s.full(dir), name
}

// hidden reports whether a path of the transfer is none of the peer's business.
func (s *source) hidden(p tree.Path, isDir bool) bool {
	return s.job.Scope != nil && p != tree.Root && s.job.Scope.Hidden(s.full(p), isDir)
}

// list reads one directory.
func (s *source) list(p tree.Path) dirListing {
	l := dirListing{path: p}
	dir, err := s.job.Root.Dir(s.full(p))
	if err != nil {
		l.err = err
		return l
	}
	defer dir.Close()
	l.entries, err = dir.ReadDir()
	var partial *walk.PartialError
	switch {
	case errors.As(err, &partial):
		l.partial = true
		for _, e := range partial.Entries {
			l.faults = append(l.faults, fault{e.Path.Rel(s.job.Dir), e})
		}
	case err != nil:
		l.err = err
		l.entries = nil
		return l
	}
	l.filter(s)
	l.order(s.params.Protocol)
	if s.params.Compat.Has(wire.IncRecurse) {
		l.findLocked(dir)
	}
	s.addExtras(dir, &l)
	return l
}

// filter leaves out what is hidden.
func (l *dirListing) filter(s *source) {
	if s.job.Scope == nil {
		return
	}
	hidden := s.job.Scope.Child(s.full(l.path))
	l.entries = slices.DeleteFunc(l.entries, func(e tree.Entry) bool { return hidden(e.Name, e.Meta.IsDir()) })
	l.faults = slices.DeleteFunc(l.faults, func(f fault) bool { return hidden(f.path.Base(), false) })
}

// order sorts entries as both sides number them. They come sorted by name, so
// that there is not much to do. Extras come later.
func (l *dirListing) order(protocol int) {
	byNumber := func(a, b tree.Entry) int {
		return flist.CompareSiblings(protocol, a.Name, a.Meta.IsDir(), b.Name, b.Meta.IsDir())
	}
	if slices.IsSortedFunc(l.entries, byNumber) {
		return
	}
	slices.SortFunc(l.entries[l.firstDir():], byNumber)
}

// findLocked finds the subdirectories that we may not read. Their entries are
// sent before anybody tries to.
func (l *dirListing) findLocked(dir *walk.Dir) {
	fd, err := dir.Acquire()
	if err != nil {
		return
	}
	defer dir.Release()
	for i := range l.entries {
		e := &l.entries[i]
		if !e.Meta.IsDir() {
			continue
		}
		if unix.Faccessat(fd, e.Name, unix.R_OK|unix.X_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW) == unix.EACCES {
			if l.locked == nil {
				l.locked = make(map[string]bool)
			}
			l.locked[e.Name] = true
		}
	}
}

// extra of entry i, never nil.
func (l *dirListing) extra(i int) *extra {
	if l.extras == nil || l.extras[i] == nil {
		return &noExtra
	}
	return l.extras[i]
}

var noExtra extra

// fill completes a list entry with what the listing knows of number i.
func (l *dirListing) fill(ent *flist.Entry, i int) {
	e, x := &l.entries[i], l.extra(i)
	*ent = flist.Entry{
		Dir: l.path, Name: e.Name, Meta: e.Meta,
		Target: x.target, Sum: x.sum, Access: x.access, Default: x.initial, Xattrs: x.xattrs,
	}
}
