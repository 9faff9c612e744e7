package session

import (
	"errors"
	"time"
)

// bucket is a token bucket: it lets rate bytes a second through.
type bucket struct {
	now   func() int // the rate at this moment, KiB a second; nil if it does not change
	rate  float64    // bytes a second
	level float64    // bytes that may go at once; below 0: to be waited for
	last  time.Time
}

// burst is how much unused bandwidth is saved up, and how long a chunk may
// take.
const burst = 100 * time.Millisecond

func newBucket(bytesPerSecond int64) *bucket {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &bucket{rate: float64(bytesPerSecond), last: time.Now()}
}

// newVariable is a bucket whose rate changes.
func newVariable(now func() int) *bucket { return &bucket{now: now, last: time.Now()} }

// take returns the part of p that may be written now, after waiting for it; ended
// stops the waiting.
func (b *bucket) take(p []byte, ended <-chan struct{}) ([]byte, error) {
	now := time.Now()
	if b.now != nil {
		if b.rate = float64(b.now()) * 1024; b.rate == 0 {
			b.level, b.last = 0, now
			return p, nil
		}
	}
	limit := b.rate * burst.Seconds()
	b.level = min(limit, b.level+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	p = p[:min(len(p), max(1, int(limit)))]
	b.level -= float64(len(p))
	if b.level >= 0 {
		return p, nil
	}
	timer := time.NewTimer(time.Duration(-b.level / b.rate * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return p, nil
	case <-ended:
		return nil, errors.New("ended while waiting for bandwidth")
	}
}
