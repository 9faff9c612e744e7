package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/report"
)

// Pauses before a mirror that failed is started again.
const (
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
	sound      = time.Minute // a mirror that ran so long did not fail at once
)

// unit keeps one mirror running.
type unit struct {
	cfg    config.Mirror
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	done   chan struct{}
	kick   chan struct{} // an operator wants it started now; room for one
	meter  report.Meter

	mu     sync.Mutex
	passes map[string]target.Progress // of full passes, by target
	live   *mirror.Mirror             // nil unless state is running
	state  string
	since  time.Time
	err    error
	next   time.Time

	verified    *time.Time // when everything was last compared
	differences int        // what that left

	changed chan struct{} // closed at the next change of state
}

func newUnit(m config.Mirror, o Options) *unit {
	u := &unit{cfg: m, opts: o, done: make(chan struct{}), kick: make(chan struct{}, 1),
		passes: map[string]target.Progress{}, state: report.Starting, since: time.Now(), changed: make(chan struct{})}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// start runs the unit's goroutine, once.
func (u *unit) start() { u.once.Do(func() { go u.run() }) }

// run starts the mirror again and again.
func (u *unit) run() {
	defer close(u.done)
	pause := firstPause
	for {
		began := time.Now()
		err := u.mirror()
		if u.ctx.Err() != nil {
			return
		}
		if time.Since(began) >= sound {
			pause = firstPause
		}
		if !u.rest(err, pause) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// mirror runs the mirror until it ends.
func (u *unit) mirror() error {
	u.change(report.Starting, nil, nil, time.Time{})
	cfg, err := u.cfg.Live()
	if err != nil {
		return err
	}
	if u.opts.Listener != nil {
		listener, done := u.opts.Listener(&u.cfg)
		cfg.Listener = listener
		defer done()
	}
	notice := cfg.Listener.Notice
	h, err := openHooks(&u.cfg, func(err error) {
		if notice != nil {
			notice(err.Error(), "")
		}
	})
	if err != nil {
		return err
	}
	defer h.close()
	u.listen(&cfg.Listener)
	h.listen(&cfg.Listener)
	m, err := mirror.New(cfg)
	if err != nil {
		return err
	}
	u.change(report.Running, m, nil, time.Time{})
	return m.Run(u.ctx)
}

// listen puts the unit's own ears before those of l.
func (u *unit) listen(l *mirror.Listener) {
	batch, progress := l.Batch, l.Progress
	l.Batch = func(name string, b mirror.BatchReport) {
		u.meter.Add(name, b.At)
		if u.opts.Journal != nil {
			u.opts.Journal.Add(u.cfg.Name, name, b)
		}
		if batch != nil {
			batch(name, b)
		}
	}
	l.Progress = func(name string, p target.Progress) {
		u.mu.Lock()
		u.passes[name] = p
		u.mu.Unlock()
		if progress != nil {
			progress(name, p)
		}
	}
}

// progress is how far a target's full pass has come.
func (u *unit) progress(name string) target.Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.passes[name]
}

// rest waits until the mirror is to be started again; false is never.
func (u *unit) rest(err error, pause time.Duration) bool {
	var due <-chan time.Time
	if errors.Is(err, mirror.ErrSourceGone) || errors.Is(err, mirror.ErrMaxDelete) {
		u.change(report.Ended, nil, err, time.Time{})
	} else {
		u.change(report.Failed, nil, err, time.Now().Add(pause))
		timer := time.NewTimer(pause)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-u.ctx.Done():
		return false
	case <-u.kick:
	case <-due:
	}
	return true
}

// change is the only place where the state changes.
func (u *unit) change(state string, live *mirror.Mirror, err error, next time.Time) {
	u.mu.Lock()
	if u.state != state {
		u.since = time.Now()
	}
	u.state, u.live, u.next = state, live, next
	if state != report.Starting {
		u.err = err
	}
	close(u.changed)
	u.changed = make(chan struct{})
	s := u.own()
	u.mu.Unlock()
	if u.opts.Changed != nil {
		u.opts.Changed(s)
	}
}

// own is what the unit itself knows of its mirror; mu is held.
func (u *unit) own() report.Mirror {
	s := report.Mirror{Name: u.cfg.Name, Source: u.cfg.Source, State: u.state, Since: u.since, Targets: []report.Target{},
		Verified: u.verified, Differences: u.differences}
	if u.err != nil {
		s.Error, s.Hint = u.err.Error(), hint(u.err, u.cfg.Name)
	}
	if !u.next.IsZero() {
		next := u.next
		s.Next = &next
	}
	return s
}

// hint is what helps against err.
func hint(err error, name string) string {
	var refused *target.Error
	switch {
	case errors.Is(err, mirror.ErrSourceGone):
		return "when the source is as it should be again: lockstep resume " + name
	case errors.Is(err, mirror.ErrMaxDelete):
		return "raise max_delete in the configuration to allow them, then lockstep reload"
	case errors.As(err, &refused):
		return refused.Hint
	}
	return ""
}

// status is a snapshot of the mirror.
func (u *unit) status() report.Mirror {
	u.mu.Lock()
	s, live := u.own(), u.live
	u.mu.Unlock()
	now := time.Now()
	if live != nil {
		if state := live.State(); len(state.Targets) > 0 {
			s.Fill(state, now, func(name string) int { return u.meter.LastMinute(name, now) }, u.progress)
			return s
		}
	}
	for _, t := range u.cfg.Targets {
		s.Targets = append(s.Targets, report.Target{Target: t, State: report.Down, Since: s.Since})
	}
	return s
}

// running is the mirror, nil if it does not run.
func (u *unit) running() *mirror.Mirror {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.live
}

// await waits for a mirror that is starting; one that has failed is nil.
func (u *unit) await(ctx context.Context) *mirror.Mirror {
	for {
		u.mu.Lock()
		live, state, changed := u.live, u.state, u.changed
		u.mu.Unlock()
		if state != report.Starting {
			return live
		}
		select {
		case <-changed:
		case <-u.done:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// again asks for a start now, if the mirror has failed or ended.
func (u *unit) again() {
	u.mu.Lock()
	resting := u.state == report.Failed || u.state == report.Ended
	u.mu.Unlock()
	if resting {
		select {
		case u.kick <- struct{}{}:
		default:
		}
	}
}
