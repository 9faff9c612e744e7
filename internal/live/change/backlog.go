package change

import (
	"slices"
	"time"

	"lockstep/internal/fs/tree"
)

// Pending is one path that a target has not acknowledged.
type Pending struct {
	Path  tree.Path
	From  tree.Path // of a rename: its old name
	Class Class     // of a rename: 0
	Since time.Time // when its oldest change was seen
	Out   bool      // in the batch that is on its way
	Tries int       // failures in a row
	Next  time.Time // not tried again before; zero if it is due
	Held  bool      // being written: no target gets it before that has ended
}

// Backlog lists what is not acknowledged, oldest first, and at most so many.
func (q *Queue) Backlog(most int) []Pending {
	var all []Pending
	list := func(items map[tree.Path]*pend, out bool) {
		for p, n := range items {
			all = append(all, Pending{Path: p, Class: n.class, Since: n.since, Out: out, Tries: n.tries, Next: n.notUntil})
		}
	}
	list(q.items, false)
	list(q.flying, true)
	renames := func(rs []stamped, out bool) {
		for _, r := range rs {
			all = append(all, Pending{Path: r.To, From: r.From, Since: r.at, Out: out})
		}
	}
	renames(q.renames, false)
	renames(q.outRens, true)
	return oldest(all, most)
}

// oldest are the first of all by age, at most so many.
func oldest(all []Pending, most int) []Pending {
	slices.SortFunc(all, func(a, b Pending) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return comparePaths(a.Path, b.Path)
	})
	return all[:min(len(all), most)]
}

// Pending is what is not acknowledged of p: as an item of its own, or as part of
// a subtree.
func (q *Queue) Pending(p tree.Path) (o Pending, ok bool) {
	for _, items := range []map[tree.Path]*pend{q.items, q.flying} {
		for at := p; ; at = at.Parent() {
			if n := items[at]; n != nil && (at == p || n.class == Tree) {
				return Pending{Path: at, Class: n.class, Since: n.since, Out: q.items[at] == nil, Tries: n.tries, Next: n.notUntil}, true
			}
			if at.IsRoot() {
				break
			}
		}
	}
	return o, false
}
