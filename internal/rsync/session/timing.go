package session

import (
	"sync"
	"time"

	"lockstep/internal/rsync/wire"
)

// idleKeepAlive is how long we stay silent at most if no timeout is known;
// before protocol 31 a daemon does not tell its own.
const idleKeepAlive = 20 * time.Second

// longestTimeout is the most that a peer may make us adopt, in seconds.
const longestTimeout = 86400

// pulse watches over the silence on a connection, from both ends.
type pulse struct {
	t       *transport
	w       *wire.Writer
	slow    bool          // we send a list first
	changed chan struct{} // told when timeout was set
	stopped chan struct{} // closed by stop
	once    sync.Once

	mu      sync.Mutex
	timeout time.Duration // 0 is none
}

func newPulse(t *transport, w *wire.Writer, seconds int) *pulse {
	return &pulse{
		t: t, w: w, timeout: time.Duration(min(seconds, longestTimeout)) * time.Second,
		changed: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

// adoptTimeout takes the daemon's timeout if it is shorter than ours
// (rsync-session 5.4).
func (p *pulse) adoptTimeout(seconds int32) {
	if seconds < 1 || seconds > longestTimeout {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := time.Duration(seconds) * time.Second; p.timeout == 0 || t < p.timeout {
		p.timeout = t
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// Timeout is after how long a silence either side gives up, 0 if never: our
// own, or the daemon's if it is shorter and known.
func (p *pulse) Timeout() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.timeout
}

// stop ends keepAlive.
func (p *pulse) stop() { p.once.Do(func() { close(p.stopped) }) }

// keepAlive sends an empty frame whenever nothing was written for half of the
// timeout, until the session ends.
func (p *pulse) keepAlive() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		limit := idleKeepAlive
		if t := p.Timeout(); t > 0 {
			limit = min(limit, t/2)
		}
		idle := p.t.sinceWrite()
		if idle >= limit {
			if p.w.KeepAlive() != nil {
				return
			}
			idle = 0
		}
		timer.Reset(limit - idle)
		select {
		case <-timer.C:
		case <-p.changed:
		case <-p.stopped:
			return
		}
	}
}

// slowStart is by how many times the timeout is longer until the peer has
// answered for the first time: it has nothing to say while our list is on its
// way, and that may take us long without anything to write.
const slowStart = 4

// limitSilence ends the connection when somebody has waited for the peer for
// longer than the timeout and no data went either way, until the returned
// function is called. Our own keep-alives don't count: with a peer that is
// frozen they would go on for ever.
func (p *pulse) limitSilence() func() {
	done, ended := make(chan struct{}), make(chan struct{})
	begin := p.t.heard()
	go func() {
		defer close(ended)
		for {
			wait := time.Second
			if limit := p.Timeout(); limit > 0 {
				if p.slow && p.t.heard() == begin {
					limit *= slowStart
				}
				left := limit - p.t.silence()
				if left <= 0 {
					p.t.end(errTimeout)
					return
				}
				wait = min(wait, left)
			}
			select {
			case <-time.After(wait):
			case <-p.t.ended:
				return
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
