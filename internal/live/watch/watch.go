package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// maxBatch bounds the events sent at once, so that the consumer can begin
// while more are prepared.
const maxBatch = 4096

// Watch tells of changes below a root until it is closed or cannot go on.
type Watch struct {
	cfg    Config
	pin    *pin
	choice Choice
	events chan []Event

	ctx    context.Context
	cancel context.CancelFunc
	stop   int // eventfd, readable once ctx has ended
	wg     sync.WaitGroup
	done   chan struct{} // closed after everything has ended

	counts struct {
		events, overflows, inKernel, inMemory, watches, unwatched, known, outside, unplaced atomic.Int64
		limit                                                                               atomic.Pointer[string]
		pollers                                                                             atomic.Int64
	}
	queues sync.RWMutex // held for writing while the kernel's queues are closed

	fan *fanotify // nil if not in use
	ino *inotify  // nil if not in use

	below   []nested // the mounts that Open found
	regions regions  // who watches what; owned by Open, then by the guard's follow

	mu  sync.Mutex
	err error // why it had to end
}

// Open arms every directory below c.Root and returns: what changes from then
// on will be told. It ends when ctx does, or on Close.
func Open(ctx context.Context, c Config) (*Watch, error) {
	w, unhook, err := prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	err = w.choose()
	var g *guard
	if err == nil {
		g, err = newGuard(w)
	}
	if err != nil {
		w.cancel()
	} else {
		w.start(g)
	}
	go w.reap(g, unhook)
	if err != nil {
		<-w.done
		return nil, fmt.Errorf("watch %s: %w", tree.Quote(c.Root), err)
	}
	return w, nil
}

// prepare makes a Watch that watches nothing yet. When its context has ended
// reap cleans up, which takes unhook.
func prepare(ctx context.Context, c Config) (w *Watch, unhook func() bool, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	c.setDefaults()
	p, err := pinRoot(c.Root)
	if err != nil {
		return nil, nil, fmt.Errorf("watch: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, nil, fmt.Errorf("watch: eventfd: %w", err)
	}
	w = &Watch{cfg: c, pin: p, stop: stop, events: make(chan []Event),
		done: make(chan struct{}), regions: regions{}}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, context.AfterFunc(w.ctx, w.signalStop), nil
}

func (w *Watch) signalStop() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(w.stop, one[:]) // only full after 2^64-2 of them
}

// start launches the goroutines, but for the readers, which run already. Each
// is owned by w.wg; see the package comment.
func (w *Watch) start(g *guard) {
	if w.fan != nil {
		w.wg.Go(w.fan.run)
	}
	if w.ino != nil {
		w.wg.Go(w.ino.run)
	}
	for _, r := range w.regions {
		if r.poll != nil {
			w.wg.Go(r.poll.run)
		}
	}
	w.wg.Go(g.check)
	w.wg.Go(g.follow) // owns w.regions from here on
}

// reap waits for the end and cleans up.
func (w *Watch) reap(g *guard, unhook func() bool) {
	<-w.ctx.Done()
	w.wg.Wait()
	if !unhook() {
		// The hook has begun: it must be through with the descriptor. It writes
		// once, after which the descriptor is readable.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(w.stop), Events: unix.POLLIN}}, -1)
	}
	if g != nil {
		g.close()
	}
	w.queues.Lock()
	defer w.queues.Unlock()
	if w.fan != nil {
		_ = unix.Close(w.fan.in.fd)
	}
	if w.ino != nil {
		_ = unix.Close(w.ino.in.fd)
	}
	_ = unix.Close(w.stop)
	close(w.events)
	close(w.done)
}

// drain starts reading a kernel queue. It begins before everything is armed, so
// that a large tree which is busy meanwhile does not overflow the queue.
func (w *Watch) drain(in *intake) { w.wg.Go(func() { w.fail(in.run()) }) }

// fail ends the watch because of err; nil is ignored.
func (w *Watch) fail(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	if w.err == nil && w.ctx.Err() == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.cancel()
}

// Events gives batches as they were read. Each slice belongs to the receiver.
// The channel is closed when the watch ends, see Err.
func (w *Watch) Events() <-chan []Event { return w.events }

// Choice is the backend in use, and why.
func (w *Watch) Choice() Choice { return w.choice }

// Err is why the watch ended: nil while it has not, or if Close or its context
// ended it.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close ends the watch and waits until it has ended. It may be called more
// than once. Its error is Err's.
func (w *Watch) Close() error {
	w.cancel()
	<-w.done
	return w.Err()
}

