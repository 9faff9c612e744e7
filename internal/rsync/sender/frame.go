package sender

import (
	"slices"

	"lockstep/internal/fs/tree"
)

// kid is a directory that was found, and whose contents are to be listed.
type kid struct {
	entry  tree.Entry
	extra  *extra
	own    where  // where it was found itself
	parts  []part // what its list is made of; may be shared
	at     int32  // its position in its list, until it has a number
	number int32  // in the directory table
	set    int32  // of attributes
	dir    fact
	locked bool
}

// part of what is listed below a directory.
type part struct {
	where   where
	content bool        // what is in the directory there
	rest    []*argument // of --relative, incremental: arguments that lead through the directory
}

func (k *kid) hasContent() bool {
	return slices.ContainsFunc(k.parts, func(p part) bool { return p.content })
}

// frame is a directory on the way of a depth-first walk: those of its
// subdirectories whose turn has not come.
type frame struct {
	path  tree.Path
	kids  []kid
	next  int     // the first one whose turn has not come
	ahead []*scan // of that one and the ones after it, as far as begun
}

// push makes the subdirectories of a directory the next ones to be read.
func (l *lister) push(path tree.Path, kids []kid) {
	if len(kids) == 0 {
		l.left()
		return
	}
	l.frames = append(l.frames, &frame{path: path, kids: kids})
}

// peek is the directory whose turn is next, being read; nil if none is left.
func (l *lister) peek() *scan {
	for len(l.frames) > 0 {
		f := l.frames[len(l.frames)-1]
		if f.next < len(f.kids) {
			if len(f.ahead) == 0 {
				f.begin(l.scan, true)
			}
			l.readAhead()
			return f.ahead[0]
		}
		l.frames = l.frames[:len(l.frames)-1]
		l.left()
	}
	return nil
}

// take ends the turn of the directory that peek returned.
func (l *lister) take() *kid {
	f := l.frames[len(l.frames)-1]
	f.ahead = f.ahead[1:]
	f.next++
	return &f.kids[f.next-1]
}

// readAhead has the directories read that come next, within scanAhead.
func (l *lister) readAhead() {
	budget := scanAhead
	for i := len(l.frames) - 1; i >= 0 && budget > 0; i-- {
		f := l.frames[i]
		budget -= len(f.ahead)
		for ; budget > 0 && f.next+len(f.ahead) < len(f.kids); budget-- {
			if !f.begin(l.scan, false) {
				return
			}
		}
	}
}

// begin has the next directory of f read that is not being read. Unless it is
// urgent it gives up when the scanners have plenty to do.
func (f *frame) begin(s *scanner, urgent bool) bool {
	k := &f.kids[f.next+len(f.ahead)]
	d := newScan(f.path.Join(k.entry.Name), k.parts...)
	switch {
	case !k.hasContent():
		close(d.done)
	case urgent:
		s.jobs <- d
	default:
		select {
		case s.jobs <- d:
		default:
			return false
		}
	}
	f.ahead = append(f.ahead, d)
	return true
}

// firstDir makes the subdirectories the end of the listing, which they are from
// protocol 29 on, and returns the number of the first.
func (d *dirListing) firstDir() int {
	files := 0
	for i := range d.entries {
		if !d.entries[i].Meta.IsDir() {
			files++
		}
	}
	if !slices.ContainsFunc(d.entries[:files], func(e tree.Entry) bool { return e.Meta.IsDir() }) {
		return files
	}
	order := make([]tree.Entry, len(d.entries))
	var extras []*extra
	if d.extras != nil {
		extras = make([]*extra, len(d.entries))
	}
	file, dir := 0, files
	for i := range d.entries {
		to := &file
		if d.entries[i].Meta.IsDir() {
			to = &dir
		}
		order[*to] = d.entries[i]
		if extras != nil {
			extras[*to] = d.extras[i]
		}
		*to++
	}
	d.entries, d.extras = order, extras
	return files
}
