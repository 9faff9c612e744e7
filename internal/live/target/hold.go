package target

import (
	"context"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/session"
)

// holder keeps one session open between batches. It is used from the worker's
// goroutine; preparing a session runs in one of its own.
type holder struct {
	ready chan *session.Session // holds the session once it is prepared, nil if that failed
	stop  context.CancelFunc
}

// heldProtocol is the first with frames, which keep a session alive while it
// waits for a file list (rsync-session 2.8).
const heldProtocol = 30

// prepare opens the session for the next batch of the common kind.
func (r *Rsync) prepare(ctx context.Context) {
	r.held.drop()
	if r.protocol != 0 && r.protocol < heldProtocol {
		return
	}
	o := r.options(step{content: true})
	ctx, r.held.stop = context.WithCancel(ctx)
	ready := make(chan *session.Session, 1)
	r.held.ready = ready
	go func() {
		s, err := r.connect(ctx, o, tree.Root)
		if err != nil {
			s = nil // the batch that needs it will see for itself
		}
		ready <- s
	}()
}

// take gives the held session away, nil if there is none that lives.
func (h *holder) take(ctx context.Context) *session.Session {
	if h.ready == nil {
		return nil
	}
	var s *session.Session
	select {
	case s = <-h.ready:
	case <-ctx.Done():
		return nil
	}
	h.ready = nil
	h.stop()
	if s != nil && !s.Alive() {
		s.Close()
		return nil
	}
	return s
}

// drop ends the held session, waiting for one that is being prepared.
func (h *holder) drop() {
	if h.ready == nil {
		return
	}
	h.stop()
	if s := <-h.ready; s != nil {
		s.Close()
	}
	h.ready = nil
}

// open opens a session. If the daemon has no connection to spare, the one we
// hold ourselves makes room.
func (r *Rsync) open(ctx context.Context, o session.Options, dir tree.Path) (*session.Session, error) {
	s, err := r.connect(ctx, o, dir)
	if full(err) && r.held.ready != nil {
		r.held.drop()
		return r.connect(ctx, o, dir)
	}
	return s, err
}

func (r *Rsync) connect(ctx context.Context, o session.Options, dir tree.Path) (*session.Session, error) {
	c, err := session.Connect(ctx, r.ep)
	if err != nil {
		return nil, err
	}
	s, err := c.Start(ctx, o, string(dir))
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}