// Stats are the counts at this moment.
func (w *Watch) Stats() Stats {
	c := &w.counts
	s := Stats{
		Events: c.events.Load(), Overflows: c.overflows.Load(), InKernel: c.inKernel.Load(), InMemory: c.inMemory.Load(), Watches: c.watches.Load(), Unwatched: c.unwatched.Load(),
		Known: c.known.Load(), Outside: c.outside.Load(), Unplaced: c.unplaced.Load(),
	}
	if l := c.limit.Load(); l != nil {
		s.Limit = *l
	}
	return s
}

// CatchUp returns once the consumer has received every event of what was
// changed before the call. sighted is false where that says nothing of some
// directories, because they are polled: only reading them tells. It may be
// called from any goroutine but the consumer's.
func (w *Watch) CatchUp(ctx context.Context) (sighted bool, err error) {
	fences, err := w.fence(ctx)
	if err != nil {
		return false, err
	}
	for _, f := range fences {
		select {
		case <-f:
		case <-ctx.Done():
			return false, ctx.Err()
		case <-w.done:
		}
	}
	if w.ctx.Err() != nil {
		return false, errEnded
	}
	return w.counts.pollers.Load() == 0 && w.counts.unwatched.Load() == 0, nil
}

var errEnded = errors.New("the watch has ended")

// fence sets a fence in the queue of each backend.
func (w *Watch) fence(ctx context.Context) (fences []chan struct{}, err error) {
	w.queues.RLock()
	defer w.queues.RUnlock()
	if w.ctx.Err() != nil {
		return nil, errEnded
	}
	var ins []*intake
	if w.fan != nil {
		ins = append(ins, w.fan.in)
	}
	if w.ino != nil {
		ins = append(ins, w.ino.in)
	}
	for _, in := range ins {
		f := make(chan struct{})
		if err := in.fence(ctx, f); err != nil {
			return nil, err
		}
		fences = append(fences, f)
	}
	return fences, nil
}

// Rearm asks Skip again about the directories at and below dir, and returns
// when those that are wanted now are watched. Call it after the rules behind
// Skip have changed, before scanning what they let in.
func (w *Watch) Rearm(dir tree.Path) error {
	if w.ino == nil {
		return nil // fanotify and polling ask Skip at every event and look
	}
	return w.ino.tasks.call(w.ctx, func() { w.ino.rearm(dir) })
}

func (w *Watch) notice(hint, format string, args ...any) {
	if w.cfg.OnNotice != nil {
		w.cfg.OnNotice(Notice{Text: fmt.Sprintf(format, args...), Hint: hint})
	}
}

func (w *Watch) skip(p tree.Path, isDir bool) bool {
	return w.cfg.Skip != nil && p != tree.Root && w.cfg.Skip(p, isDir)
}

// add appends what the consumer wants to know of ev.
func (w *Watch) add(out []Event, ev Event) []Event {
	if ev.Op&Rename != 0 {
		switch from, to := w.skip(ev.From, ev.Dir), w.skip(ev.Path, ev.Dir); {
		case from && to:
			return out
		case from:
			ev.Op, ev.From = ev.Op&^Rename|MovedTo, ""
		case to:
			ev.Op, ev.Path, ev.From = ev.Op&^Rename|MovedFrom, ev.From, ""
		}
	} else if w.skip(ev.Path, ev.Dir) {
		return out
	}
	ev.Op &= w.cfg.Events | unasked | Nameless
	if ev.Op&^Nameless == 0 || len(out) > 0 && out[len(out)-1] == ev {
		return out
	}
	return append(out, ev)
}

// overflow appends word that events were lost.
func (w *Watch) overflow(out []Event) []Event {
	w.counts.overflows.Add(1)
	return append(out, Event{Op: Overflow, Dir: true})
}

// send hands a batch over, doing tasks while the consumer is busy. It reports
// false when the watch has ended.
func (w *Watch) send(batch []Event, t tasks) bool {
	if len(batch) == 0 {
		return w.ctx.Err() == nil
	}
	for {
		select {
		case w.events <- batch:
			w.counts.events.Add(int64(len(batch)))
			return true
		case task := <-t:
			task()
		case <-w.ctx.Done():
			return false
		}
	}
}

// tasks are done by the goroutine that owns a backend.
type tasks chan func()

// call has f done and waits for that. It fails when ctx ends first.
func (t tasks) call(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	select {
	case t <- func() { f(); close(ran) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-ran:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
