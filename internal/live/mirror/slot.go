package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
)

// slot is one target with its queue and its worker. Its fields belong to the
// owner goroutine; the worker sees only target and the jobs it is given.
//
//	Connecting ──▶ FirstPass ──▶ Behind ◀──▶ InStep
//	    ▲              │           │
//	    └── Failing ◀──┴───────────┘        Stopped, Waiting: by their errors
//	                                        Paused: by an operator, Quiet: by the clock
type slot struct {
	name   string
	target target.Target
	queue  *change.Queue
	jobs   chan job
	ended  chan struct{}

	moves atomic.Bool // the full pass that runs has got somewhere; set by the worker

	busy    bool      // the worker has a job
	full    bool      // a full pass is due or running, see fullDue
	fullAt  time.Time // since when it is
	repass  bool      // another full pass is due after the running one
	judging bool      // the full pass is due only for what it removes
	refused bool      // the last full pass would have removed too much: it waits for an operator
	paused  bool      // nothing new is begun
	told    bool      // InStep was announced
	pass    Pass
	status  Status
	since   time.Time
	failing time.Time // since when tries have failed; zero if the last did not
	tries   int
	retryAt time.Time
	moveAt  time.Time   // until when a batch waits for renames to go on; see moving
	last    TargetState // the counters and the last error
	lastErr error
	done    bool // with Once: finished, one way or the other
	swept   swept
}

// job is what a worker is asked to do.
type job struct {
	full  bool
	batch change.Batch
}

// result is what a worker answers.
type result struct {
	slot    *slot
	job     job
	report  target.Report
	err     error
	elapsed time.Duration
}

func newSlot(name string, t target.Target, maxDelete change.Limit) *slot {
	return &slot{
		name: name, target: t, full: true, fullAt: time.Now(), since: time.Now(),
		queue: change.NewQueue(change.Limits{Removes: maxDelete}),
		jobs:  make(chan job, 1), ended: make(chan struct{}), swept: swept{},
	}
}

// start runs the worker.
func (s *slot) start(ctx context.Context, m *Mirror) {
	progress := func(p target.Progress) {
		if p.Checked > 0 || p.Files > 0 {
			s.moves.Store(true)
		}
		if p.Total == 0 {
			p.Total = m.total.Load()
		}
		if m.cfg.Listener.Progress != nil {
			m.cfg.Listener.Progress(s.name, p)
		}
	}
	go func() {
		defer close(s.ended)
		defer s.target.Close()
		for j := range s.jobs {
			r := result{slot: s, job: j}
			began := time.Now()
			if j.full {
				progress(target.Progress{}) // nothing is left of an earlier one
				r.report, r.err = m.full(ctx, s.target, progress)
			} else {
				r.report, r.err = s.target.Apply(ctx, j.batch)
			}
			r.elapsed = time.Since(began)
			m.results <- r
		}
	}()
}

// full makes a full pass, which ends when a file system in the source is
// unmounted: what it held is not to be taken for deleted.
func (m *Mirror) full(ctx context.Context, t target.Target, progress func(target.Progress)) (target.Report, error) {
	ctx, stop := m.src.Away.Guard(ctx)
	defer stop()
	if !m.cfg.Once {
		m.src.Writing.Open(watch.Writers())
	}
	report, err := t.Full(ctx, progress)
	if cause := context.Cause(ctx); errors.Is(cause, target.ErrUnmounted) && err != nil {
		err = cause
	}
	return report, err
}

// wait ends the worker, throwing away what it still answers.
func (s *slot) wait(results <-chan result) {
	close(s.jobs)
	for {
		select {
		case <-results:
		case <-s.ended:
			return
		}
	}
}

// changeState is the only place where a status changes.
func (s *slot) changeState(to Status, now time.Time) {
	if s.status != to {
		s.status, s.since = to, now
	}
}

// fullDue makes a full pass due.
func (s *slot) fullDue(now time.Time) {
	if !s.full {
		s.full, s.fullAt = true, now
	}
}

