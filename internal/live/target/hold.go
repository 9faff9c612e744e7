package target

import (
	"context"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/session"
)

// heldProtocol is the first with frames, which keep a session alive while it
// waits for a file list (rsync-session 2.8). Below it a connection to a daemon
// is held that is greeted and authenticated, but has not said what it wants.
const heldProtocol = 30

// connAge is how long such a connection is held: a daemon ends it after a
// minute.
const connAge = 45 * time.Second

// warm is what is held ready for the next batch: a session, a connection, or
// nothing because that failed.
type warm struct {
	session *session.Session
	conn    *session.Conn
}

func (w warm) close() {
	if w.session != nil {
		w.session.Close()
	}
	if w.conn != nil {
		w.conn.Close()
	}
}

// holder keeps one session or connection open between batches. It is used from
// the worker's goroutine; what is held belongs to one of its own.
type holder struct {
	ready chan warm     // hands it over once it is prepared; nil if nothing is held
	ended chan struct{} // closed when its goroutine has ended
	stop  context.CancelFunc
}

// keep has prepare make what is to be held, again whenever it has become older
// than maxAge (0 is any age).
func (h *holder) keep(ctx context.Context, maxAge time.Duration, prepare func(context.Context) warm) {
	h.drop()
	ctx, h.stop = context.WithCancel(ctx)
	ready, ended := make(chan warm), make(chan struct{})
	h.ready, h.ended = ready, ended
	go func() {
		defer close(ended)
		for {
			w := prepare(ctx)
			var old <-chan time.Time
			if maxAge > 0 && w.conn != nil {
				old = time.After(maxAge)
			}
			select {
			case ready <- w:
				return
			case <-old:
				w.close()
			case <-ctx.Done():
				w.close()
				return
			}
		}
	}()
}

// take gives away what is held, waiting for it if it is being prepared; the
// zero warm if there is nothing that lives.
func (h *holder) take(ctx context.Context) warm {
	if h.ready == nil {
		return warm{}
	}
	var w warm
	select {
	case w = <-h.ready:
	case <-h.ended:
	case <-ctx.Done():
	}
	h.drop()
	if w.session != nil && !w.session.Alive() || w.conn != nil && !w.conn.Alive() {
		w.close()
		return warm{}
	}
	return w
}

// drop ends what is held, waiting for one that is being prepared.
func (h *holder) drop() {
	if h.ready == nil {
		return
	}
	h.stop()
	<-h.ended
	h.ready = nil
}

// holdsSessions reports whether whole sessions are held, as far as is known.
func (r *Rsync) holdsSessions() bool { return r.protocol == 0 || r.protocol >= heldProtocol }

// prepare opens in advance what the next batch is likely to need. It is held
// until that or Close, whatever becomes of ctx.
func (r *Rsync) prepare(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if r.holdsSessions() {
		o := r.options(step{content: true})
		r.held.keep(ctx, 0, func(ctx context.Context) warm {
			c, err := session.Connect(ctx, r.ep)
			if err != nil {
				return warm{} // the batch that needs it will see for itself
			}
			s, err := c.Start(ctx, o, "")
			if err != nil {
				c.Close()
				return warm{}
			}
			return warm{session: s}
		})
	} else if r.ep.Daemon {
		r.held.keep(ctx, connAge, func(ctx context.Context) warm {
			c, err := session.Connect(ctx, r.ep)
			if err != nil {
				return warm{}
			}
			return warm{conn: c}
		})
	}
}

// open opens a session, over the connection that is held if there is one. If
// the daemon has no connection to spare, the one we hold ourselves makes room.
func (r *Rsync) open(ctx context.Context, o session.Options, dir tree.Path) (*session.Session, error) {
	if !r.holdsSessions() {
		if c := r.held.take(ctx).conn; c != nil {
			s, err := c.Start(ctx, o, string(dir))
			if err == nil {
				return s, nil
			}
			c.Close() // whatever it was, a connection of its own will tell
		}
	}
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
