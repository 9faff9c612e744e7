package report

import (
	"slices"
	"sync"
	"time"

	"lockstep/internal/live/mirror"
)

// Bounds of a Journal.
const (
	journalSize  = 200 // changes kept, of all mirrors together
	journalPaths = 3   // paths named of one change
	journalJoin  = 20  // the newest changes among which one that went to another target is looked for
)

// Change is a batch of paths that arrived.
type Change struct {
	Serial  int64 // grows with each change and each target that it reaches
	Mirror  string
	At      time.Time // when it first arrived
	Paths   []string  // the first few of them, quoted where they have to be
	More    int       // paths besides those
	Deleted int
	Bytes   int64
	Arrived []Arrival // one for each target, in order
}

// Arrival is a target that acknowledged a change.
type Arrival struct {
	Target string
	At     time.Time
	Lag    time.Duration // since the change was seen
}

// Journal remembers the changes that arrived last. It is safe for concurrent
// use.
type Journal struct {
	mu      sync.Mutex
	serial  int64
	changes []Change // the newest last
}

// Add notes a batch. One that has reached another target already becomes part
// of that change.
func (j *Journal) Add(name, target string, b mirror.BatchReport) {
	c := Change{Mirror: name, At: b.At, Deleted: b.Deleted, Bytes: b.Bytes, Arrived: []Arrival{{target, b.At, b.Lag}}}
	for _, p := range b.Paths[:min(len(b.Paths), journalPaths)] {
		c.Paths = append(c.Paths, p.String())
	}
	c.More = max(b.Changes-len(c.Paths), 0)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.serial++
	c.Serial = j.serial
	for i := len(j.changes) - 1; i >= max(0, len(j.changes)-journalJoin); i-- {
		if o := &j.changes[i]; o.same(&c) {
			o.Serial, o.Arrived = c.Serial, append(slices.Clone(o.Arrived), c.Arrived...)
			return
		}
	}
	j.changes = append(j.changes, c)
	if len(j.changes) > journalSize {
		j.changes = slices.Delete(j.changes, 0, len(j.changes)-journalSize)
	}
}

// same reports whether c is what o was, at a target that o has not reached yet.
func (o *Change) same(c *Change) bool {
	return o.Mirror == c.Mirror && o.More == c.More && o.Deleted == c.Deleted && slices.Equal(o.Paths, c.Paths) &&
		!slices.ContainsFunc(o.Arrived, func(a Arrival) bool { return a.Target == c.Arrived[0].Target })
}

// Recent are the newest changes, at most so many, the newest first.
func (j *Journal) Recent(most int) []Change {
	j.mu.Lock()
	defer j.mu.Unlock()
	newest := slices.Clone(j.changes[max(0, len(j.changes)-most):])
	slices.Reverse(newest)
	return newest
}
