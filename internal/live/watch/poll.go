package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// poller finds changes below one directory by looking at everything again and
// again. One goroutine runs it; the workers of a pass share mu.
type poller struct {
	w    *Watch
	at   tree.Path // of the directory below the source root
	pin  *pin
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	snaps map[tree.Path]*snapshot // by path below at
	met   map[tree.Path]bool      // directories of the pass, and those it could not read
	out   []Event

	recheck   recheck // owned by run, like complaint
	complaint string  // the last notice of a pass that failed
}

func newPoller(w *Watch, at tree.Path, p *pin) *poller {
	ctx, stop := context.WithCancel(w.ctx)
	w.counts.pollers.Add(1)
	return &poller{w: w, at: at, pin: p, ctx: ctx, stop: stop, snaps: map[tree.Path]*snapshot{}}
}

// end makes run return.
func (p *poller) end() { p.stop() }

// baseline takes the first snapshots, without events.
func (p *poller) baseline() error {
	err := p.pass()
	p.out = nil
	if err != nil {
		return fmt.Errorf("poll %v: %w", p.at, err)
	}
	return nil
}

// run looks at everything after each interval, or after twice the time that a
// look takes if that is longer.
func (p *poller) run() {
	defer p.w.counts.pollers.Add(-1)
	defer p.stop()
	timer := time.NewTimer(p.w.cfg.PollInterval)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		err := p.pass()
		switch {
		case p.ctx.Err() != nil:
			return
		case errors.Is(err, ErrRootGone) && p.at == tree.Root:
			p.w.fail(err)
			return
		case err != nil && !errors.Is(err, ErrRootGone):
			p.complain(err)
		default:
			p.complaint = ""
		}
		if err == nil && p.recheck.due(len(p.out) > 0) {
			p.out = append(p.out, Event{Op: Overflow | Found, Path: p.at, Dir: true})
		}
		for batch := range chunks(p.out) {
			if !p.w.send(batch, nil) {
				return
			}
		}
		p.out = nil
		timer.Reset(max(p.w.cfg.PollInterval, 2*time.Since(began)))
	}
}

// complain says that a pass failed, once for each reason.
func (p *poller) complain(err error) {
	if text := err.Error(); text != p.complaint {
		p.complaint = text
		p.w.notice("", "polling %v failed, it will be tried again: %v", p.at, err)
	}
}

// chunks cuts evs into batches.
func chunks(evs []Event) func(func([]Event) bool) {
	return func(yield func([]Event) bool) {
		for len(evs) > 0 {
			n := min(len(evs), maxBatch)
			if !yield(evs[:n:n]) {
				return
			}
			evs = evs[n:]
		}
	}
}

// pass looks at everything once. It reads through one handle of the pinned
// directory, so a root that is replaced meanwhile spoils nothing; the handle
// is closed afterwards.
func (p *poller) pass() error {
	root, err := walk.OpenRoot(p.pin.path)
	if err != nil {
		if gone := p.pin.check(); gone != nil {
			return gone
		}
		return err
	}
	defer root.Close()
	if err := p.pin.check(); err != nil {
		return err
	}
	if root.Inode() != p.pin.inode {
		return &RootError{Root: p.pin.path, Cause: Replaced}
	}
	p.met = make(map[tree.Path]bool, len(p.snaps))
	err = root.Walk(p.ctx, tree.Root, walk.Visitor{
		Dir: p.visit,
		Enter: func(dir tree.Path) bool {
			at := dir.Under(p.at)
			return !p.w.skip(at, true)
		},
	})
	if err != nil {
		return err
	}
	p.sweep()
	return nil
}

// visit compares one directory with its last snapshot.
func (p *poller) visit(dir tree.Path, meta tree.Meta, entries []tree.Entry, err error) {
	now := time.Now()
	var part *walk.PartialError
	unread := err != nil && !errors.As(err, &part)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.met[dir] = !unread
	if unread {
		return // if it vanished, its parent's next listing says what became of it
	}
	old, at := p.snaps[dir], dir.Under(p.at)
	if old != nil && old.dev != meta.Dev {
		// A mount came or went: what was seen before is not deleted, it is out of sight.
		p.out = append(p.out, Event{Op: Unmount, Path: at, Dir: true})
		old = nil
	}
	p.snaps[dir] = old.compare(meta.Dev, entries, err == nil, now, func(d difference) {
		p.out = p.w.add(p.out, Event{Op: d.op, Path: at.Join(d.name), Dir: d.dir})
	})
}

// sweep forgets directories that the pass did not meet, unless they lie below
// one that could not be read.
func (p *poller) sweep() {
	for dir := range p.snaps {
		if read, ok := p.met[dir]; ok && read {
			continue
		}
		hidden := false
		for d := dir; !hidden; d = d.Parent() {
			read, ok := p.met[d]
			hidden = ok && !read
			if d == tree.Root {
				break
			}
		}
		if !hidden {
			delete(p.snaps, dir)
		}
	}
	p.met = nil
}
