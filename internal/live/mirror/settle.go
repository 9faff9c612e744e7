package mirror

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
)

// settle passes settled changes to the queues of all targets.
func (m *Mirror) settle(ctx context.Context, now time.Time) {
	probes := m.set.Probe()
	if len(probes) == 0 && !m.set.Settled() && m.set.Holding() == 0 {
		return
	}
	if m.delayed(now) {
		return
	}
	root, err := m.src.Open()
	if err != nil {
		if errors.Is(err, target.ErrSourceGone) {
			m.fatal = err
		}
		return // nothing was drained; the next tick tries again
	}
	defer root.Close()
	m.probe(root, probes)
	for _, c := range m.set.Drain(now) {
		switch c.Kind {
		case change.Rescan:
			m.rescans++
			m.doubt(now)
			m.scan(ctx)
		case change.Moved:
			m.moved(root, c)
		case change.Dirty:
			m.dirty(root, c)
		}
	}
}

// doubt has every target compare again what it compares as a whole, or did a
// moment ago, when events are lost: it may have met what was gone before the
// source was scanned, and no difference to that scan tells of it.
func (m *Mirror) doubt(now time.Time) {
	for _, s := range m.targets {
		for p := range s.swept {
			switch {
			case !p.IsRoot():
				s.queue.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Tree, Dir: true, At: now})
			case s.busy && s.full:
				s.repass = true
			default: // it is to remove what the target has too much
				s.judging = s.judging || !s.full
				s.fullDue(now)
			}
		}
	}
}

// delayed reports whether changes are to be collected for longer.
func (m *Mirror) delayed(now time.Time) bool {
	if m.cfg.BatchDelay == 0 || len(m.flushes) > 0 {
		return false
	}
	if m.inBatch.IsZero() {
		m.inBatch = now.Add(m.cfg.BatchDelay)
		return true
	}
	if now.Before(m.inBatch) {
		return true
	}
	m.inBatch = time.Time{}
	return false
}

// dirty looks at a changed path and makes it dirty for every target, together
// with all other names of the same file.
func (m *Mirror) dirty(root *walk.Root, c change.Change) {
	if m.src.Away.Covers(c.Path) {
		return
	}
	m.recent[c.Path] = time.Now()
	meta, err := root.Lstat(c.Path)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.enqueue(c) // the target will say what is wrong with it
		return
	}
	if !exists {
		for _, p := range m.index.haunted(c.Path) {
			m.dirty(root, change.Change{Kind: change.Dirty, Path: p, Class: change.Content, At: c.At})
		}
	}
	if !exists && m.cfg.MaxDelete.On() {
		c.Path = topmostMissing(root, c.Path)
	}
	known, wasDir := m.index.has(c.Path)
	c.Dir = meta.IsDir() || !exists && (wasDir || c.Dir)
	if m.src.Scope.Hidden(c.Path, c.Dir) {
		m.hidden(root, c, exists)
		return
	}
	if slices.Contains(m.cfg.Rules.MergeNames(), c.Path.Base()) {
		m.rulesChanged(root, c)
	}
	c.Created = c.Created || !known
	m.unlinked(c, meta)
	removed := m.index.put(c.Path, meta)
	if !exists {
		c.Gone, c.Removes = true, removed
	}
	if (c.Arrived || c.Gone) && c.Dir && exists {
		c.Arrived = true
		m.index.forgetBelow(c.Path) // that may have been another directory
		m.discover(root, c.Path)
	}
	if m.scanning && c.Dir && exists {
		// Events were lost: a target may have met names here that came and went
		// unheard of.
		c.Class = max(c.Class, change.Children)
	}
	switch {
	case !m.polls || !c.Dir || !exists:
	case c.Path.IsRoot():
		c.Class = max(c.Class, change.Children)
	default: // it may have been away for a moment, and targets saw that
		c.Class = change.Tree
	}
	m.enqueue(c)
	m.linked(c, meta)
}

// topmostMissing is the highest directory above p that is gone, or p: a target
// that is told of p removes it with all it holds, and that is what counts.
func topmostMissing(root *walk.Root, p tree.Path) tree.Path {
	for up := p.Parent(); !up.IsRoot(); up = up.Parent() {
		if _, err := root.Lstat(up); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		p = up
	}
	return p
}

// unlinked makes the other names of the file dirty that was known at a path and
// is no longer there: it may have been written through this name before.
func (m *Mirror) unlinked(c change.Change, now tree.Meta) {
	was, ok := m.index.inode[c.Path]
	if ok && c.Class >= change.Content && was != now.Inode() {
		m.displaced(c.Path, c.At)
	}
	if len(m.index.inode) == 0 || now.Exists() || !c.Dir {
		return
	}
	for p := range m.index.inode {
		if p.Below(c.Path) {
			m.displaced(p, c.At)
		}
	}
}

