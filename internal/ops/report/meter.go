package report

import (
	"sync"
	"time"
)

// Meter counts what happened within the last minute, by name. It is safe for
// concurrent use.
type Meter struct {
	mu    sync.Mutex
	rings map[string]*ring
}

// ring has a count for each second of the last minute.
type ring struct {
	counts [60]int
	last   int64 // the newest second, as unix time
}

// Add counts one.
func (m *Meter) Add(name string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rings == nil {
		m.rings = map[string]*ring{}
	}
	r := m.rings[name]
	if r == nil {
		r = &ring{last: at.Unix()}
		m.rings[name] = r
	}
	r.advance(at.Unix())
	r.counts[r.last%60]++
}

// LastMinute is the count of the minute before at.
func (m *Meter) LastMinute(name string, at time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rings[name]
	if r == nil {
		return 0
	}
	r.advance(at.Unix())
	sum := 0
	for _, n := range r.counts {
		sum += n
	}
	return sum
}

// advance forgets what is older than a minute.
func (r *ring) advance(second int64) {
	if second-r.last >= 60 {
		r.counts = [60]int{}
		r.last = second
	}
	for r.last < second {
		r.last++
		r.counts[r.last%60] = 0
	}
}
