package watch

import (
	"fmt"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

const (
	// checkEvery is how often, in milliseconds, the root's path is checked. A
	// change of the mount table is noticed at once.
	checkEvery = 1000

	// followEvery is how many checks pass before the mount table is read although
	// it seems not to have changed.
	followEvery = 10
)

// guard checks that the root's path leads to the pinned directory, and follows
// the mounts below it.
type guard struct {
	w       *Watch
	table   int           // mountinfo, which polls as exceptional after a change
	changed chan struct{} // holds a token when follow should look

	known map[tree.Path]int // mount ids; owned by follow
}

func newGuard(w *Watch) (*guard, error) {
	// An os.File would be polled by the runtime too, and the first to poll takes
	// the word of a change away from the other.
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc/self/mountinfo: %w", err)
	}
	g := &guard{w: w, table: fd, changed: make(chan struct{}, 1), known: map[tree.Path]int{}}
	for _, n := range w.below {
		g.known[n.at] = n.id
	}
	g.changed <- struct{}{} // something may have happened since Open looked
	return g, nil
}

func (g *guard) close() { _ = unix.Close(g.table) }

// check ends the watch when the root is gone. It never waits for the consumer.
func (g *guard) check() {
	fds := []unix.PollFd{{Fd: int32(g.table), Events: unix.POLLPRI}, {Fd: int32(g.w.stop), Events: unix.POLLIN}}
	for round := 1; ; round++ {
		_, err := unix.Poll(fds, checkEvery)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			g.w.fail(fmt.Errorf("wait for mounts: %w", err))
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if err := g.w.pin.check(); err != nil {
			g.w.fail(err)
			return
		}
		if fds[0].Revents != 0 || round%followEvery == 0 {
			select {
			case g.changed <- struct{}{}:
			default:
			}
		}
	}
}

// follow keeps the backends in step with the mounts below the root.
func (g *guard) follow() {
	for {
		select {
		case <-g.w.ctx.Done():
			return
		case <-g.changed:
		}
		_, below, err := mountsAt(g.w.pin)
		if err != nil {
			continue // check says more
		}
		now := make(map[tree.Path]int, len(below))
		for _, n := range below {
			now[n.at] = n.id
		}
		for at, id := range g.known {
			if now[at] != id {
				g.w.unmounted(at)
			}
		}
		for _, n := range below {
			if g.known[n.at] != n.id {
				g.w.mounted(n)
			}
		}
		g.known = now
	}
}
