package mirror

import "slices"

// places are the directories in which files are, by inode number. The zero
// value is not filled: nothing is kept until a name is missing.
type places struct {
	last  map[uint64]*dirNode   // where the file was seen last; nil while not filled
	other map[uint64][]*dirNode // where else it is noted
	extra int                   // how many are in other
}

// maxExtra bounds other. Past it everything is forgotten, and collected again
// when it is needed.
const maxExtra = 1 << 16

// fill collects what is at and below root, if that has not been done.
func (w *places) fill(root *dirNode) {
	if w.last != nil {
		return
	}
	w.last, w.other, w.extra = map[uint64]*dirNode{}, map[uint64][]*dirNode{}, 0
	w.collect(root)
}

func (w *places) collect(d *dirNode) {
	for _, s := range d.all() {
		w.note(s.ino, d)
	}
	for _, sub := range d.subs {
		w.collect(sub)
	}
}

// add notes that file ino was seen in d.
func (w *places) add(ino uint64, d *dirNode) {
	if w.last == nil {
		return
	}
	if w.note(ino, d); w.extra > maxExtra {
		*w = places{}
	}
}

func (w *places) note(ino uint64, d *dirNode) {
	if old := w.last[ino]; old != nil && old != d && !slices.Contains(w.other[ino], old) {
		w.other[ino] = append(w.other[ino], old)
		w.extra++
	}
	w.last[ino] = d
}

// move notes that file ino went from one directory to another.
func (w *places) move(ino uint64, from, to *dirNode) {
	if w.last != nil && w.last[ino] == from {
		w.last[ino] = to
	}
}

// of are the directories that file ino is, or was, in.
func (w *places) of(ino uint64) []*dirNode {
	dirs := w.other[ino]
	if last := w.last[ino]; last != nil && !slices.Contains(dirs, last) {
		dirs = append(slices.Clone(dirs), last)
	}
	return dirs
}
