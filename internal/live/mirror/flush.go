package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
)

// flush is a wait until targets hold what was changed before some moment. It
// goes through the same pipeline as the changes themselves: the watcher hands
// over all events from before the call (watch.CatchUp); then what is being
// written, scanned or settled has to come out; then each target's queue must
// hold nothing as old as that. It belongs to the owner goroutine.
type flush struct {
	since   time.Time // when the watcher had caught up
	rescan  bool      // polled directories are to be read first
	settled bool      // everything from before since is in the queues
	left    map[*slot]time.Time
	done    chan struct{} // closed when left is empty or cannot become so
}

// Lag is a target that does not hold everything yet.
type Lag struct {
	Target  string
	Status  Status
	Behind  int       // paths not acknowledged
	Oldest  time.Time // the oldest of them; zero if that is not known
	LastErr string
}

// LagError says why a flush did not succeed.
type LagError struct {
	Cause   error // why it was given up
	Targets []Lag
	Holding int       // files that are being written
	Held    tree.Path // the one that is so for the longest time
	Unseen  bool      // the watcher had not caught up
}

func (e *LagError) Unwrap() error { return e.Cause }

// Written says which file is being written, or how many are.
func (e *LagError) Written() string {
	if e.Holding == 1 {
		return fmt.Sprintf("%s is being written", e.Held)
	}
	return fmt.Sprintf("%d files are being written, %s the longest", e.Holding, e.Held)
}

func (e *LagError) Error() string {
	var parts []string
	for _, l := range e.Targets {
		text := fmt.Sprintf("%s is %v", tree.Quote(l.Target), l.Status)
		if l.Behind > 0 {
			text += fmt.Sprintf(" with %d paths to go", l.Behind)
		}
		parts = append(parts, text)
	}
	switch {
	case e.Unseen:
		parts = append(parts, "the watcher has not caught up")
	case e.Holding > 0:
		parts = append(parts, e.Written())
	}
	return fmt.Sprintf("not in step: %s (%v)", strings.Join(parts, ", "), e.Cause)
}

// Reasons of a LagError, besides the end of the context.
var (
	ErrHalted = errors.New("a target is stopped, paused, in its quiet hours or waiting for an operator")
	ErrEnded  = errors.New("the mirror is not running")
)

// Flush waits until every change made before the call is on the named targets,
// on all if none is named. If ctx ends first, or a target is stopped or paused,
// the error is a *LagError. Files that are being written count as changed.
func (m *Mirror) Flush(ctx context.Context, targets ...string) error {
	f := &flush{left: map[*slot]time.Time{}, done: make(chan struct{})}
	var unknown error
	if err := m.ask(ctx, func() {
		var slots []*slot
		if slots, unknown = m.named(targets); unknown == nil {
			for _, s := range slots {
				f.left[s] = time.Time{}
			}
		}
	}); err != nil {
		return err
	}
	if unknown != nil {
		return unknown
	}
	if m.watcher == nil {
		return errors.New("flush: this mirror runs once and watches nothing")
	}
	sighted, err := m.watcher.CatchUp(ctx)
	if err != nil {
		return m.lag(f, err, true)
	}
	f.rescan = !sighted
	if err := m.ask(ctx, func() {
		f.since = time.Now()
		m.flushes = append(m.flushes, f)
	}); err != nil {
		return err
	}
	select {
	case <-f.done:
		err = nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-m.ended:
		return ErrEnded
	}
	return m.lag(f, err, false)
}

// lag takes f out of the list and says who is behind.
func (m *Mirror) lag(f *flush, cause error, unseen bool) error {
	e := &LagError{Cause: cause, Unseen: unseen}
	if err := m.ask(context.Background(), func() {
		m.flushes = slices.DeleteFunc(m.flushes, func(o *flush) bool { return o == f })
		for _, s := range m.targets {
			if _, lags := f.left[s]; lags {
				l := Lag{Target: s.name, Status: s.status, Behind: s.queue.Behind()}
				if !s.failing.IsZero() || s.queue.Failing() > 0 { // what was once is no reason
					l.LastErr = s.last.LastErr
				}
				l.Oldest, _ = s.queue.Oldest()
				e.Targets = append(e.Targets, l)
			}
		}
		e.Holding = m.set.Holding()
		for _, o := range m.set.Backlog(1) {
			e.Held = o.Path
		}
	}); err != nil {
		return err
	}
	if len(e.Targets) == 0 {
		return nil
	}
	if e.Cause == nil {
		e.Cause = ErrHalted
	}
	return e
}

// flushed moves the flushes on.
func (m *Mirror) flushed(ctx context.Context, now time.Time) {
	for _, f := range m.flushes {
		if f.rescan {
			f.rescan = false
			m.scan(ctx)
		}
		if !f.settled {
			if m.unsettled(f) {
				continue
			}
			f.settled = true
			for s := range f.left {
				f.left[s] = now
			}
		}
		m.reached(f)
	}
	m.flushes = slices.DeleteFunc(m.flushes, func(f *flush) bool {
		select {
		case <-f.done:
			return true
		default:
			return false
		}
	})
}

// unsettled reports whether changes from before f may not be in the queues yet.
func (m *Mirror) unsettled(f *flush) bool {
	for s := range f.left {
		if s.halted() {
			return false // waiting cannot help
		}
	}
	return !m.scanned || m.scanning || m.rescan || m.set.Settled() || m.set.HeldSince(f.since)
}

// reached takes the targets out of f that hold everything, and ends f when it
// has nothing to wait for.
func (m *Mirror) reached(f *flush) {
	halted := false
	for s, until := range f.left {
		switch oldest, pending := s.queue.Oldest(); {
		case s.halted():
			halted = true
		case !s.full && !(pending && !oldest.After(until)):
			delete(f.left, s)
		}
	}
	if halted || len(f.left) == 0 {
		close(f.done)
	}
}

// halted reports whether a target gets nothing until an operator acts.
func (s *slot) halted() bool {
	return s.paused || s.status == Stopped || s.status == Quiet || s.status == Waiting || s.refused && !s.full
}

// passFlushes notes that a full pass of s has ended: what failed in it is in
// the queue with the present time, and counts for those who wait, as do files
// that it left alone and that are on hold now.
func (m *Mirror) passFlushes(s *slot, left bool, now time.Time) {
	for _, f := range m.flushes {
		if _, waits := f.left[s]; waits && f.settled {
			f.left[s] = now
			f.settled = !left
		}
	}
}
