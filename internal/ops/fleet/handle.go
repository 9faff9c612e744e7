package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/report"
)

// defaultBacklog and maxBacklog are how many paths of each target are listed.
const (
	defaultBacklog = 1000
	maxBacklog     = 10_000
)

// usage is a request that names what is not there.
type usage struct{ error }

// Handle carries out a request of the control socket.
func (f *Fleet) Handle(ctx context.Context, r control.Request) control.Reply {
	reply := control.Reply{OK: true}
	units, targets, err := f.meant(r)
	if err == nil {
		switch r.Op {
		case control.OpStatus:
			s := f.Status()
			s.PID = os.Getpid()
			reply.Status = &s
		case control.OpFlush:
			reply.Lagging, err = flush(ctx, units, targets, time.Duration(r.TimeoutMS)*time.Millisecond)
		case control.OpVerified:
			err = verified(units, r)
		case control.OpReload:
			reply.Changes, err = f.opts.Reload()
		case control.OpBacklog:
			reply.Pending, err = backlog(ctx, units, targets, r.Limit)
		case control.OpExplain:
			reply.Explain, err = explain(ctx, units, string(r.Path))
		default:
			err = command(ctx, r.Op, units, targets)
		}
	}
	var bad usage
	switch {
	case err == nil:
		return reply
	case errors.As(err, &bad):
		reply.Code = control.CodeUsage
	case len(reply.Lagging) > 0:
		reply.Code = control.CodeBehind
	default:
		reply.Code = control.CodeFailed
	}
	reply.OK, reply.Error = false, err.Error()
	return reply
}

// verified notes the result of a comparison for status and metrics. One of a
// single target says nothing of the others.
func verified(units []*unit, r control.Request) error {
	switch {
	case r.Mirror == "" || r.Target != "":
		return usage{errors.New("verified: want one mirror with all its targets")}
	case r.Count < 0:
		return usage{fmt.Errorf("count: %d is below 0", r.Count)}
	}
	u, now := units[0], time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.verified, u.differences = &now, r.Count
	return nil
}

// meant are the mirrors that r names, and the target for each of them; none
// means all.
func (f *Fleet) meant(r control.Request) (units []*unit, targets []string, err error) {
	units = f.all()
	if r.Mirror != "" {
		units = slices.DeleteFunc(units, func(u *unit) bool { return u.cfg.Name != r.Mirror })
		if len(units) == 0 {
			return nil, nil, usage{fmt.Errorf("no mirror is called %s", tree.Quote(r.Mirror))}
		}
	}
	if r.Target != "" {
		units = slices.DeleteFunc(units, func(u *unit) bool { return !slices.Contains(u.cfg.Targets, r.Target) })
		if len(units) == 0 {
			return nil, nil, usage{fmt.Errorf("no target is called %s", tree.Quote(r.Target))}
		}
		targets = []string{r.Target}
	}
	return units, targets, nil
}

// flush waits until all that is meant is in step.
func flush(ctx context.Context, units []*unit, targets []string, limit time.Duration) ([]control.Lagging, error) {
	if limit < 0 {
		return nil, usage{errors.New("timeout_ms is below 0")}
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	behind := make([][]control.Lagging, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		wg.Go(func() { behind[i] = u.flush(ctx, targets) })
	}
	wg.Wait()
	lagging := slices.Concat(behind...)
	if len(lagging) == 0 {
		return nil, nil
	}
	var parts []string
	for _, l := range lagging {
		parts = append(parts, fmt.Sprintf("%s of %s is %s", cmp.Or(tree.Quote(l.Target), "every target"), l.Mirror, l.State))
	}
	return lagging, fmt.Errorf("not in step: %s", strings.Join(parts, ", "))
}

// flush waits for one mirror.
func (u *unit) flush(ctx context.Context, targets []string) []control.Lagging {
	m := u.await(ctx)
	if m == nil {
		return u.down(targets)
	}
	err := m.Flush(ctx, targets...)
	var lag *mirror.LagError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &lag):
		return u.down(targets)
	}
	var all []control.Lagging
	for _, t := range lag.Targets {
		l := control.Lagging{Mirror: u.cfg.Name, Target: t.Target, State: t.Status.String(), Behind: t.Behind, Error: t.LastErr}
		if !t.Oldest.IsZero() {
			l.Oldest = &t.Oldest
		}
		if l.State == mirror.InStep.String() {
			l.State = mirror.Behind.String() // what it lacks is not in its queue yet
		}
		if l.Error == "" && lag.Unseen {
			l.Error = "the watcher has not caught up"
		} else if l.Error == "" && lag.Holding > 0 {
			l.Error = lag.Written()
		}
		all = append(all, l)
	}
	return all
}

// down says that the mirror does not run.
func (u *unit) down(targets []string) []control.Lagging {
	u.mu.Lock()
	s := u.own()
	u.mu.Unlock()
	if len(targets) == 0 {
		targets = u.cfg.Targets
	}
	var all []control.Lagging
	for _, t := range targets {
		all = append(all, control.Lagging{Mirror: s.Name, Target: t, State: report.Down, Error: cmp.Or(s.Error, "the mirror is "+s.State)})
	}
	return all
}

