package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
)

// ask has the owner carry out do, and waits for that. It fails when the mirror
// does not run or ctx ends.
func (m *Mirror) ask(ctx context.Context, do func()) error {
	ran := make(chan struct{})
	select {
	case m.asks <- func() { do(); close(ran) }:
		<-ran // the owner has it, and waits for nobody
		return nil
	case <-m.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// named are the slots of the targets called so, all of them if none is named.
func (m *Mirror) named(targets []string) ([]*slot, error) {
	if len(targets) == 0 {
		return m.targets, nil
	}
	var slots []*slot
	for _, name := range targets {
		s := m.slotOf(name)
		if s == nil {
			return nil, fmt.Errorf("mirror of %s: no target is called %s", tree.Quote(m.cfg.Source), tree.Quote(name))
		}
		slots = append(slots, s)
	}
	return slots, nil
}

func (m *Mirror) slotOf(name string) *slot {
	for _, s := range m.targets {
		if s.name == name {
			return s
		}
	}
	return nil
}

// command has the owner do something to targets.
func (m *Mirror) command(ctx context.Context, targets []string, do func(s *slot, now time.Time)) error {
	var failed error
	err := m.ask(ctx, func() {
		slots, err := m.named(targets)
		if err != nil {
			failed = err
			return
		}
		now := time.Now()
		for _, s := range slots {
			do(s, now)
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// Pause keeps the named targets, or all, from getting anything new. What is on
// its way is finished; changes go on being collected.
func (m *Mirror) Pause(ctx context.Context, targets ...string) error {
	return m.command(ctx, targets, func(s *slot, now time.Time) { s.paused = true })
}

// Resume ends Pause. A target that had stopped for good, or waits for its next
// try, is tried at once.
func (m *Mirror) Resume(ctx context.Context, targets ...string) error {
	return m.command(ctx, targets, func(s *slot, now time.Time) { s.resume(now) })
}

// Resync compares the named targets, or all, with the source in a full pass.
func (m *Mirror) Resync(ctx context.Context, targets ...string) error {
	return m.command(ctx, targets, func(s *slot, now time.Time) {
		s.repass = s.busy && s.full
		s.fullDue(now)
		s.told = false
		if !s.paused {
			s.resume(now)
		}
	})
}

func (s *slot) resume(now time.Time) {
	s.paused, s.retryAt = false, time.Time{}
	if s.status == Waiting || s.refused { // a full pass counts anew what would be removed
		s.judging = s.judging || !s.full
		s.fullDue(now)
	}
	if s.status == Stopped || s.status == Paused {
		to := Behind
		if s.full {
			to = Connecting
		}
		s.changeState(to, now)
	}
}

// Backlog lists what one target has not acknowledged, oldest first, at most so
// many: a full pass that is due as the root of the source, then what is queued,
// then what is being written.
func (m *Mirror) Backlog(ctx context.Context, name string, most int) (pending []change.Pending, err error) {
	err = m.command(ctx, []string{name}, func(s *slot, _ time.Time) {
		if s.full {
			pending = append(pending, s.passPending())
		}
		pending = append(pending, s.queue.Backlog(most)...)
		pending = append(pending, m.set.Backlog(most)...)
		pending = pending[:min(len(pending), most)]
	})
	return pending, err
}

// passPending is the full pass that is due or running.
func (s *slot) passPending() change.Pending {
	return change.Pending{Path: tree.Root, Class: change.Tree, Since: s.fullAt, Out: s.busy, Tries: s.tries, Next: s.retryAt}
}

// Explanation says what becomes of one path of the source.
type Explanation struct {
	Path    tree.Path
	Meta    tree.Meta // Kind is 0 if nothing is there
	Err     error     // why it could not be looked at
	Verdict filter.Verdict
	Known   bool // in the index
	Held    bool // being written
	Away    bool // in a file system that is not mounted now
	Pending []change.Pending
	Targets []string // that of Pending with the same index
}

// Explain says whether p is mirrored, why, and what is pending for it.
func (m *Mirror) Explain(ctx context.Context, p tree.Path) (x Explanation, err error) {
	err = m.ask(ctx, func() {
		x.Path, x.Held, x.Away = p, m.set.Held(p), m.src.Away.Covers(p)
		known, dir := m.index.has(p)
		x.Known = known
		root, err := m.src.Open()
		if err != nil {
			x.Err = err
			return
		}
		defer root.Close()
		if x.Meta, err = root.Lstat(p); err == nil {
			dir = x.Meta.IsDir()
		} else {
			x.Err, x.Meta = err, tree.Meta{}
		}
		x.Verdict = m.src.Scope.Explain(filter.Sender, p, dir)
		for _, s := range m.targets {
			o, ok := s.queue.Pending(p)
			if !ok && s.full {
				o, ok = s.passPending(), true
			}
			if ok {
				x.Pending, x.Targets = append(x.Pending, o), append(x.Targets, s.name)
			}
		}
	})
	return x, err
}

// Alive reports whether the owner answers before ctx ends. A mirror that is
// still arming its source, or has ended, has none and counts as alive.
func (m *Mirror) Alive(ctx context.Context) bool {
	select {
	case <-m.owned:
	default:
		return true
	}
	err := m.ask(ctx, func() {})
	return err == nil || errors.Is(err, ErrEnded)
}
