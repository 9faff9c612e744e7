// Package fleet runs all mirrors of one configuration in one process.
//
// Each mirror is a unit with a goroutine of its own, which starts it, and
// starts it again when it fails: one that fails stops no other. A source that
// vanished and a first pass that would remove too much are left to an operator
// (resume, or a changed configuration), since starting again would look at
// whatever stands there now as if it were the source.
//
//	starting ──▶ running ──▶ failed ──(5 s, doubling to 5 min)──▶ starting
//	                 └─────▶ ended ──(resume)──▶ starting
//
// Apply and Close are for one goroutine; everything else may be called from
// several. Handle carries out what comes in on the control socket.
package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/report"
)

// Options are what a Fleet is told.
type Options struct {
	Version string
	// Listener makes the listener of a mirror's next run; done is called after
	// it. Nil for none.
	Listener func(m *config.Mirror) (l mirror.Listener, done func())
	// Changed hears of each change of a mirror's state. It must not block. Nil
	// for none.
	Changed func(m report.Mirror)
	// Journal takes down what arrives. Nil for none.
	Journal *report.Journal
	// Reload reads the configuration again and applies it. It is called from
	// Handle.
	Reload func() ([]control.Change, error)
}

// Fleet is the mirrors of one configuration.
type Fleet struct {
	opts    Options
	started time.Time

	mu     sync.Mutex
	units  []*unit // sorted by name
	file   string
	loaded time.Time
}

// New makes a fleet without mirrors.
func New(o Options) *Fleet { return &Fleet{opts: o, started: time.Now()} }

// Apply makes the fleet run what c says: mirrors that did not change go on
// undisturbed. It returns after those that had to stop have stopped.
func (f *Fleet) Apply(c *config.Config) []control.Change {
	f.mu.Lock()
	old := f.units
	f.mu.Unlock()
	var changes []control.Change
	var units, leaving []*unit
	for i := range c.Mirrors {
		m := c.Mirrors[i]
		at := slices.IndexFunc(old, func(u *unit) bool { return u.cfg.Name == m.Name })
		switch {
		case at >= 0 && old[at].cfg.Same(&m):
			units = append(units, old[at])
			changes = append(changes, control.Change{Mirror: m.Name, What: "unchanged"})
			continue
		case at >= 0:
			changes = append(changes, control.Change{Mirror: m.Name, What: "restarted"})
		default:
			changes = append(changes, control.Change{Mirror: m.Name, What: "started"})
		}
		units = append(units, newUnit(m, f.opts))
	}
	for _, u := range old {
		if !slices.Contains(units, u) {
			leaving = append(leaving, u)
			if c.Find(u.cfg.Name) == nil {
				changes = append(changes, control.Change{Mirror: u.cfg.Name, What: "stopped"})
			}
		}
	}
	stop(leaving)
	for _, u := range units {
		u.start()
	}
	f.mu.Lock()
	f.units, f.file, f.loaded = units, c.File, time.Now()
	f.mu.Unlock()
	return changes
}

// stop ends units, all at once, and waits for them.
func stop(units []*unit) {
	for _, u := range units {
		u.cancel()
	}
	for _, u := range units {
		<-u.done
	}
}

// Close ends all mirrors and waits for them.
func (f *Fleet) Close() {
	f.mu.Lock()
	units := f.units
	f.units = nil
	f.mu.Unlock()
	stop(units)
}

// all are the units at this moment.
func (f *Fleet) all() []*unit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.units)
}

// Status takes a snapshot of everything.
func (f *Fleet) Status() report.Status {
	f.mu.Lock()
	s := report.Status{Version: f.opts.Version, Started: f.started, File: f.file, Loaded: f.loaded, Mirrors: []report.Mirror{}}
	units := slices.Clone(f.units)
	f.mu.Unlock()
	states := make([]report.Mirror, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		wg.Go(func() { states[i] = u.status() })
	}
	wg.Wait()
	s.Mirrors = append(s.Mirrors, states...)
	return s
}

// Alive reports whether every mirror that runs answers, which is what a
// watchdog wants to know.
func (f *Fleet) Alive(ctx context.Context) bool {
	for _, u := range f.all() {
		if m := u.running(); m != nil && !m.Alive(ctx) {
			return false
		}
	}
	return true
}