// rename carries a rename over to the queue.
func (s *slot) rename(c change.Change) {
	if s.full {
		s.queue.RenameUnsure(c)
		return
	}
	s.queue.Rename(c)
}

// due is when the slot wants attention although nothing comes in.
func (s *slot) due() time.Time {
	if s.busy || s.paused || s.status == Stopped {
		return time.Time{}
	}
	if !s.retryAt.IsZero() {
		return s.retryAt
	}
	if !s.moveAt.IsZero() {
		return s.moveAt
	}
	t, _ := s.queue.Next()
	return t
}

// feed hands the slot's worker its next job, if it is idle and there is one.
func (m *Mirror) feed(s *slot, now time.Time) {
	switch {
	case s.busy || s.done || s.status == Stopped:
		return
	case s.paused:
		s.changeState(Paused, now)
		return
	case m.quiet(s, now):
		s.changeState(Quiet, now)
		return
	case now.Before(s.retryAt):
		return
	}
	s.retryAt = time.Time{}
	if s.full {
		s.queue.Begin()
		s.moves.Store(false)
		if s.status != Failing {
			s.changeState(FirstPass, now)
		}
		s.busy = true
		m.shield()
		s.hand(job{full: true})
		return
	}
	if m.moving(s, now) {
		return
	}
	v := change.View{Held: m.set.Held, Entries: m.entries()}
	if m.cfg.HardLinks {
		v.Links = m.links
	}
	b := s.queue.Take(now, v)
	if b.Empty() {
		m.idle(s, now)
		return
	}
	if s.status != Failing {
		s.changeState(Behind, now)
	}
	s.busy = true
	s.hand(job{batch: b})
}

// quiet reports whether s has something to send that has to wait for the end of
// the quiet hours. The root check comes back to it every second.
func (m *Mirror) quiet(s *slot, now time.Time) bool {
	return len(m.cfg.Quiet) > 0 && !m.cfg.Once && (s.full || s.queue.Behind() > 0) && m.cfg.Quiet.Holds(now)
}

// hand gives the worker a job.
func (s *slot) hand(j job) {
	s.swept.begin(j)
	s.jobs <- j
}

// chainWait is how long a renamed thing that is not where it should be is
// expected to turn up under yet another name.
const chainWait = 50 * time.Millisecond

// moving reports whether a batch is to wait, since renames are following each
// other: what has gone on is to be carried over in one step.
func (m *Mirror) moving(s *slot, now time.Time) bool {
	s.moveAt = time.Time{}
	var root *walk.Root
	at, ok := s.queue.Moving(func(p tree.Path) bool {
		if root == nil {
			var err error
			if root, err = m.src.Open(); err != nil {
				return true // whoever takes the batch will say so
			}
		}
		_, err := root.Lstat(p)
		return err == nil
	})
	if root != nil {
		root.Close()
	}
	if !ok || now.Sub(at) >= chainWait {
		return false
	}
	s.moveAt = at.Add(chainWait)
	return true
}

// links are the other names of a hard-linked file, or of all those in a
// subtree: a target can link only names that it gets together.
func (m *Mirror) links(p tree.Path, subtree bool) []tree.Path {
	if !subtree {
		return m.index.others(p, func(q tree.Path) bool { return q == p })
	}
	var names []tree.Path
	for q := range m.index.inode {
		if q.Within(p) {
			names = append(names, m.index.others(q, func(q tree.Path) bool { return q.Within(p) })...)
		}
	}
	return names
}

// entries is how many the source has, -1 before it has been read.
func (m *Mirror) entries() int {
	if !m.scanned {
		return -1
	}
	return m.index.files + m.index.dirs
}

