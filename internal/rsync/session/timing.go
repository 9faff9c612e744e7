package session

import "time"

// idleKeepAlive is how long we stay silent at most if no timeout is known;
// before protocol 31 a daemon does not tell its own.
const idleKeepAlive = 20 * time.Second

// longestTimeout is the most that a peer may make us adopt, in seconds.
const longestTimeout = 86400

// adoptTimeout takes the daemon's timeout if it is shorter than ours
// (rsync-session 5.4).
func (s *Session) adoptTimeout(seconds int32) {
	if seconds < 1 || seconds > longestTimeout {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := time.Duration(seconds) * time.Second; s.timeout == 0 || t < s.timeout {
		s.timeout = t
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// Timeout is after how long a silence either side gives up, 0 if never: our
// own, or the daemon's if it is shorter and known.
func (s *Session) Timeout() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timeout
}

// keepAlive sends an empty frame whenever nothing was written for half of the
// timeout, until the session ends.
func (s *Session) keepAlive() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		limit := idleKeepAlive
		if t := s.Timeout(); t > 0 {
			limit = min(limit, t/2)
		}
		idle := s.t.sinceWrite()
		if idle >= limit {
			if s.w.KeepAlive() != nil {
				return
			}
			idle = 0
		}
		timer.Reset(limit - idle)
		select {
		case <-timer.C:
		case <-s.changed:
		case <-s.stopped:
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
func (s *Session) limitSilence() func() {
	done, ended := make(chan struct{}), make(chan struct{})
	begin := s.t.heard()
	go func() {
		defer close(ended)
		for {
			wait := time.Second
			if limit := s.Timeout(); limit > 0 {
				if s.t.heard() == begin {
					limit *= slowStart
				}
				left := limit - s.t.silence()
				if left <= 0 {
					s.t.end(errTimeout)
					return
				}
				wait = min(wait, left)
			}
			select {
			case <-time.After(wait):
			case <-s.t.ended:
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
