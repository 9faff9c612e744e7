package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
)

// Mirror is one source with its targets. Make it with New, run it once.
type Mirror struct {
	cfg     Config
	src     target.Source
	targets []*slot
	states  chan chan State
	asks    chan func()   // carried out by the owner, see ask
	owned   chan struct{} // closed when the owner begins
	ended   chan struct{}
	total   atomic.Int64 // entries of the source as of the last scan, 0 before it

	// What follows belongs to the owner goroutine.
	set      *change.Set
	index    *index
	watcher  *watch.Watch
	listens  bool // a new directory is watched some time after it was made: what it held until then shows nowhere
	polls    bool // what comes and goes between two polls shows only in its directory's times
	scanning bool
	scanned  bool                       // the index is complete
	rescan   bool                       // one more scan is due after the running one
	unnamed  map[tree.Inode]watch.Event // about files whose names are not known before the first scan ends
	listings chan listing
	results  chan result
	rescans  int
	recent   map[tree.Path]time.Time // paths that were looked at lately, by us or by a target
	inBatch  time.Time               // when Drain may next run, with BatchDelay
	fatal    error
	ruleErr  string // last told
	flushes  []*flush
	allThere bool // every target was in step when that was last looked at
}

// rootCheck is how often the source's root is checked and held files are
// looked at.
const rootCheck = time.Second

// A path that was looked at may turn out to lie below a directory that had
// been renamed by then, of which the kernel tells only later: what was seen, or
// was not there, belonged to something else. It is remembered for this long.
const recently = 5 * time.Second

// maxMergeFile is the largest per-directory filter file, in bytes.
const maxMergeFile = 1 << 20

// New checks cfg and prepares a mirror; nothing is watched or sent yet.
func New(cfg Config) (*Mirror, error) {
	if cfg.DryRun {
		cfg.Once = true
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	root, err := walk.OpenRoot(cfg.Source)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	defer root.Close()
	m := &Mirror{
		cfg:      cfg,
		src:      target.Source{Dir: cfg.Source, Pin: root.Inode(), Away: target.NewAway(), Writing: &target.Writing{}},
		states:   make(chan chan State),
		asks:     make(chan func()),
		owned:    make(chan struct{}),
		ended:    make(chan struct{}),
		set:      change.NewSet(cfg.eventSet()),
		index:    newIndex(),
		listings: make(chan listing, 64),
		results:  make(chan result),
		recent:   map[tree.Path]time.Time{},
		unnamed:  map[tree.Inode]watch.Event{},
	}
	m.src.Scope = cfg.Rules.Scope(m.readMerge)
	ts, err := cfg.openTargets(m.src)
	if err != nil {
		return nil, err
	}
	for i, t := range ts {
		m.targets = append(m.targets, newSlot(cfg.Targets[i], t, cfg.MaxDelete))
	}
	return m, nil
}

// readMerge reads a per-directory filter file of the source.
func (m *Mirror) readMerge(dir tree.Path, name string) ([]byte, error) {
	root, err := m.src.Open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return walk.ReadFile(root, dir.Join(name), maxMergeFile)
}

// Run mirrors until ctx ends, which is no error, or until it cannot go on. It
// returns after everything that it started has ended.
func (m *Mirror) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer close(m.ended)
	if !m.cfg.Once {
		if err := m.watch(ctx); err != nil {
			return err
		}
		defer m.watcher.Close()
	}
	m.absent()
	for _, s := range m.targets {
		s.start(ctx, m)
	}
	if !m.cfg.Once {
		m.scan(ctx)
	}
	close(m.owned)
	err := m.own(ctx)
	cancel()
	for _, s := range m.targets {
		s.wait(m.results)
	}
	for m.scanning { // let the scanner finish
		l := <-m.listings
		m.scanning = !l.done
	}
	return err
}