// idle notes that there is nothing to do for s at the moment.
func (m *Mirror) idle(s *slot, now time.Time) {
	switch {
	case s.queue.Barred(now, m.entries()):
		if !m.scanned {
			return // how much that is shows when the source has been read
		}
		if s.failing.IsZero() || !errors.Is(s.lastErr, ErrMaxDelete) { // it is told once
			m.failed(s, &target.Error{Err: ErrMaxDelete, Hint: "if they are meant, allow more with max_delete (--max-delete); else restore the source, then: lockstep resume"}, now)
		}
		s.changeState(Waiting, now)
	case s.refused && !s.full:
		s.changeState(Waiting, now)
	case s.queue.Failing() > 0:
		s.changeState(Failing, now)
	case s.queue.Behind() == 0 && m.scanned: // before that, nothing is settled
		s.changeState(InStep, now)
		if !s.told {
			s.told = true
			s.pass.Entries = m.index.files + m.index.dirs
			if m.cfg.Listener.InStep != nil {
				m.cfg.Listener.InStep(s.name, s.pass)
			}
		}
	}
}

// finished takes a worker's answer.
func (m *Mirror) finished(r result) {
	s, now := r.slot, time.Now()
	s.busy = false
	s.swept.end(r.job, now)
	if r.err != nil {
		if !r.job.full {
			s.queue.Done(change.Outcome{All: true}, now, backoff)
		}
		m.failed(s, r.err, now)
		return
	}
	s.queue.Done(r.report.Outcome, now, backoff)
	waits := !r.job.full && s.queue.Barred(now, m.entries())
	if !waits && (s.tries > 0 || !s.failing.IsZero()) {
		s.tries, s.failing = 0, time.Time{}
		if m.cfg.Listener.Recovered != nil {
			m.cfg.Listener.Recovered(s.name)
		}
	}
	for _, it := range r.job.batch.Items {
		m.recent[it.Path] = now
	}
	for p, err := range r.report.Outcome.Failed {
		m.note(s, err, now)
		m.pathFailed(s.name, p, err)
	}
	s.last.Files += int64(r.report.Files)
	s.last.Bytes += r.report.Bytes
	s.last.Wire += r.report.Wire
	if r.job.full {
		m.passed(s, r, now)
		return
	}
	s.last.Batches++
	s.changeState(Behind, now)
	m.batchDone(s, r, now)
}

// passed notes the end of a full pass.
func (m *Mirror) passed(s *slot, r result, now time.Time) {
	for _, p := range r.report.Writing {
		m.set.Hold(p, s.fullAt, now)
	}
	s.full, s.repass, s.judging, s.refused = s.repass, false, false, false
	s.queue.Passed()
	s.told = false // it is told of each pass that it has ended
	m.passFlushes(s, len(r.report.Writing) > 0, now)
	s.changeState(Behind, now)
	s.pass = Pass{
		Files: r.report.Files, Deleted: r.report.Deleted, Failed: len(r.report.Outcome.Failed),
		Bytes: r.report.Bytes, Wire: r.report.Wire, Elapsed: r.elapsed,
	}
	if m.cfg.Once {
		s.done = true
		s.changeState(InStep, now)
		s.pass.Entries = r.report.Entries
		if s.pass.Failed > 0 {
			s.changeState(Failing, now)
		}
		if m.cfg.Listener.InStep != nil {
			m.cfg.Listener.InStep(s.name, s.pass)
		}
	}
}

func (m *Mirror) batchDone(s *slot, r result, now time.Time) {
	if m.cfg.Listener.Batch == nil {
		return
	}
	b := r.job.batch
	rep := BatchReport{
		At: now, Changes: len(b.Items) + len(b.Renames), Files: r.report.Files, Deleted: r.report.Deleted,
		Failed: len(r.report.Outcome.Failed), Bytes: r.report.Bytes, Wire: r.report.Wire,
		Lag: now.Sub(b.Oldest), Elapsed: r.elapsed,
	}
	for _, rn := range b.Renames {
		rep.Paths = append(rep.Paths, rn.To)
	}
	for _, it := range b.Items {
		rep.Paths = append(rep.Paths, it.Path)
	}
	m.cfg.Listener.Batch(s.name, rep)
}

