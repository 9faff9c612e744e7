package generator

import (
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// Instead of a directory's position in kin.parent.
const (
	top    = -1 // the root, which is not listed
	orphan = -2 // a directory that is not listed
)

// kin knows for a list that is the only one which directory holds each entry,
// and what each directory holds.
type kin struct {
	files  []*flist.File
	start  int32
	parent []int32 // by position in files

	// The positions of what a directory holds are children[first[i]:first[i+1]]
	// for the directory at position i. Made when they are asked for.
	first, children []int32
}

func newKin(l *list) *kin {
	k := &kin{files: l.Files, start: l.Start, parent: make([]int32, len(l.Files))}
	dirs := make(map[tree.Path]int32)
	for i, f := range l.Files {
		if !f.Dup && (f.Meta.Kind == tree.Dir || f.Gone) {
			if at, known := dirs[f.Path]; !known || l.Files[at].Gone {
				dirs[f.Path] = int32(i)
			}
		}
	}
	last, lastDir := int32(orphan), tree.Path("\x00") // no path
	for i, f := range l.Files {
		dir := f.Path.Parent()
		switch {
		case f.Dup:
			k.parent[i] = orphan
			continue
		case f.Path == tree.Root:
			k.parent[i] = top
			continue
		}
		if dir != lastDir {
			at, known := dirs[dir]
			switch {
			case known:
				last = at
			case dir == tree.Root:
				last = top
			default:
				last = orphan
			}
			lastDir = dir
		}
		k.parent[i] = last
	}
	return k
}

// dir is the directory that holds f; listed is false if there should be one and
// it is not in the list.
func (k *kin) dir(f *flist.File) (dir *flist.File, listed bool) {
	switch at := k.parent[f.Index-k.start]; at {
	case top:
		return nil, true
	case orphan:
		return nil, false
	default:
		return k.files[at], true
	}
}

// held yields what directory dir holds.
func (k *kin) held(dir *flist.File, yield func(f *flist.File)) {
	if k.first == nil {
		k.group()
	}
	at := dir.Index - k.start
	for _, i := range k.children[k.first[at]:k.first[at+1]] {
		yield(k.files[i])
	}
}

// group fills first and children: a counting sort by parent.
func (k *kin) group() {
	k.first = make([]int32, len(k.files)+1)
	total := int32(0)
	for _, at := range k.parent {
		if at >= 0 {
			k.first[at+1]++
			total++
		}
	}
	for i := range k.files {
		k.first[i+1] += k.first[i]
	}
	k.children = make([]int32, total)
	at := append([]int32(nil), k.first...)
	for i, dir := range k.parent {
		if dir >= 0 {
			k.children[at[dir]] = int32(i)
			at[dir]++
		}
	}
}
