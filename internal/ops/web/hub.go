package web

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"time"

	"lockstep/internal/ops/report"
)

// How often things happen, and how much is kept.
const (
	every      = time.Second     // between two snapshots
	shown      = 5 * time.Minute // of which the sparkline tells
	samples    = int(shown / (2 * every))
	writeTime  = 10 * time.Second // within which a browser takes a rendering
	again      = time.Second      // after which a browser that was cut off tries again
	maxStreams = 64
	shownMost  = 8   // changes listed
	keptMost   = 200 // changes looked at for their lag
)

// hub takes the snapshots and hands renderings to the browsers.
type hub struct {
	take   func() report.Status
	recent func(most int) []report.Change
	stop   chan struct{}
	once   sync.Once
	done   chan struct{}

	mu      sync.Mutex
	now     report.Status
	history map[key]*series
	turn    int
	taken   time.Time     // when that was
	text    []byte        // the newest rendering
	newer   chan struct{} // closed when there is a newer one
	streams int
}

// key names a target of a mirror.
type key struct{ mirror, target string }

// series is what a target's numbers were.
type series struct {
	lag   []float64 // seconds, the oldest first, one every two seconds
	bytes []int64   // content sent, of the last few seconds, one a second
	seen  bool
}

func newHub(take func() report.Status, recent func(int) []report.Change) *hub {
	if recent == nil {
		recent = func(int) []report.Change { return nil }
	}
	h := &hub{take: take, recent: recent, stop: make(chan struct{}), done: make(chan struct{}),
		history: map[key]*series{}, newer: make(chan struct{})}
	h.sample(time.Now())
	go h.run()
	return h
}

// run takes a snapshot every now and then.
func (h *hub) run() {
	defer close(h.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-h.stop:
			return
		case now := <-tick.C:
			h.sample(now)
		}
	}
}

func (h *hub) close() { h.once.Do(func() { close(h.stop) }) }
func (h *hub) wait()  { <-h.done }

// rateSpan is how many seconds a throughput is taken over.
const rateSpan = 5

// sample takes a snapshot, adds it to the history and renders.
func (h *hub) sample(now time.Time) {
	s := h.take()
	changes := h.recent(keptMost)
	h.mu.Lock()
	defer h.mu.Unlock()
	lags := lagsSince(changes, h.taken)
	h.now, h.taken = s, now
	for _, old := range h.history {
		old.seen = false
	}
	for i := range s.Mirrors {
		for _, t := range s.Mirrors[i].Targets {
			k := key{s.Mirrors[i].Name, t.Target}
			one := h.history[k]
			if one == nil {
				one = &series{}
				h.history[k] = one
			}
			one.seen = true
			one.add(t, lags[k], h.turn%2 == 0)
		}
	}
	for k, old := range h.history {
		if !old.seen {
			delete(h.history, k)
		}
	}
	h.turn++
	text, err := render(newView(s, h.history, changes[:min(len(changes), shownMost)], now))
	if err != nil || bytes.Equal(text, h.text) {
		return // a template that fails does so in the tests
	}
	h.text = text
	close(h.newer)
	h.newer = make(chan struct{})
}

// lagsSince are the largest lags of what has arrived since then, in seconds.
func lagsSince(changes []report.Change, then time.Time) map[key]float64 {
	lags := map[key]float64{}
	for _, c := range changes {
		for _, a := range c.Arrived {
			if a.At.After(then) {
				k := key{c.Mirror, a.Target}
				lags[k] = max(lags[k], a.Lag.Seconds())
			}
		}
	}
	return lags
}

// add takes in a target's numbers: its lag now, or that of what has arrived
// since the last time, whatever is larger.
func (s *series) add(t report.Target, arrived float64, fresh bool) {
	lag := max(t.LagSeconds, arrived)
	if fresh || len(s.lag) == 0 {
		s.lag = append(s.lag, lag)
	} else {
		s.lag[len(s.lag)-1] = max(s.lag[len(s.lag)-1], lag)
	}
	s.lag = s.lag[max(0, len(s.lag)-samples):]
	if n := len(s.bytes); n > 0 && t.Bytes < s.bytes[n-1] {
		s.bytes = nil // the mirror has started again
	}
	s.bytes = append(s.bytes, t.Bytes)
	s.bytes = s.bytes[max(0, len(s.bytes)-rateSpan-1):]
}

// rate is how many bytes a second were sent lately.
func (s *series) rate() float64 {
	n := len(s.bytes)
	if n < 2 {
		return 0
	}
	return float64(s.bytes[n-1]-s.bytes[0]) / (float64(n-1) * every.Seconds())
}

// view is the newest snapshot, to be shown now.
func (h *hub) view() view {
	changes := h.recent(shownMost)
	h.mu.Lock()
	defer h.mu.Unlock()
	return newView(h.now, h.history, changes, time.Now())
}

func (h *hub) status() report.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// stream keeps one browser up to date until it goes away.
func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		http.Error(w, "too many browsers are looking", http.StatusServiceUnavailable)
		return
	}
	defer h.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	if _, err := fmt.Fprintf(w, "retry:%d\n", again.Milliseconds()); err != nil {
		return
	}
	for {
		h.mu.Lock()
		text, newer := h.text, h.newer
		h.mu.Unlock()
		if out.SetWriteDeadline(time.Now().Add(writeTime)) != nil || !send(w, text) || out.Flush() != nil {
			return
		}
		select {
		case <-newer:
		case <-h.stop:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// send writes text as one event (WHATWG HTML, 9.2.5): each line is a field.
func send(w http.ResponseWriter, text []byte) bool {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		b.WriteString("data:")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err == nil
}

func (h *hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= maxStreams {
		return false
	}
	h.streams++
	return true
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
}
