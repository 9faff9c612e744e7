package sender

import (
	"fmt"
	"sort"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// lister sends the file list, or the lists, and keeps what main needs of them.
// It belongs to main.
type lister struct {
	src     *source
	enc     *flist.Encoder
	scan    *scanner
	await   func(<-chan struct{}) error // waits, unless the run is over
	onFault func(p tree.Path, err error)

	open   []openList // lists not freed yet, the oldest first
	sent   int        // lists sent
	frames []*frame   // directories that are still to be read, the next on top
	dirs   int32      // length of the directory table, incremental lists
	eof    bool       // no list will come

	tops, trees []delayedEntry // see explicit
	sweeping    bool           // below protocol 30: entries lie below one marked Top

	ioError   int32 // what the lists have to confess
	confessed int32 // and have confessed
	entries   int   // sent so far
	size      int64 // of files and symlinks
	ent       flist.Entry
}

// openList is a list that the peer still works on.
type openList struct {
	*flist.List
	total int // entries sent up to its end
}

// find is the list that knows index, as an entry or as its own directory; nil
// if there is none.
func (l *lister) find(index int32) *openList {
	i := sort.Search(len(l.open), func(i int) bool { return l.open[i].Start() > index+1 }) - 1
	if i < 0 {
		return nil
	}
	if o := &l.open[i]; o.Contains(index) || l.isParent(o, index) {
		return o
	}
	return nil
}

// isParent reports whether index denotes the directory that o describes.
func (l *lister) isParent(o *openList, index int32) bool {
	return index >= 0 && index == o.Start()-1
}

// free drops the oldest list.
func (l *lister) free() {
	l.open[0] = openList{}
	l.open = l.open[1:]
}

// add sends one entry of the current list.
func (l *lister) add(ent *flist.Entry) bool {
	if err := l.enc.Add(ent); err != nil {
		l.ioError |= IOErrorGeneral
		l.onFault(ent.Path(), fmt.Errorf("list: %w", err))
		return false
	}
	l.entries++
	if k := ent.Meta.Kind; k == tree.File || k == tree.Symlink {
		l.size += ent.Meta.Size
	}
	return true
}

// end closes the current list. A later list repeats no confession.
func (l *lister) end() {
	confess := l.ioError
	if l.sent > 0 && confess == l.confessed {
		confess = 0
	}
	l.confessed = l.ioError
	l.open = append(l.open, openList{l.enc.End(confess), l.entries})
	l.sent++
}

// report passes on what went wrong in a directory.
func (l *lister) report(d *dirListing) {
	if d.err != nil {
		l.onFault(d.path, d.err)
	}
	for _, f := range d.faults {
		l.onFault(f.path, f.err)
	}
}

// content says how a directory that was read is listed. One that could not be
// read completely must never be swept: from protocol 30 on it is listed as one
// without content. Below, it is not marked, which is enough unless it lies in a
// directory that is: then all sweeping is called off.
func (l *lister) content(d *dirListing, ent *flist.Entry) {
	if !d.incomplete() {
		return
	}
	l.report(d)
	if l.src.params.Protocol < 30 && l.sweeping && !ent.Top {
		l.ioError |= IOErrorGeneral
	}
	ent.Top, ent.NoContent = false, true
}
