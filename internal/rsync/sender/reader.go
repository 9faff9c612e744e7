package sender

import (
	"context"
	"sync"
	"sync/atomic"

	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/wire"
)

// The bounds of the queue between reader and main.
const (
	queueLen    = 64       // batches
	batchLen    = 32       // requests that have arrived together
	queueWeight = 16 << 20 // bytes; a single request may be heavier
	spareSums   = 8
)

// reader takes requests off the stream until the goodbye.
type reader struct {
	dec   decoder
	queue chan []*request // closed at the end, like ended; err is set before
	ended chan struct{}
	err   error

	// last is the number of DONEs after which nothing comes; 0 while main
	// cannot tell. It is set before the peer can know that there are that many.
	last atomic.Int64

	succeeded *Succeeded

	mu     sync.Mutex
	weight int64
	lifted chan struct{} // holds a token after weight went down
}

func newReader(r *wire.Reader, p *Params) *reader {
	return &reader{
		dec:    decoder{r: r, params: p, spare: make(chan *delta.Sums, spareSums)},
		queue:  make(chan []*request, queueLen),
		ended:  make(chan struct{}),
		lifted: make(chan struct{}, 1),

		succeeded: p.Succeeded,
	}
}

// run is the reader goroutine. It hands over together what has arrived
// together. After the end of ctx it goes on reading until the stream ends: the
// messages in it are still wanted.
func (r *reader) run(ctx context.Context) {
	defer close(r.ended)
	defer close(r.queue)
	var batch []*request
	for dones := int64(0); ; {
		q := new(request)
		r.err = r.dec.next(q)
		for _, s := range r.succeeded.take() { // said before q, or in the midst of it
			batch = append(batch, &request{kind: succeeded, ndx: s.index, at: s.at})
		}
		if r.err != nil {
			r.hand(ctx, &batch)
			return
		}
		r.lift(ctx, q.weight(), &batch)
		batch = append(batch, q)
		if q.kind == done {
			dones++
		}
		last := dones > 0 && dones == r.last.Load()
		if last || len(batch) == batchLen || r.dec.r.Buffered() == 0 {
			r.hand(ctx, &batch)
		}
		if last {
			return
		}
	}
}

// hand gives a batch to main, unless main is gone.
func (r *reader) hand(ctx context.Context, batch *[]*request) {
	if len(*batch) == 0 {
		return
	}
	select {
	case r.queue <- *batch:
	case <-ctx.Done():
	}
	*batch = nil
}

// lift waits until a request of weight w may be queued: the others leave room
// for it, or there are none. Main must have all others for that.
func (r *reader) lift(ctx context.Context, w int64, batch *[]*request) {
	for w > 0 && ctx.Err() == nil {
		r.mu.Lock()
		if r.weight == 0 || r.weight+w <= queueWeight {
			r.weight += w
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		r.hand(ctx, batch)
		select {
		case <-r.lifted:
		case <-ctx.Done():
		}
	}
}

// drop is main's word that it is through with a request.
func (r *reader) drop(q *request) {
	if w := q.weight(); w > 0 {
		r.mu.Lock()
		r.weight -= w
		r.mu.Unlock()
		select {
		case r.lifted <- struct{}{}:
		default:
		}
	}
	if q.sums != nil {
		select {
		case r.dec.spare <- q.sums:
		default:
		}
		q.sums = nil
	}
}