// watch arms every directory of the source.
func (m *Mirror) watch(ctx context.Context) error {
	w, err := watch.Open(ctx, watch.Config{
		Root: m.cfg.Source, Backend: m.cfg.Watch, PollInterval: m.cfg.PollInterval,
		Events: m.cfg.Events, Skip: m.skip(), OnNotice: m.notice,
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", tree.Quote(m.cfg.Source), err)
	}
	m.watcher = w
	m.polls = w.Choice().Backend == watch.Poll
	m.listens = w.Choice().Backend == watch.Inotify
	if m.cfg.Listener.Watching != nil {
		m.cfg.Listener.Watching(w.Choice())
	}
	return nil
}

// skip says which names the watcher need not tell about. A file that is
// excluded still counts for its directory's times.
func (m *Mirror) skip() func(p tree.Path, isDir bool) bool {
	if m.cfg.Rules == nil {
		return nil
	}
	return func(p tree.Path, isDir bool) bool { return isDir && m.src.Scope.Hidden(p, true) }
}

func (m *Mirror) notice(n watch.Notice) {
	if m.cfg.Listener.Notice != nil {
		m.cfg.Listener.Notice(n.Text, n.Hint)
	}
}

// own is the owner goroutine's loop.
func (m *Mirror) own(ctx context.Context) error {
	var events <-chan []watch.Event
	if m.watcher != nil {
		events = m.watcher.Events()
	}
	tick := time.NewTicker(rootCheck)
	defer tick.Stop()
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for {
		m.advance(ctx, time.Now())
		if m.fatal != nil {
			return m.fatal
		}
		if done, err := m.settled(); done {
			return err
		}
		if d, ok := m.sleep(time.Now()); ok {
			wake.Reset(d)
		}
		select {
		case <-ctx.Done():
			return nil
		case evs, ok := <-events:
			if !ok {
				if ctx.Err() != nil {
					return nil
				}
				return m.watchEnded()
			}
			m.take(evs, time.Now())
			m.shield()
		case l := <-m.listings:
			m.listed(ctx, l)
		case r := <-m.results:
			m.finished(r)
		case <-tick.C:
			if err := m.check(time.Now()); err != nil {
				return err
			}
		case reply := <-m.states:
			reply <- m.snapshot()
		case do := <-m.asks:
			do()
		case <-wake.C:
		}
	}
}

// watchEnded says why the watcher closed its channel.
func (m *Mirror) watchEnded() error {
	err := m.watcher.Err()
	if errors.Is(err, watch.ErrRootGone) {
		return fmt.Errorf("%w (%v)", ErrSourceGone, err)
	}
	if err == nil {
		err = errors.New("the watcher ended")
	}
	return fmt.Errorf("watch %s: %w", tree.Quote(m.cfg.Source), err)
}

// take passes events to the set.
func (m *Mirror) take(evs []watch.Event, now time.Time) {
	for _, ev := range evs {
		if ev.Op&watch.Nameless != 0 {
			m.nameless(ev, now)
		}
		if ev.Op&watch.Nameless == 0 || !ev.Path.IsRoot() {
			m.set.Event(ev, now)
		}
		m.mounts(ev)
		if f := m.cfg.Listener.Event; f != nil && ev.Op&watch.Overflow == 0 && !m.src.Scope.Hidden(ev.Path, ev.Dir) {
			f(ev)
		}
	}
}

// nameless passes on an event about a file under all its names, or keeps it for
// when they are known.
func (m *Mirror) nameless(ev watch.Event, now time.Time) {
	if !m.scanned {
		ev.Op |= m.unnamed[ev.Inode].Op
		m.unnamed[ev.Inode] = ev
		return
	}
	for _, p := range m.index.named(ev.Inode) {
		named := ev
		named.Path = p
		m.set.Event(named, now)
	}
}

// mounts keeps account of file systems within the source: one that is
// unmounted is out of sight, not deleted.
func (m *Mirror) mounts(ev watch.Event) {
	switch {
	case ev.Op&watch.Unmount != 0:
		m.src.Away.Add(ev.Path)
		m.notice(watch.Notice{
			Text: fmt.Sprintf("the file system at %s in the source was unmounted: what it held stays on the targets", ev.Path),
		})
	case ev.Dir && ev.Op&(watch.MovedTo|watch.Found|watch.Create) != 0 && m.src.Away.Drop(ev.Path):
	}
}

// absent notes the file systems that belong into the source and are not
// mounted from the start.
func (m *Mirror) absent() {
	for _, at := range watch.Absent(m.cfg.Source, m.cfg.Fstab) {
		m.src.Away.Add(at)
		m.notice(watch.Notice{
			Text: fmt.Sprintf("the file system for %s in the source is not mounted: what targets hold of it stays", at),
			Hint: "mount " + tree.Quote(filepath.Join(m.cfg.Source, string(at))),
		})
	}
}

// check looks once a second whether the source is still what it was, and
// whether files held back are still being written.
func (m *Mirror) check(now time.Time) error {
	root, err := m.src.Open()
	if err != nil {
		if errors.Is(err, target.ErrSourceGone) {
			return err
		}
		return nil // tried again next time; every piece of work opens the root itself
	}
	defer root.Close()
	m.ruleTrouble()
	m.release(root, m.set.HeldPaths())
	maps.DeleteFunc(m.recent, func(_ tree.Path, at time.Time) bool { return now.Sub(at) > recently })
	for _, s := range m.targets {
		s.swept.forget(now)
	}
	return nil
}

// ruleTrouble tells the operator of per-directory filter files that cannot be
// used: what they govern is left alone, at the targets too.
func (m *Mirror) ruleTrouble() {
	err := m.src.Scope.Err()
	if err == nil || err.Error() == m.ruleErr {
		return
	}
	m.ruleErr = err.Error()
	m.notice(watch.Notice{Text: "filter rules: " + m.ruleErr + "; what they govern is neither sent nor deleted"})
}

// shield keeps the files on hold from full passes that are running.
func (m *Mirror) shield() {
	if slices.ContainsFunc(m.targets, func(s *slot) bool { return s.busy && s.full }) {
		m.src.Writing.Hold(m.set.HeldPaths())
	}
}

// probe ends the hold of what was just put on hold but is not open for writing:
// what is not a regular file, or has a second name, was not made by opening it.
func (m *Mirror) probe(root *walk.Root, ps []change.Probe) {
	for _, p := range ps {
		meta, err := root.Lstat(p.Path)
		if err == nil && meta.Kind == tree.File && (p.Found && !idle(root, p.Path) || !p.Found && !meta.Linked()) {
			continue
		}
		m.set.Release(p.Path)
	}
}

// release ends the hold of files that nobody is writing: their close went by
// unseen.
func (m *Mirror) release(root *walk.Root, ps []tree.Path) {
	for _, p := range ps {
		if meta, err := root.Lstat(p); err != nil || meta.Kind != tree.File || idle(root, p) {
			m.set.Release(p)
		}
	}
}

// idle reports whether it is certain that nobody has p open for writing. To
// find out it takes a lease for some microseconds, in which a process that
// opens the file with O_NONBLOCK for writing is refused: it is asked only where
// no event can tell.
func idle(root *walk.Root, p tree.Path) bool {
	busy, err := root.Busy(p)
	return err == nil && !busy
}

// advance settles what can be settled and hands work to idle targets.
func (m *Mirror) advance(ctx context.Context, now time.Time) {
	if m.watcher != nil && m.scanned {
		m.settle(ctx, now)
	}
	m.flushed(ctx, now)
	all := true
	for _, s := range m.targets {
		m.feed(s, now)
		all = all && s.status == InStep
	}
	if all && !m.allThere && m.cfg.Listener.AllInStep != nil {
		m.cfg.Listener.AllInStep()
	}
	m.allThere = all
}

// sleep is how long nothing needs to be done unless something comes in.
func (m *Mirror) sleep(now time.Time) (time.Duration, bool) {
	var next time.Time
	note := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	note(m.inBatch)
	for _, s := range m.targets {
		note(s.due())
	}
	if next.IsZero() {
		return 0, false
	}
	return max(next.Sub(now), time.Millisecond), true
}

// Last is the state in which the mirror ended. It waits for the end of Run.
func (m *Mirror) Last() State {
	<-m.ended
	return m.snapshot()
}

// State takes a snapshot; before Run and after it there is none.
func (m *Mirror) State() State {
	reply := make(chan State, 1)
	select {
	case m.states <- reply:
		return <-reply
	case <-m.ended:
		return State{Source: m.cfg.Source}
	case <-time.After(time.Second):
		return State{Source: m.cfg.Source}
	}
}
