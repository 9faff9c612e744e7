package sender

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// scanAhead is how many directories are read before their turn comes.
const scanAhead = 12

// scanWorkers is how many goroutines read directories.
const scanWorkers = 3

// where is a place to read a directory of the list from.
type where struct {
	origin *origin
	number int32 // of the origin, for facts

	// through says that the way to the directory leads through symlinks: they
	// are followed there, as otherwise they never are.
	through bool

	device uint64 // what --one-file-system stays on
}

// dir opens a directory of the list.
func (w *where) dir(p tree.Path) (dir *walk.Dir, err error) {
	err = w.origin.use(func(r *walk.Root) error {
		if w.through {
			dir, err = r.DirFollowing(w.origin.below(p))
		} else {
			dir, err = r.Dir(w.origin.below(p))
		}
		return err
	})
	return dir, err
}

// dirListing is one directory, filtered and in the order of the wire.
type dirListing struct {
	path    tree.Path // relative to the transfer root
	where   where
	entries []tree.Entry
	extras  []*extra // beside entries; nil if no entry has any
	faults  []fault  // of entries, and of the directory itself if it is incomplete

	// err says why the directory could not be read, partial that entries of it
	// are missing: a receiver that swept it would delete what exists.
	err     error
	partial bool
	broken  error           // of merge files: nothing can be listed by them
	locked  map[string]bool // subdirectories that cannot be read, for the mirror
	notes   []string        // what is to be said about entries that were left out
}

// incomplete reports whether the listing may miss names that exist.
func (d *dirListing) incomplete() bool { return d.err != nil || d.partial }

