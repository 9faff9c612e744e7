package watch

import (
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
)

// dir is a directory that a backend knows. Paths are found by climbing, so
// that a rename touches one dir and carries along all that is below.
type dir[K comparable] struct {
	parent *dir[K]
	name   string    // last component; of a top: the whole path below the source root
	kids   []*dir[K] // sorted by name
	id     K
}

// dirs are the directories a backend knows, by the id the kernel uses for
// them. Tops have no parent: the source root, and the roots of nested mounts
// that are watched on their own.
type dirs[K comparable] struct {
	byID map[K]*dir[K]
	tops []*dir[K]
}

func newDirs[K comparable]() dirs[K] { return dirs[K]{byID: map[K]*dir[K]{}} }

// top adds a directory without a parent.
func (t *dirs[K]) top(p tree.Path, id K) *dir[K] {
	d := &dir[K]{name: string(p), id: id}
	t.byID[id] = d
	t.tops = append(t.tops, d)
	return d
}

// path is d's place below the source root.
func (d *dir[K]) path() tree.Path {
	if d.parent == nil {
		return tree.Path(d.name)
	}
	if d.parent.parent == nil && d.parent.name == "" {
		return tree.Path(d.name)
	}
	n, at := 0, d
	for ; at.parent != nil; at = at.parent {
		n += len(at.name) + 1
	}
	b := make([]byte, 0, n+len(at.name))
	return tree.Path(strings.TrimPrefix(string(d.appendPath(b)), "/"))
}

func (d *dir[K]) appendPath(b []byte) []byte {
	// Climb with a small stack: trees may be thousands of levels deep.
	var few [32]*dir[K]
	chain := few[:0]
	for ; d.parent != nil; d = d.parent {
		chain = append(chain, d)
	}
	b = append(b, d.name...)
	for _, c := range slices.Backward(chain) {
		b = append(append(b, '/'), c.name...)
	}
	return b
}

// within reports whether d is a or lies below it.
func (d *dir[K]) within(a *dir[K]) bool {
	for ; d != nil; d = d.parent {
		if d == a {
			return true
		}
	}
	return false
}

func (d *dir[K]) find(name string) (int, bool) {
	return slices.BinarySearchFunc(d.kids, name, func(k *dir[K], n string) int { return strings.Compare(k.name, n) })
}

// child is the known directory called name in d, or nil.
func (d *dir[K]) child(name string) *dir[K] {
	if i, ok := d.find(name); ok {
		return d.kids[i]
	}
	return nil
}

// add makes a directory called name in parent. Another one known under that
// name is returned as displaced and no longer has a place; the caller drops it.
func (t *dirs[K]) add(parent *dir[K], name string, id K) (d, displaced *dir[K]) {
	d = &dir[K]{id: id}
	t.byID[id] = d
	return d, d.attach(parent, name)
}

func (d *dir[K]) attach(parent *dir[K], name string) (displaced *dir[K]) {
	d.parent, d.name = parent, name
	i, taken := parent.find(name)
	if taken {
		displaced = parent.kids[i]
		parent.kids[i] = d
		displaced.parent = nil
		return displaced
	}
	parent.kids = slices.Insert(parent.kids, i, d)
	return nil
}

func (d *dir[K]) detach() {
	if d.parent == nil {
		return
	}
	if i, ok := d.parent.find(d.name); ok && d.parent.kids[i] == d {
		d.parent.kids = slices.Delete(d.parent.kids, i, i+1)
	}
	d.parent = nil
}

// move gives d a new place. It refuses (ok false, nothing changed) to put a
// directory below itself, which only contradicting knowledge can ask for, and
// to move a top.
func (t *dirs[K]) move(d, parent *dir[K], name string) (displaced *dir[K], ok bool) {
	if d.parent == parent && d.name == name {
		return nil, true
	}
	if d.parent == nil || parent.within(d) {
		return nil, false
	}
	d.detach()
	return d.attach(parent, name), true
}

// drop forgets d and all below it, calling gone for each.
func (t *dirs[K]) drop(d *dir[K], gone func(*dir[K])) {
	d.detach()
	t.tops = slices.DeleteFunc(t.tops, func(o *dir[K]) bool { return o == d })
	for stack := []*dir[K]{d}; len(stack) > 0; {
		d, stack = stack[len(stack)-1], stack[:len(stack)-1]
		stack = append(stack, d.kids...)
		if t.byID[d.id] == d {
			delete(t.byID, d.id)
		}
		d.kids, d.parent = nil, nil
		if gone != nil {
			gone(d)
		}
	}
}

// at is the known directory at p, or nil.
func (t *dirs[K]) at(p tree.Path) *dir[K] {
	var best *dir[K]
	for _, top := range t.tops {
		if p.Within(tree.Path(top.name)) && (best == nil || len(top.name) > len(best.name)) {
			best = top
		}
	}
	if best == nil || p == tree.Path(best.name) {
		return best
	}
	for name := range strings.SplitSeq(string(p.Rel(tree.Path(best.name))), "/") {
		if best = best.child(name); best == nil {
			return nil
		}
	}
	return best
}

// keepTops forgets everything but the tops.
func (t *dirs[K]) keepTops() {
	clear(t.byID)
	for _, top := range t.tops {
		top.kids = nil
		t.byID[top.id] = top
	}
}

// follow rewrites the paths of tops at or below from, whose mount points moved
// along with a directory.
func (t *dirs[K]) follow(from, to tree.Path) {
	for _, top := range t.tops {
		if p := tree.Path(top.name); p != tree.Root && p.Within(from) {
			top.name = string(p.Rebase(from, to))
		}
	}
}
