package change

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"lockstep/internal/fs/tree"
)

// pend is what the queue knows of a dirty path.
type pend struct {
	gen      uint64
	class    Class
	created  bool
	asIs     bool
	gone     bool
	removes  int
	since    time.Time // oldest event not acknowledged
	notUntil time.Time // backoff after a failure
	tries    int
}

// Limits bound a queue.
type Limits struct {
	Pending int   // past it paths collapse into subtrees; default 100000
	Batch   int   // most items of one batch; default 20000
	Removes Limit // what may be removed at the target within removalSpan
}

// Queue holds what one target has not acknowledged. At most one batch is out
// at a time. It is not safe for concurrent use.
type Queue struct {
	limits  Limits
	gen     uint64
	items   map[tree.Path]*pend
	trees   map[tree.Path]bool // the paths in items of class Tree
	renames []stamped

	out     Batch
	flying  map[tree.Path]*pend
	outRens []stamped
	later   []Rename // renames added since the batch was taken
	again   int      // see Batch.Again
	spent   []removal
	barred  bool   // removals wait until there are none, or a pass has judged them
	pass    uint64 // the generation at which a full pass began
}

// stamped is a rename with the time of its event.
type stamped struct {
	Rename
	at time.Time
}

// NewQueue makes an empty queue. Zero limits take their defaults.
func NewQueue(l Limits) *Queue {
	l.Pending = cmp.Or(l.Pending, 100_000)
	l.Batch = cmp.Or(l.Batch, 20_000)
	return &Queue{limits: l, items: map[tree.Path]*pend{}, trees: map[tree.Path]bool{}}
}

// Add makes the path of a Dirty change dirty.
func (q *Queue) Add(c Change) {
	q.gen++
	n := &pend{gen: q.gen, class: c.Class, created: c.Created, asIs: c.AsIs, gone: c.Gone, removes: c.Removes, since: c.At}
	if c.Arrived && c.Dir {
		n.class = Tree
	}
	if o := q.items[c.Path]; o != nil && o.removes == 1 && c.Removes == 0 && !c.Gone {
		o.removes = 0 // what was gone alone is there again
	}
	q.put(c.Path, n)
	if len(q.items) > q.limits.Pending {
		q.collapse()
	}
}