// command pauses, resumes or compares.
func command(ctx context.Context, op string, units []*unit, targets []string) error {
	do := map[string]func(*mirror.Mirror, context.Context, ...string) error{
		control.OpPause: (*mirror.Mirror).Pause, control.OpResume: (*mirror.Mirror).Resume, control.OpResync: (*mirror.Mirror).Resync,
	}[op]
	var all []error
	for _, u := range units {
		m := u.running()
		switch {
		case m != nil:
			if err := do(m, ctx, targets...); err != nil {
				all = append(all, fmt.Errorf("mirror %s: %w", u.cfg.Name, err))
			}
		case op == control.OpPause:
			all = append(all, fmt.Errorf("mirror %s does not run", u.cfg.Name))
		default:
			u.again()
		}
	}
	return errors.Join(all...)
}

// backlog lists what is pending.
func backlog(ctx context.Context, units []*unit, targets []string, most int) ([]control.Pending, error) {
	if most < 0 || most > maxBacklog {
		return nil, usage{fmt.Errorf("limit: %d is not within 0 to %d", most, maxBacklog)}
	}
	most = cmp.Or(most, defaultBacklog)
	all := []control.Pending{}
	for _, u := range units {
		m := u.running()
		if m == nil {
			continue
		}
		names := targets
		if len(names) == 0 {
			names = u.cfg.Targets
		}
		for _, name := range names {
			items, err := m.Backlog(ctx, name, most)
			if err != nil {
				return nil, fmt.Errorf("mirror %s: %w", u.cfg.Name, err)
			}
			for _, p := range items {
				all = append(all, pending(u.cfg.Name, name, p))
			}
		}
	}
	return all, nil
}

func pending(name, target string, p change.Pending) control.Pending {
	o := control.Pending{Mirror: name, Target: target, Path: p.Path.String(), Class: p.Class.String(), Since: p.Since, Out: p.Out, Tries: p.Tries, Held: p.Held}
	if p.Class == 0 {
		o.Class, o.From = "rename", p.From.String()
	}
	if !p.Next.IsZero() {
		o.Next = &p.Next
	}
	return o
}

// explain says what becomes of a path in each mirror whose source holds it.
func explain(ctx context.Context, units []*unit, path string) ([]control.Explain, error) {
	if !filepath.IsAbs(path) {
		return nil, usage{fmt.Errorf("%s is not an absolute path", tree.Quote(path))}
	}
	var all []control.Explain
	for _, u := range units {
		rel, inside := below(u.cfg.Source, path)
		if !inside {
			continue
		}
		p, err := tree.Clean(rel)
		if err != nil {
			return nil, usage{err}
		}
		m := u.running()
		if m == nil {
			all = append(all, control.Explain{Mirror: u.cfg.Name, Path: p.String(), Why: "the mirror does not run"})
			continue
		}
		x, err := m.Explain(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("mirror %s: %w", u.cfg.Name, err)
		}
		all = append(all, verdict(u.cfg.Name, x))
	}
	if len(all) == 0 {
		return nil, usage{fmt.Errorf("%s lies in no source", tree.Quote(path))}
	}
	return all, nil
}

// below is path relative to dir, as both are written or with the symlinks of
// the directories above path followed.
func below(dir, path string) (rel string, inside bool) {
	try := func(dir, path string) bool {
		var err error
		rel, err = filepath.Rel(dir, path)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
	}
	if try(dir, path) {
		return rel, true
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", false
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(parent, filepath.Base(path))
	}
	return rel, try(real, path)
}

// verdict puts an explanation into words.
func verdict(name string, x mirror.Explanation) control.Explain {
	o := control.Explain{Mirror: name, Path: x.Path.String(), Mirrored: true, Pending: x.Targets}
	v := x.Verdict
	if v.Rule != nil {
		o.Rule, o.Origin = v.Rule.String(), v.Rule.Origin().String()
		if v.Rule.Origin().File == "" {
			o.Origin = "configuration"
		}
		if v.At != x.Path {
			o.Decided = v.At.String()
		}
	}
	switch {
	case v.Excluded && v.Err != nil:
		o.Mirrored, o.Why = false, "a filter file cannot be used: "+v.Err.Error()
	case v.Excluded && o.Decided != "":
		o.Mirrored, o.Why = false, "a directory above it is excluded by a rule"
	case v.Excluded:
		o.Mirrored, o.Why = false, "a rule excludes it"
	case x.Away:
		o.Mirrored, o.Why = false, "it lies in a file system that is not mounted now; what targets have of it stays"
	case x.Held:
		o.Why = "it is being written, and is sent when it is closed"
	case x.Meta.Exists() && v.Rule != nil:
		o.Why = "a rule includes it"
	case x.Meta.Exists():
		o.Why = "no rule excludes it"
	case x.Err != nil && x.Known:
		o.Why = "it cannot be looked at: " + x.Err.Error()
	default:
		o.Why = "nothing is there; no rule would exclude it"
	}
	return o
}
