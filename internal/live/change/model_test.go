package change_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
)

// model is a tree in memory: directories hold "dir", files their content.
type model map[tree.Path]string

func (m model) isDir(p tree.Path) bool { return p.IsRoot() || m[p] == "dir" }

func (m model) below(dir tree.Path) []tree.Path {
	var out []tree.Path
	for p := range m {
		if p.Within(dir) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func (m model) removeAll(p tree.Path) {
	for _, q := range m.below(p) {
		delete(m, q)
	}
}

func (m model) empty(dir tree.Path) bool {
	for p := range m {
		if p.Below(dir) {
			return false
		}
	}
	return true
}

// rename does what rename(2) does, with its errors.
func (m model) rename(from, to tree.Path) error {
	if _, ok := m[from]; !ok || !m.isDir(to.Parent()) || to.Within(from) {
		return errors.New("refused")
	}
	if _, ok := m[to]; ok {
		if m.isDir(from) != m.isDir(to) || m.isDir(to) && !m.empty(to) {
			return errors.New("in the way")
		}
		delete(m, to)
	}
	for _, p := range m.below(from) {
		c := m[p]
		delete(m, p)
		m[p.Rebase(from, to)] = c
	}
	return nil
}

// copyTo brings p at the target in step with src, parents included, as a
// target does; deep also what is below p.
func (m model) copyTo(dst model, p tree.Path, deep bool) {
	if !p.IsRoot() {
		if _, ok := m[p]; !ok {
			dst.removeAll(p)
			return
		}
		var up []tree.Path
		for q := p.Parent(); !q.IsRoot(); q = q.Parent() {
			up = append(up, q)
		}
		slices.Reverse(up)
		for _, q := range up {
			if dst[q] != "dir" {
				dst.removeAll(q)
				dst[q] = "dir"
			}
		}
		if dst.isDir(p) != m.isDir(p) {
			dst.removeAll(p)
		}
		dst[p] = m[p]
	}
	if !deep || !m.isDir(p) {
		return
	}
	for _, q := range dst.below(p) {
		if _, ok := m[q]; !ok {
			dst.removeAll(q)
		}
	}
	for _, q := range m.below(p) {
		dst[q] = m[q]
	}
}

// world drives a source, a queue and a target at random.
type world struct {
	*rand.Rand
	t        *testing.T
	src, dst model
	q        *change.Queue
	now      time.Time
	serial   int
	out      *change.Batch
}

func (w *world) pick(dirsOnly bool) tree.Path {
	ps := []tree.Path{tree.Root}
	for p := range w.src {
		if !dirsOnly || w.src.isDir(p) {
			ps = append(ps, p)
		}
	}
	slices.Sort(ps)
	return ps[w.IntN(len(ps))]
}

func (w *world) dirty(p tree.Path, class change.Class, created bool) {
	w.q.Add(change.Change{Kind: change.Dirty, Path: p, Class: class, Dir: w.src.isDir(p), Created: created, At: w.now})
}

// edit makes one random change to the source and reports it as events would.
func (w *world) edit() {
	name := w.pick(true).Join(string(rune('a' + w.IntN(4))))
	_, known := w.src[name]
	switch w.IntN(5) {
	case 0:
		if !known {
			w.src[name] = "dir"
			w.dirty(name, change.Attr, true)
		}
	case 1, 2:
		if !w.src.isDir(name) {
			w.serial++
			w.src[name] = fmt.Sprint("content ", w.serial)
			w.dirty(name, change.Content, !known)
		}
	case 3:
		if p := w.pick(false); !p.IsRoot() {
			gone := w.src.below(p)
			slices.Reverse(gone)
			w.src.removeAll(p)
			if w.IntN(2) == 0 { // the watcher had not come to know what was below
				gone = gone[len(gone)-1:]
			}
			for _, q := range gone {
				w.q.Add(change.Change{Kind: change.Dirty, Path: q, Class: change.Attr, Gone: true, At: w.now})
			}
		}
	case 4:
		from := w.pick(false)
		dir := w.src.isDir(from)
		if !from.IsRoot() && w.src.rename(from, name) == nil {
			w.q.Rename(change.Change{Kind: change.Moved, From: from, Path: name, Dir: dir, At: w.now})
		}
	}
}

// take hands the next batch to the target.
func (w *world) take() {
	b := w.q.Take(w.now, change.View{Held: func(tree.Path) bool { return w.IntN(10) == 0 }})
	if !b.Empty() {
		w.out = &b
	}
}

// carryOut applies the batch that is out, sometimes only in part.
func (w *world) carryOut() {
	b := *w.out
	w.out = nil
	o := change.Outcome{Failed: map[tree.Path]error{}, Renames: map[int]bool{}}
	lost := w.IntN(8) == 0
	if w.IntN(12) == 0 {
		w.q.Done(change.Outcome{Untouched: true}, w.now, func(int) time.Duration { return time.Millisecond })
		return
	}
	for i, r := range b.Renames {
		if lost && w.IntN(2) == 0 {
			continue
		}
		if w.IntN(6) == 0 || w.dst.rename(r.From, r.To) != nil {
			o.Renames[i] = true
		}
	}
	for _, it := range b.Items {
		if w.IntN(8) == 0 {
			o.Failed[it.Path] = errors.New("failed")
			continue
		}
		w.src.copyTo(w.dst, it.Path, it.Class == change.Tree || it.Gone)
	}
	if lost {
		o = change.Outcome{All: true, Again: w.IntN(2) == 0}
	}
	w.q.Done(o, w.now, func(int) time.Duration { return time.Millisecond })
}

func TestTargetsConvergeWhateverHappens(t *testing.T) {
	for seed := range uint64(3000) {
		w := &world{
			Rand: rand.New(rand.NewPCG(seed, 1)), t: t, src: model{}, dst: model{}, now: time.Unix(0, 0),
			q: change.NewQueue(change.Limits{Removes: change.NoLimit, Pending: 5 + int(seed%40), Batch: 1 + int(seed%9)}),
		}
		for range 60 {
			w.now = w.now.Add(time.Millisecond)
			switch {
			case w.IntN(3) > 0:
				w.edit()
			case w.out == nil:
				w.take()
			default:
				w.carryOut()
			}
		}
		for n := 0; w.out != nil || w.q.Behind() > 0; n++ {
			if n > 5000 {
				t.Fatalf("seed %d: the queue never empties, %d behind", seed, w.q.Behind())
			}
			w.now = w.now.Add(time.Minute)
			if w.out != nil {
				w.carryOut()
			}
			w.take()
		}
		if !maps.Equal(w.src, w.dst) {
			t.Fatalf("seed %d: source and target differ:\n source %v\n target %v", seed, w.src, w.dst)
		}
	}
}
