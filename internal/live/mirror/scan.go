package mirror

import (
	"context"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
)

// listing is one directory as the scanner saw it, without what is excluded.
type listing struct {
	dir     tree.Path
	meta    tree.Meta
	entries []tree.Entry
	err     error // the directory could not be read
	done    bool  // the scan has ended; err says why, if not by reaching the end
}

// scan starts reading the whole source, or notes that another scan is due
// when one is running already.
func (m *Mirror) scan(ctx context.Context) {
	if m.scanning {
		m.rescan = true
		return
	}
	m.scanning = true
	src, out := m.src, m.listings
	go func() {
		err := func() error {
			root, err := src.Open()
			if err != nil {
				return err
			}
			defer root.Close()
			return root.Walk(ctx, tree.Root, m.visitor(func(l listing) { out <- l }))
		}()
		out <- listing{done: true, err: err}
	}()
}

// visitor lists directories without what is excluded.
func (m *Mirror) visitor(emit func(listing)) walk.Visitor {
	return walk.Visitor{
		Enter: func(dir tree.Path) bool { return dir.IsRoot() || !m.src.Scope.Hidden(dir, true) },
		Dir: func(dir tree.Path, meta tree.Meta, entries []tree.Entry, err error) {
			emit(listing{dir: dir, meta: meta, entries: m.visible(dir, entries), err: err})
		},
	}
}

// visible drops what is excluded from the entries of dir.
func (m *Mirror) visible(dir tree.Path, entries []tree.Entry) []tree.Entry {
	if m.cfg.Rules == nil {
		return entries
	}
	hidden := m.src.Scope.Child(dir)
	kept := entries[:0]
	for _, e := range entries {
		if !hidden(e.Name, e.Meta.IsDir()) {
			kept = append(kept, e)
		}
	}
	return kept
}

// listed takes one listing of the running scan.
func (m *Mirror) listed(ctx context.Context, l listing) {
	switch {
	case l.done:
		m.scanEnded(ctx, l.err)
	case l.err != nil:
		m.pathFailed("", l.dir, l.err)
	case !m.scanned:
		m.index.fill(l.dir, l.meta, l.entries)
	default:
		m.compare(l, time.Now())
	}
}

func (m *Mirror) scanEnded(ctx context.Context, err error) {
	m.scanning = false
	if err != nil && ctx.Err() == nil {
		if !m.scanned {
			m.fatal = err
			return
		}
		m.rescan = true
	}
	m.scanned = true
	m.total.Store(int64(m.index.files + m.index.dirs))
	for _, ev := range m.unnamed {
		m.nameless(ev, time.Now())
	}
	clear(m.unnamed)
	if m.rescan && ctx.Err() == nil {
		m.rescan = false
		m.scan(ctx)
	}
}

// compare makes dirty what differs from what was last seen. Every path is
// looked at again before it counts, so a listing may be older than the index.
func (m *Mirror) compare(l listing, now time.Time) {
	root, err := m.src.Open()
	if err != nil {
		m.rescan = true
		return
	}
	defer root.Close()
	if l.dir.IsRoot() && m.index.root.stamp != stampOf(l.meta) {
		m.dirty(root, change.Change{Kind: change.Dirty, Path: tree.Root, Class: change.Attr, Dir: true, At: now})
	}
	for _, name := range m.index.differs(l.dir, l.entries) {
		m.dirty(root, change.Change{Kind: change.Dirty, Path: l.dir.Join(name), Class: change.Content, At: now})
	}
}

// discover adds everything below dir to the index. What has other names may
// have them elsewhere in the source, where they were the only ones until now.
func (m *Mirror) discover(root *walk.Root, dir tree.Path) {
	linked := map[tree.Path]tree.Meta{}
	v := m.visitor(func(l listing) {
		if l.err != nil {
			return
		}
		m.index.fill(l.dir, l.meta, l.entries)
		for _, e := range l.entries {
			if e.Meta.Linked() {
				linked[l.dir.Join(e.Name)] = e.Meta
			}
		}
	})
	defer func() {
		for p, meta := range linked {
			m.index.complete(p, meta)
		}
	}()
	v.Workers = 1 // the index belongs to this goroutine
	if err := root.Walk(context.Background(), dir, v); err != nil {
		m.pathFailed("", dir, err)
	}
}
