package sender

import (
	"slices"

	"lockstep/internal/fs/tree"
)

// frame is a directory on the way of a depth-first walk: those of its
// subdirectories whose turn has not come.
type frame struct {
	dirListing         // of subdirectories only
	number     int32   // of the first one in the directory table
	sets       []int32 // their attribute sets, if lists are incremental
	next       int     // the first one whose turn has not come
	ahead      []*scan // of that one and the ones after it, as far as begun
}

// push makes the subdirectories of d, which begin at entry first, the next ones
// to be read.
func (l *lister) push(d *dirListing, first int) {
	if first == len(d.entries) {
		return
	}
	f := &frame{number: l.dirs, sets: d.sets}
	f.path, f.entries, f.locked = d.path, d.entries, d.locked
	if d.extras != nil {
		f.extras = d.extras[first:]
	}
	if first > 0 { // let the memory of the files go
		f.entries = slices.Clone(d.entries[first:])
	}
	l.frames = append(l.frames, f)
}

// peek is the directory whose turn is next, being read; nil if none is left.
func (l *lister) peek() *scan {
	for len(l.frames) > 0 {
		f := l.frames[len(l.frames)-1]
		if f.next < len(f.entries) {
			if len(f.ahead) == 0 {
				f.begin(l.scan, true)
			}
			l.readAhead()
			return f.ahead[0]
		}
		l.frames = l.frames[:len(l.frames)-1]
	}
	return nil
}

// take ends the turn of the directory that peek returned; its own entry is
// number i of f.
func (l *lister) take() (f *frame, i int) {
	f = l.frames[len(l.frames)-1]
	f.ahead = f.ahead[1:]
	i = f.next
	f.next++
	return f, i
}

// readAhead has the directories read that come next, within scanAhead.
func (l *lister) readAhead() {
	budget := scanAhead
	for i := len(l.frames) - 1; i >= 0 && budget > 0; i-- {
		f := l.frames[i]
		budget -= len(f.ahead)
		for ; budget > 0 && f.next+len(f.ahead) < len(f.entries); budget-- {
			if !f.begin(l.scan, false) {
				return
			}
		}
	}
}

// begin has the next directory of f read that is not being read. Unless it is
// urgent it gives up when the scanners have plenty to do.
func (f *frame) begin(s *scanner, urgent bool) bool {
	d := newScan(f.path.Join(f.entries[f.next+len(f.ahead)].Name))
	if urgent {
		s.jobs <- d
	} else {
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
