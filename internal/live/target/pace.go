package target

import (
	"context"
	"sync"
	"time"

	"lockstep/internal/live/hours"
)

// pacer slows down reading that is done only to compare: a comparison sends
// next to nothing, so that its bandwidth is that of the disks. It may be used
// from several goroutines.
type pacer struct {
	ctx   context.Context
	rates hours.Rates

	mu   sync.Mutex
	free time.Time // when what was read before has had its time
}

// pace gives a pacer for ctx, nil where nothing is limited.
func (o *Options) pace(ctx context.Context) *pacer {
	if !o.DryRun || len(o.BwLimit) == 0 {
		return nil
	}
	return &pacer{ctx: ctx, rates: o.BwLimit}
}

// read returns when n bytes that were read have had their time.
func (p *pacer) read(n int) {
	if p == nil {
		return
	}
	now := time.Now()
	kib := p.rates.At(now)
	if kib == 0 {
		return
	}
	p.mu.Lock()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(kib<<10) * float64(time.Second)))
	wait := p.free.Sub(now)
	p.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}