// displaced makes the other names of the file dirty that was known at p. With
// hard links a target may have been sent, as theirs, what is at p now.
func (m *Mirror) displaced(p tree.Path, at time.Time) {
	for q := range m.index.links[m.index.inode[p]] {
		if q != p {
			m.enqueue(change.Change{Kind: change.Dirty, Path: q, Class: change.Content, At: at})
		}
	}
}

// linked makes the other names of a file dirty.
func (m *Mirror) linked(c change.Change, meta tree.Meta) {
	if !meta.Linked() {
		return
	}
	for _, p := range m.index.siblings(c.Path, meta) {
		m.enqueue(change.Change{Kind: change.Dirty, Path: p, Class: c.Class, AsIs: c.AsIs, At: c.At})
	}
}

// hidden takes note of a change to something that is excluded: only its
// directory's times can matter, or that it was visible before.
func (m *Mirror) hidden(root *walk.Root, c change.Change, exists bool) {
	if !c.Created && exists {
		return
	}
	dir := c.Path.Parent()
	if dir.IsRoot() || !m.src.Scope.Hidden(dir, true) {
		if meta, err := root.Lstat(dir); err == nil {
			m.index.put(dir, meta)
			m.enqueue(change.Change{Kind: change.Dirty, Path: dir, Class: change.Attr, Dir: true, At: c.At})
		}
	}
}

// rulesChanged acts on an edited filter file: everything below its directory
// may now be mirrored, or no longer.
func (m *Mirror) rulesChanged(root *walk.Root, c change.Change) {
	dir := c.Path.Parent()
	m.src.Scope.Forget(dir)
	if m.watcher != nil {
		m.watcher.Rearm(dir)
	}
	m.index.forgetBelow(dir)
	m.discover(root, dir)
	m.enqueue(change.Change{Kind: change.Dirty, Path: dir, Class: change.Tree, Dir: true, At: c.At})
}

// moved carries a rename over to every target.
func (m *Mirror) moved(root *walk.Root, c change.Change) {
	known, wasDir := m.index.has(c.From)
	dir := wasDir || c.Dir
	m.src.Scope.Forget(c.From)
	m.src.Scope.Forget(c.Path)
	fromHidden, toHidden := m.src.Scope.Hidden(c.From, dir), m.src.Scope.Hidden(c.Path, dir)
	arrival := change.Change{Kind: change.Dirty, Path: c.Path, Class: change.Content, Dir: dir, Created: true, Arrived: true, At: c.At}
	departure := change.Change{Kind: change.Dirty, Path: c.From, Class: change.Attr, Dir: dir, Gone: true, At: c.At}
	if fromHidden || toHidden || !known {
		m.dirty(root, departure)
		m.dirty(root, arrival)
		return
	}
	m.displaced(c.Path, c.At)
	m.index.rename(c.From, c.Path)
	meta, err := root.Lstat(c.Path)
	if err == nil {
		m.index.put(c.Path, meta)
	}
	c.Dir = dir
	for _, s := range m.targets {
		s.rename(c)
	}
	if dir && m.cfg.Rules != nil {
		// What the rules say of the names below may have changed.
		m.index.forgetBelow(c.Path)
		m.discover(root, c.Path)
		m.enqueue(change.Change{Kind: change.Dirty, Path: c.Path, Class: change.Tree, Dir: true, At: c.At})
	}
	m.linked(change.Change{Path: c.Path, Class: change.Attr, At: c.At}, meta)
	if dir {
		m.lookAgain(root, c)
	}
}

// lookAgain doubts what was seen below the old name of a renamed directory just
// before its rename was heard of: by then the name may have led to something
// else, here and for the targets.
func (m *Mirror) lookAgain(root *walk.Root, c change.Change) {
	var again []tree.Path
	for p := range m.recent {
		if p.Below(c.From) {
			again = append(again, p)
		}
	}
	if len(again) == 0 {
		return
	}
	slices.Sort(again)
	for _, p := range again {
		m.dirty(root, change.Change{
			Kind: change.Dirty, Path: p.Rebase(c.From, c.Path), Class: change.Content, Gone: true, At: c.At,
		})
	}
	m.enqueue(change.Change{Kind: change.Dirty, Path: c.Path, Class: change.Tree, Dir: true, At: c.At})
}

// enqueue makes a path dirty for every target.
func (m *Mirror) enqueue(c change.Change) {
	for _, s := range m.targets {
		one := c
		if m.listens && c.Dir && c.Created && s.swept.covers(c.Path) {
			one.Class = change.Tree
		}
		s.queue.Add(one)
	}
}
