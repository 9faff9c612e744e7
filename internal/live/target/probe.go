package target

import (
	"context"
	"errors"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
)

// Answer is what a target says when it is asked whether it would take a mirror.
type Answer struct {
	Protocol int           // that of the session
	Took     time.Duration // to connect, authenticate and agree
}

// Probe runs a session as a mirror does, in which nothing is sent and nothing
// would be changed: it finds out whether the target can be reached, whether the
// password is right and whether the options are taken. Errors are those of
// Full. Whether the module may be written to shows only if the peer says so at
// once.
func (r *Rsync) Probe(ctx context.Context) (Answer, error) {
	began := time.Now()
	root, err := r.src.Open()
	if err != nil {
		return Answer{}, err
	}
	defer root.Close()
	for {
		o := r.options(step{content: true})
		o.DryRun = true
		s, err := r.connect(ctx, o, tree.Root)
		if err == nil {
			r.protocol = s.Protocol()
			_, err = s.Send(ctx, sender.Job{Root: root, Scope: r.src.Scope, List: []sender.Item{{Path: tree.Root}}})
			s.Close()
		}
		var se *session.Error
		switch {
		case err == nil:
			return Answer{Protocol: r.protocol, Took: time.Since(began)}, nil
		case errors.As(err, &se) && r.learn(se):
			continue
		}
		return Answer{}, r.describe(err)
	}
}