// put merges n into what is pending at p. A Tree item takes in what lies below
// it, but for content that was written: a scan may miss that.
func (q *Queue) put(p tree.Path, n *pend) {
	if t, ok := q.covering(p); ok && t != p && n.class != Content {
		o := q.items[t]
		o.gen = max(o.gen, n.gen)
		o.since = earlier(o.since, n.since)
		o.removes += n.removes
		return
	}
	if o := q.items[p]; o != nil {
		n.class = max(n.class, o.class)
		n.created = n.created || o.created
		n.asIs = n.asIs || o.asIs
		n.gone = n.gone || o.gone
		n.removes += o.removes
		n.since = earlier(n.since, o.since)
		n.gen = max(n.gen, o.gen)
		n.tries = max(n.tries, o.tries)
		n.notUntil = earlier(n.notUntil, o.notUntil)
	}
	q.items[p] = n
	if n.class == Tree {
		q.trees[p] = true
		q.absorb(p)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// covering is the Tree item at or above p.
func (q *Queue) covering(p tree.Path) (tree.Path, bool) {
	if len(q.trees) == 0 {
		return "", false
	}
	for {
		if q.trees[p] {
			return p, true
		}
		if p.IsRoot() {
			return "", false
		}
		p = p.Parent()
	}
}

// scanned reports whether a Tree item at or above p is on its way.
func (q *Queue) scanned(p tree.Path) bool {
	for len(q.flying) > 0 {
		if n := q.flying[p]; n != nil && n.class == Tree {
			return true
		}
		if p.IsRoot() {
			break
		}
		p = p.Parent()
	}
	return false
}

// absorb folds the items below the Tree item t into it.
func (q *Queue) absorb(t tree.Path) {
	o := q.items[t]
	for p, n := range q.items {
		if p.Below(t) && n.class != Content {
			o.gen = max(o.gen, n.gen)
			o.since = earlier(o.since, n.since)
			o.removes += n.removes
			q.drop(p)
		}
	}
}

func (q *Queue) drop(p tree.Path) {
	delete(q.items, p)
	delete(q.trees, p)
}

// Begin notes that a pass over the whole source starts: what fails in it is
// given to Done as with a batch.
func (q *Queue) Begin() { q.later, q.pass = nil, q.gen }

// Passed notes that it has ended well: what it removed was judged before it
// began, so that nothing older counts as a removal any more.
func (q *Queue) Passed() {
	q.barred = false
	for _, n := range q.items {
		if n.gen <= q.pass {
			n.removes = 0
		}
	}
}

// RenameUnsure notes a rename at a time when it is not known which names the
// target has: both ends are compared in full.
func (q *Queue) RenameUnsure(c Change) {
	q.gen++
	q.rekey(c.From, c.Path)
	q.later = append(q.later, Rename{c.From, c.Path, c.Dir})
	q.put(c.From, &pend{gen: q.gen, class: Tree, since: c.At})
	q.put(c.Path, &pend{gen: q.gen, class: Tree, since: c.At})
}

// maxRenames bounds the renames that wait to be carried over; past it both ends
// are compared in full.
const maxRenames = 1000

// Rename notes that from is now called to.
func (q *Queue) Rename(c Change) {
	q.gen++
	from, to := c.From, c.Path
	old := q.items[from]
	q.rekey(from, to)
	q.later = append(q.later, Rename{from, to, c.Dir})
	_, toCovered := q.covering(to)
	_, fromCovered := q.covering(from)
	fresh := old != nil && old.created
	if !fresh && len(q.renames) < maxRenames {
		q.renames = append(q.renames, stamped{Rename{from, to, c.Dir}, c.At})
		if !toCovered && !fromCovered && !q.scanned(from) && q.flying[from] == nil {
			q.put(from, &pend{gen: q.gen, class: Attr, gone: true, since: c.At})
			q.put(to, &pend{gen: q.gen, class: Attr, since: c.At})
			return
		}
	}
	// There is nothing to carry over, or what the target has under the old name
	// is not certain: both ends are compared as well.
	class := Content
	if c.Dir {
		class = Tree
	}
	q.put(from, &pend{gen: q.gen, class: Tree, since: c.At})
	q.put(to, &pend{gen: q.gen, class: class, created: fresh, since: c.At})
}

// rekey moves what is pending at and below from to the same place at to. What
// was pending at the name to itself is about something that is gone.
func (q *Queue) rekey(from, to tree.Path) {
	var ps []tree.Path
	for p := range q.items {
		if p.Within(from) {
			ps = append(ps, p)
		}
	}
	for _, p := range ps {
		n := q.items[p]
		q.drop(p)
		q.put(p.Rebase(from, to), n)
	}
	// What is on its way may be read after the rename, when the old name holds
	// nothing, and be removed at the target.
	for p, n := range q.flying {
		if p.Below(from) {
			q.put(p.Rebase(from, to), &pend{gen: q.gen, class: Tree, since: n.since})
		}
	}
}

// collapse folds items into subtrees until they are few: the deepest
// directories go first.
func (q *Queue) collapse() {
	depth := 0
	for p := range q.items {
		depth = max(depth, p.Depth())
	}
	for ; depth > 0 && len(q.items) > q.limits.Pending/2; depth-- {
		byDir := map[tree.Path]*pend{}
		for p, n := range q.items {
			if p.Depth() < depth {
				continue
			}
			d := p
			for d.Depth() >= depth {
				d = d.Parent()
			}
			o := byDir[d]
			if o == nil {
				o = &pend{class: Tree, since: n.since}
				byDir[d] = o
			}
			o.gen, o.since = max(o.gen, n.gen), earlier(o.since, n.since)
			o.removes += n.removes
			q.drop(p)
		}
		for d, n := range byDir {
			q.put(d, n)
		}
	}
}

// View is what a queue is told of the source when a batch is taken.
type View struct {
	Held func(tree.Path) bool // being written: leave it; nil for none
	// Links are the names that must go together with a path, or with a
	// subtree and what is below it; nil for none.
	Links   func(p tree.Path, subtree bool) []tree.Path
	Entries int // how many the source has, see Barred
}

// Take hands out the next batch: every rename, and the items that are due and
// not held. The batch must be given back through Done before the next Take.
func (q *Queue) Take(now time.Time, v View) Batch {
	if q.flying != nil {
		panic("change: Take while a batch is out")
	}
	var ps []tree.Path
	var barred func(p tree.Path, n *pend) bool
	if q.Barred(now, v.Entries) {
		barred = q.removers()
	}
	for p, n := range q.items {
		if n.notUntil.After(now) || v.Held != nil && v.Held(p) || barred != nil && barred(p, n) {
			continue
		}
		ps = append(ps, p)
	}
	if len(ps) == 0 && len(q.renames) == 0 {
		return Batch{}
	}
	slices.SortFunc(ps, comparePaths)
	if len(ps) > q.limits.Batch {
		ps = ps[:q.limits.Batch]
	}
	if v.Links != nil {
		ps = q.withLinks(ps, v.Links)
	}
	b := Batch{Items: make([]Item, 0, len(ps)), Oldest: now, Again: q.again}
	removes := 0
	q.flying = make(map[tree.Path]*pend, len(ps))
	for _, p := range ps {
		n := q.items[p]
		q.flying[p] = n
		q.drop(p)
		b.Items = append(b.Items, Item{Path: p, Class: n.class, Created: n.created, AsIs: n.asIs, Gone: n.gone, Removes: n.removes})
		b.Oldest = earlier(b.Oldest, n.since)
		removes += n.removes
	}
	if removes > 0 && q.limits.Removes.On() {
		q.spent = append(q.spent, removal{now, removes})
	}
	for _, r := range q.renames {
		b.Renames = append(b.Renames, r.Rename)
		b.Oldest = earlier(b.Oldest, r.at)
	}
	q.outRens, q.renames, q.later = q.renames, nil, nil
	q.out = b
	return b
}

// withLinks adds the names that must go together with ps, dirty or not.
func (q *Queue) withLinks(ps []tree.Path, links func(tree.Path, bool) []tree.Path) []tree.Path {
	have := make(map[tree.Path]bool, len(ps))
	for _, p := range ps {
		have[p] = true
	}
	more := len(ps)
	for _, p := range ps[:more:more] {
		o := q.items[p]
		class := o.class
		if class > Content {
			class = Attr
		}
		for _, name := range links(p, o.class == Tree || o.gone) {
			if _, covered := q.covering(name); have[name] || covered {
				continue
			}
			q.put(name, &pend{gen: o.gen, class: class, asIs: o.asIs, since: o.since})
			have[name] = true
			ps = append(ps, name)
		}
	}
	if len(ps) > more {
		slices.SortFunc(ps, comparePaths)
	}
	return ps
}

// comparePaths orders paths component by component, so that a directory comes
// before what it holds and siblings stay together.
func comparePaths(a, b tree.Path) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if x, y := a[i], b[i]; x != y {
			if x == '/' {
				return -1
			}
			if y == '/' {
				return 1
			}
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Backoff says how long to wait after the n-th failure of a path, n ≥ 1.
type Backoff func(n int) time.Duration

// Done takes back the batch that is out. What failed is dirty again, under
// its present name.
func (q *Queue) Done(o Outcome, now time.Time, wait Backoff) {
	flying, out := q.flying, q.out
	q.flying, q.out = nil, Batch{}
	o.All = o.All || o.Untouched || o.Again
	q.again++
	if !o.Again {
		q.again = 0
	}
	if o.Untouched || o.Again {
		q.renames = append(q.outRens, q.renames...)
	}
	broken := o.All && !o.Untouched
	for i, r := range out.Renames {
		// What follows a rename that failed may have moved something else.
		if broken = broken || o.Renames[i]; !broken {
			continue
		}
		// Without the rename both ends have to be brought in step by content,
		// and so has whatever later renames of the batch made of them.
		for _, p := range []tree.Path{r.From, r.To} {
			q.requeue(p, &pend{class: Tree, since: q.outRens[i].at})
			if now := follow(p, out.Renames[i+1:]); now != p {
				q.requeue(now, &pend{class: Tree, since: q.outRens[i].at})
			}
		}
	}
	q.outRens = nil
	if o.All {
		for p, n := range flying {
			q.requeue(p, n)
		}
	}
	for p, err := range o.Failed {
		n := flying[p]
		if n == nil {
			n = &pend{class: Content, since: earlier(now, cmp.Or(out.Oldest, now))}
		}
		var unlisted *Unlisted
		if errors.As(err, &unlisted) {
			n.class = Tree
		}
		n.tries++
		n.notUntil = now.Add(wait(n.tries))
		if !o.All {
			q.requeue(p, n)
		}
	}
	for _, p := range o.Vanished {
		if n := flying[p]; n != nil {
			q.requeue(p, n)
		} else {
			q.requeue(p, &pend{class: Content, since: earlier(now, cmp.Or(out.Oldest, now))})
		}
	}
	q.later = nil
}

// requeue makes p dirty again under the name that renames since the batch was
// taken have given it.
func (q *Queue) requeue(p tree.Path, n *pend) {
	p = follow(p, q.later)
	q.gen++
	n.gen = q.gen
	n.created = false // how far it came is unknown
	q.put(p, n)
}

// follow is the name that renames, one after another, make of p.
func follow(p tree.Path, renames []Rename) tree.Path {
	for _, r := range renames {
		if p.Within(r.From) {
			p = p.Rebase(r.From, r.To)
		}
	}
	return p
}

// maxChain bounds the renames that Moving looks at.
const maxChain = 64

// Moving is when the last rename was seen whose new name exists no more: what
// was renamed probably has another name by now, which a rename still to come
// will tell.
func (q *Queue) Moving(exists func(tree.Path) bool) (at time.Time, ok bool) {
	if len(q.renames) > maxChain {
		return at, false
	}
	names := make([]Rename, len(q.renames))
	for i, r := range q.renames {
		names[i] = r.Rename
	}
	for i, r := range q.renames {
		if !exists(follow(r.To, names[i+1:])) {
			at, ok = r.at, true
		}
	}
	return at, ok
}

// Behind is the number of paths and renames not acknowledged.
func (q *Queue) Behind() int {
	return len(q.items) + len(q.flying) + len(q.renames) + len(q.outRens)
}

// Failing is the number of paths that wait to be tried again.
func (q *Queue) Failing() int {
	n := 0
	for _, p := range q.items {
		if p.tries > 0 {
			n++
		}
	}
	return n
}

// Oldest is when the oldest change not acknowledged was seen; ok is false when
// there is none.
func (q *Queue) Oldest() (t time.Time, ok bool) {
	note := func(at time.Time) {
		if !ok || at.Before(t) {
			t, ok = at, true
		}
	}
	for _, n := range q.items {
		note(n.since)
	}
	for _, n := range q.flying {
		note(n.since)
	}
	for _, r := range q.renames {
		note(r.at)
	}
	for _, r := range q.outRens {
		note(r.at)
	}
	return t, ok
}

// Next is when a path that failed becomes due; ok is false when none waits.
func (q *Queue) Next() (t time.Time, ok bool) {
	for _, n := range q.items {
		if n.notUntil.IsZero() {
			continue
		}
		if !ok || n.notUntil.Before(t) {
			t, ok = n.notUntil, true
		}
	}
	return t, ok
}
