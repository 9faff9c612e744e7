package sender

import (
	"fmt"
	"sort"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/output"
)

// lister sends the file list, or the lists, and keeps what main needs of them.
// It belongs to main.
type lister struct {
	src     *source
	enc     *flist.Encoder
	scan    *scanner
	await   func(<-chan struct{}) error // waits, unless the run is over
	onFault func(p tree.Path, err error)
	voice   *voice

	open   []openList // lists not freed yet, the oldest first
	sent   int        // lists sent
	frames []*frame   // directories that are still to be read, the next on top
	dirs   int32      // length of the directory table, incremental lists
	eof    bool       // no list will come

	tops, trees []delayedEntry // see explicit
	sweeping    bool           // below protocol 30: entries lie below one marked Top

	arguments // of Sources

	facts     *facts           // of the current list; nil for the mirror
	targets   map[int32]string // of its symlinks, by position
	sums      map[int32][]byte // of its files, by position, if they are shown
	inodes    map[int32]tree.Inode
	before    int   // entries of the lists before it
	kids      []kid // its directories
	ioError   int32 // what the lists have to confess
	confessed int32 // and have confessed
	entries   int   // sent so far
	size      int64 // of files and symlinks
	counts    output.Counts
	ent       flist.Entry
}

// openList is a list that the peer still works on.
type openList struct {
	*flist.List
	total   int              // entries sent up to its end
	facts   *facts           // nil for the mirror
	targets map[int32]string // of symlinks, by position
	sums    map[int32][]byte // of files, by position, if they are shown
	dir     fact             // of the directory that it describes

	// inodes are those of the files that are listed as names of one file, by
	// position: what is sent under such a name is given to all of them.
	inodes map[int32]tree.Inode
}

// inode is that of a file with several names, zero for any other.
func (o *openList) inode(index int32) tree.Inode {
	if o.inodes == nil {
		return tree.Inode{}
	}
	return o.inodes[int32(o.Position(index))]
}

// what is the path and the kind of the entry with that index, which o must know.
func (o *openList) what(index int32) (tree.Path, tree.Kind) {
	if !o.Contains(index) {
		return o.Parent(), tree.Dir
	}
	return o.Path(index), o.Kind(index)
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

// expect makes room for the entries of a list that was just begun.
func (l *lister) expect(n int) {
	l.enc.Expect(n)
	if !l.src.careful {
		l.facts = new(facts)
		l.facts.packed.Expect(n)
	}
}

// add sends one entry of the current list.
func (l *lister) add(ent *flist.Entry, w where, followed bool) bool {
	if err := l.enc.Add(ent); err != nil {
		l.ioError |= IOErrorGeneral
		if l.src.careful {
			err = fmt.Errorf("list: %w", err)
		}
		l.onFault(ent.Path(), err)
		return false
	}
	l.entries++
	m := &ent.Meta
	if m.Kind == tree.File || m.Kind == tree.Symlink {
		l.size += m.Size
	}
	if l.src.params.Opt.HardLinks && m.Kind == tree.File && m.Linked() {
		if l.inodes == nil {
			l.inodes = make(map[int32]tree.Inode)
		}
		l.inodes[l.position()] = m.Inode()
	}
	if l.src.careful {
		return true
	}
	count(&l.counts, m.Kind)
	if !l.incremental() {
		l.voice.counting(l.entries)
	}
	if m.Kind == tree.Symlink && ent.Target != "" && l.voice.items {
		if l.targets == nil {
			l.targets = make(map[int32]string)
		}
		l.targets[l.position()] = ent.Target
	}
	if ent.Sum != nil && l.voice.digests {
		if l.sums == nil {
			l.sums = make(map[int32][]byte)
		}
		l.sums[l.position()] = ent.Sum
	}
	if l.facts == nil {
		l.facts = new(facts)
	}
	l.facts.add(factOf(m, w, followed))
	return true
}

// position is that of the entry added last, in its list.
func (l *lister) position() int32 { return int32(l.entries - l.before - 1) }

// count adds one to what counts k.
func count(c *output.Counts, k tree.Kind) {
	switch {
	case k == tree.File, k == tree.Missing: // as rsync counts missing arguments
		c.Reg++
	case k == tree.Dir:
		c.Dir++
	case k == tree.Symlink:
		c.Link++
	case k.IsDevice():
		c.Dev++
	case k.IsSpecial():
		c.Special++
	}
}

// end closes the current list. A later list repeats no confession.
func (l *lister) end() *openList {
	confess := l.ioError
	if l.sent > 0 && confess == l.confessed || l.src.params.Opt.IgnoreErrors {
		confess = 0
	}
	l.confessed = l.ioError
	if l.facts == nil && !l.src.careful {
		l.facts = new(facts)
	}
	l.open = append(l.open, openList{List: l.enc.End(confess), total: l.entries, facts: l.facts, targets: l.targets, sums: l.sums, inodes: l.inodes})
	l.facts, l.targets, l.sums, l.inodes = nil, nil, nil, nil
	l.before = l.entries
	l.sent++
	return &l.open[len(l.open)-1]
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

// content says how a directory that was read is listed. For the mirror, one that
// could not be read completely must never be swept: from protocol 30 on it is
// listed as one without content. Below, it is not marked, which is enough unless
// it lies in a directory that is: then all sweeping is called off.
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