// extra is what some entries have beyond their metadata.
type extra struct {
	target          string
	sum             []byte
	access, initial []byte // ACLs; initial is the one that new entries inherit
	xattrs          []flist.Xattr
	times           walk.Times
	followed        bool // the entry is what a symlink of that name leads to
	plain           bool // the entry is a regular file, whatever it pretends to be
	mount           bool // a directory of another file system, which is listed empty
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

// scan is one directory that is being read, at every place that it comes from.
type scan struct {
	done chan struct{} // closed when the rest is set
	path tree.Path
	from []part
	dirs []dirListing // of the parts with content
}

func newScan(path tree.Path, from ...part) *scan {
	return &scan{done: make(chan struct{}), path: path, from: from}
}

func newScanner(src *source) *scanner {
	s := &scanner{src: src, jobs: make(chan *scan, scanAhead)}
	for range scanWorkers {
		s.wait.Go(func() {
			for job := range s.jobs {
				job.dirs = make([]dirListing, 0, len(job.from))
				for _, p := range job.from {
					if p.content {
						job.dirs = append(job.dirs, src.list(job.path, p.where))
					}
				}
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
// goroutine, except for those that say otherwise.
type source struct {
	ctx      context.Context
	job      *Job
	params   *Params
	careful  bool          // for the mirror: see the package comment
	anyXattr bool          // the attributes are chosen here, not by the encoder
	sums     chan struct{} // limits the files hashed for -c at a time

	origins []*origin // main's
	held    *holder   // nil for the mirror

	aliases map[tree.Path]tree.Path // old names in the list and what they are called on disk
}

func newSource(ctx context.Context, job *Job, params *Params) *source {
	s := &source{ctx: ctx, job: job, params: params, sums: make(chan struct{}, loaders), careful: job.Sources == nil}
	s.anyXattr = params.Opt.Xattrs > 1
	if s.careful {
		s.origins = []*origin{{base: job.Dir, scope: job.Scope, root: job.Root}}
		return s
	}
	s.held = &holder{place: job.Sources.Place}
	if _, decided := job.Sources.Rules.Xattr(filter.Sender, ""); decided {
		s.anyXattr = true
	}
	return s
}

// top is where the mirror's only directory is.
func (s *source) top() where { return where{origin: s.origins[0]} }

// full is a path of the transfer as the mirror's Root knows it.
func (s *source) full(p tree.Path) tree.Path { return p.Under(s.job.Dir) }

// onDisk is where the content of a listed file of the mirror is found.
func (s *source) onDisk(p tree.Path) tree.Path {
	if to, ok := s.aliases[p]; ok {
		p = to
	}
	return s.full(p)
}

// hidden reports whether a path of the mirror is none of the peer's business.
func (s *source) hidden(p tree.Path, isDir bool) bool {
	return s.job.Scope != nil && p != tree.Root && s.job.Scope.Hidden(s.full(p), isDir)
}

// list reads one directory.
func (s *source) list(p tree.Path, w where) dirListing {
	l := dirListing{path: p, where: w}
	dir, err := w.dir(p)
	if err != nil {
		l.err = err
		return l
	}
	defer dir.Close()
	var vanished []string
	l.entries, vanished, err = dir.Read()
	var partial *walk.PartialError
	switch {
	case errors.As(err, &partial):
		l.partial = true
		for _, e := range partial.Entries {
			l.faults = append(l.faults, fault{p.Join(e.Path.Base()), e})
		}
	case err != nil:
		l.err = err
		l.entries = nil
		return l
	}
	if !s.careful {
		for _, name := range vanished {
			l.faults = append(l.faults, fault{p.Join(name), unix.ENOENT})
		}
		s.follow(dir, &l)
	}
	if s.job.Sources != nil && s.job.Sources.Readable {
		l.leaveUnreadable(dir)
	}
	l.filter(s)
	l.made(s)
	if !s.careful {
		s.disguise(dir, &l)
	}
	l.order(s.params.Protocol)
	if s.careful && s.params.Compat.Has(wire.IncRecurse) {
		l.findLocked(dir)
	}
	s.addExtras(dir, &l)
	l.absolute()
	return l
}

// absolute makes the names absolute that are listed so.
func (l *dirListing) absolute() {
	if l.path != "/." {
		return
	}
	l.path = tree.Root
	for i := range l.entries {
		l.entries[i].Name = "/" + l.entries[i].Name
	}
}

// filter leaves out what is hidden.
func (l *dirListing) filter(s *source) {
	o := l.where.origin
	at := o.below(l.path)
	if g := s.guard(); g != nil {
		l.leaveOut(g.Child(at.Under(o.guard)))
	}
	if !s.careful {
		l.broken = o.scope.Broken(at)
	}
	switch {
	case o.scope == nil:
	case s.params.Opt.Debug[option.DebugFilter] > 0:
		explain := o.scope.ExplainChild(filter.Sender, at)
		l.leaveOut(func(name string, isDir bool) bool {
			v := explain(name, isDir)
			if note := verdictText(v, l.path.Join(name), isDir); note != "" {
				l.notes = append(l.notes, note)
			}
			return v.Excluded
		})
	default:
		l.leaveOut(o.scope.Child(at))
	}
}

// guard is the daemon's list.
func (s *source) guard() *filter.Scope {
	if s.job.Sources == nil {
		return nil
	}
	return s.job.Sources.Guard
}

func (l *dirListing) leaveOut(hidden func(name string, isDir bool) bool) {
	if l.extras == nil {
		l.entries = slices.DeleteFunc(l.entries, func(e tree.Entry) bool { return hidden(e.Name, e.Meta.IsDir()) })
	} else {
		gone := make([]bool, len(l.entries))
		for i, e := range l.entries {
			gone[i] = hidden(e.Name, e.Meta.IsDir())
		}
		l.remove(gone)
	}
	l.faults = slices.DeleteFunc(l.faults, func(f fault) bool {
		return hidden(f.path.Base(), false) || hidden(f.path.Base(), true)
	})
}

// order sorts entries as both sides number them. They come sorted by name, so
// that there is not much to do. The extras that are there already go along.
func (l *dirListing) order(protocol int) {
	byNumber := func(a, b tree.Entry) int {
		return flist.CompareSiblings(protocol, a.Name, a.Meta.IsDir(), b.Name, b.Meta.IsDir())
	}
	if slices.IsSortedFunc(l.entries, byNumber) {
		return
	}
	first := l.firstDir()
	if l.extras == nil {
		slices.SortFunc(l.entries[first:], byNumber)
		return
	}
	type pair struct {
		entry tree.Entry
		extra *extra
	}
	pairs := make([]pair, len(l.entries)-first)
	for i := range pairs {
		pairs[i] = pair{l.entries[first+i], l.extras[first+i]}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return byNumber(a.entry, b.entry) })
	for i, p := range pairs {
		l.entries[first+i], l.extras[first+i] = p.entry, p.extra
	}
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

// leaveUnreadable leaves out what we may not read; a symlink always can be.
func (l *dirListing) leaveUnreadable(dir *walk.Dir) {
	fd, err := dir.Acquire()
	if err != nil {
		return
	}
	defer dir.Release()
	gone := make([]bool, len(l.entries))
	for i, e := range l.entries {
		gone[i] = e.Meta.Kind != tree.Symlink && walk.Unreadable(fd, e.Name)
	}
	if l.extras != nil {
		l.remove(gone)
		return
	}
	kept := l.entries[:0]
	for i, e := range l.entries {
		if !gone[i] {
			kept = append(kept, e)
		}
	}
	l.entries = kept
}

// extra of entry i, never nil.
func (l *dirListing) extra(i int) *extra {
	if l.extras == nil || l.extras[i] == nil {
		return &noExtra
	}
	return l.extras[i]
}

var noExtra extra

// own is extra of entry i to be written to.
func (l *dirListing) own(i int) *extra {
	if l.extras == nil {
		l.extras = make([]*extra, len(l.entries))
	}
	if l.extras[i] == nil {
		l.extras[i] = new(extra)
	}
	return l.extras[i]
}

// fill completes a list entry with what the listing knows of number i.
func (l *dirListing) fill(ent *flist.Entry, i int) {
	e := &l.entries[i]
	*ent = flist.Entry{Dir: l.path, Name: e.Name, Meta: e.Meta}
	if l.extras != nil {
		l.extra(i).fill(ent)
	}
}

func (x *extra) fill(ent *flist.Entry) {
	ent.Target, ent.Sum, ent.Access, ent.Default, ent.Xattrs = x.target, x.sum, x.access, x.initial, x.xattrs
	ent.Atime, ent.Crtime = x.times.Access, x.times.Birth
	ent.NoContent = x.mount
}
