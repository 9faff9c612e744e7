package change

import (
	"slices"
	"time"

	"lockstep/internal/fs/tree"
)

// Removes is the number of entries of the source that are gone and whose
// removal is pending.
func (q *Queue) Removes() int {
	n := 0
	for _, p := range q.items {
		n += p.removes
	}
	return n
}

// removal is what one batch was allowed to remove.
type removal struct {
	at time.Time
	n  int
}

// removalSpan is the time over which removals count together: the events of one
// "rm -r" may come in several batches.
const removalSpan = 10 * time.Second

// Barred reports whether pending removals, with those of the last ten seconds,
// exceed the limit or did so before: items that remove something stay until an
// operator decides, or a full pass has judged them.
// entries is how many the source has now, -1 if that is not known yet: then a
// share of them is not either, and they stay.
func (q *Queue) Barred(now time.Time, entries int) bool {
	if !q.limits.Removes.On() {
		return false
	}
	n := q.Removes()
	if n == 0 || q.barred {
		q.barred = q.barred && n > 0
		return q.barred
	}
	q.spent = slices.DeleteFunc(q.spent, func(r removal) bool { return now.Sub(r.at) > removalSpan })
	for _, r := range q.spent {
		n += r.n
	}
	if entries < 0 && q.limits.Removes.Share > 0 {
		return true
	}
	q.barred = q.limits.Removes.Exceeded(n, entries+n)
	return q.barred
}

// removers tells the items that would carry out pending removals: those
// themselves, and comparisons of directories that they lie in.
func (q *Queue) removers() func(p tree.Path, n *pend) bool {
	above := map[tree.Path]bool{}
	for p, n := range q.items {
		for at := p; n.removes > 0 && !above[at]; at = at.Parent() {
			above[at] = true
			if at.IsRoot() {
				break
			}
		}
	}
	return func(p tree.Path, n *pend) bool {
		return n.removes > 0 || above[p] && (n.class >= Children || n.gone)
	}
}

// Uncounted reports whether an item that is found to be gone went after its
// batch was put together: the change that tells of it, and how much went, is
// still to come. What was renamed away, or has been told of, is Gone; what lies
// in a Tree is no item.
func (it Item) Uncounted() bool { return !it.Gone && it.Removes == 0 && it.Class < Tree }