// failed notes that a target as a whole failed.
func (m *Mirror) failed(s *slot, err error, now time.Time) {
	if errors.Is(err, ErrSourceGone) {
		m.fatal = err
		return
	}
	m.note(s, err, now)
	if s.failing.IsZero() {
		s.failing = now
	}
	var te *target.Error
	permanent := errors.As(err, &te) && te.Permanent
	if te != nil && te.Restart {
		s.fullDue(now)
	}
	s.tries++
	switch {
	case errors.Is(err, ErrMaxDelete) && (s.judging || !permanent): // what deletes nothing goes on
		s.refused = s.refused || s.judging
		s.full, s.judging, s.retryAt = s.full && !s.judging, false, time.Time{}
		s.changeState(Waiting, now)
	case m.cfg.Once, permanent:
		s.done = m.cfg.Once
		s.changeState(Stopped, now)
		s.retryAt = time.Time{}
	default:
		s.changeState(Failing, now)
		s.retryAt = now.Add(backoff(s.tries))
	}
	if m.cfg.Listener.Failing != nil {
		m.cfg.Listener.Failing(s.name, err, s.failing, s.retryAt)
	}
}

// note keeps err for the state.
func (m *Mirror) note(s *slot, err error, now time.Time) {
	s.lastErr = err
	s.last.LastErr, s.last.Hint, s.last.LastAt = err.Error(), "", now
	var te *target.Error
	if errors.As(err, &te) {
		s.last.Hint = te.Hint
	}
	s.last.Errors++
}

func (m *Mirror) pathFailed(name string, p tree.Path, err error) {
	if m.cfg.Listener.PathFailed != nil {
		m.cfg.Listener.PathFailed(name, p, err)
	}
}

// backoff is how long to wait after the n-th failure in a row, n ≥ 1: from
// half a second, doubling, up to 30 seconds, with a quarter of jitter.
func backoff(n int) time.Duration {
	d := min(500*time.Millisecond<<min(n-1, 10), 30*time.Second)
	return d - time.Duration(rand.Int64N(int64(d/4)))
}

// settled reports whether there is nothing left to run for, and how it ended.
func (m *Mirror) settled() (bool, error) {
	stopped, failed := 0, false
	for _, s := range m.targets {
		switch {
		case s.done:
			stopped++
			failed = failed || s.status != InStep
		case s.status == Stopped:
			stopped++
			failed = true
		}
	}
	if stopped < len(m.targets) {
		return false, nil
	}
	m.ruleTrouble()
	if !failed && m.ruleErr == "" {
		return true, nil
	}
	for _, s := range m.targets {
		if errors.Is(s.lastErr, ErrMaxDelete) {
			return true, ErrMaxDelete
		}
	}
	return true, ErrOutOfStep
}

// snapshot is the state as the owner sees it.
func (m *Mirror) snapshot() State {
	st := State{
		Source: m.cfg.Source, Entries: m.index.files + m.index.dirs,
		Holding: m.set.Holding(), Rescans: m.rescans,
	}
	if m.watcher != nil {
		st.Watch, st.Watcher = m.watcher.Choice(), m.watcher.Stats()
	}
	for _, s := range m.targets {
		t := s.last
		t.Name, t.Status, t.Since = s.name, s.status, s.since
		if s.status == Failing && s.full && s.busy && s.moves.Load() {
			t.Status = FirstPass // it failed before, and gets somewhere now
		}
		t.Behind, t.Failing = s.queue.Behind(), s.queue.Failing()
		t.Oldest, _ = s.queue.Oldest()
		if s.full && (t.Oldest.IsZero() || s.fullAt.Before(t.Oldest)) {
			t.Oldest = s.fullAt // what the target lacks is not known in detail
		}
		st.Targets = append(st.Targets, t)
	}
	return st
}
