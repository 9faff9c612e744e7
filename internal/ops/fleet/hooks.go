package fleet

import (
	"errors"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/hook"
	"lockstep/internal/ops/report"
)

// hooks are those of one mirror.
type hooks struct {
	cfg     *config.Mirror
	runners map[string]*hook.Runner // by key
}

// openHooks starts the hooks of a mirror; trouble hears of calls that were
// given up.
func openHooks(m *config.Mirror, trouble func(error)) (*hooks, error) {
	set, err := m.Hooks()
	if err != nil {
		return nil, err
	}
	token := ""
	if m.HookTokenFile != "" {
		if token, err = target.Password(m.HookTokenFile); err != nil {
			return nil, err
		}
	}
	h := &hooks{cfg: m, runners: map[string]*hook.Runner{}}
	for _, s := range set {
		h.runners[s.Name] = hook.New(hook.Spec{Name: s.Name, Command: s.Command, URL: s.URL, Token: token,
			Timeout: time.Duration(m.HookTimeout), Retries: m.HookRetries, Trouble: trouble})
	}
	return h, nil
}

// close ends them all, at once.
func (h *hooks) close() {
	var wg sync.WaitGroup
	for _, r := range h.runners {
		wg.Go(r.Close)
	}
	wg.Wait()
}

// listen adds the hooks to l.
func (h *hooks) listen(l *mirror.Listener) {
	if r := h.runners["on_batch"]; r != nil {
		before := l.Batch
		l.Batch = func(name string, b mirror.BatchReport) {
			r.Put(h.batch(name, b))
			before(name, b)
		}
	}
	if r := h.runners["on_in_step"]; r != nil {
		h.inStep(l, r)
	}
	if r := h.runners["on_failing"]; r != nil {
		h.failing(l, r)
	}
}

func (h *hooks) event(what string, at time.Time) hook.Event {
	return hook.Event{Event: what, Mirror: h.cfg.Name, Source: h.cfg.Source, Time: at}
}

// batch is what has arrived at one target.
func (h *hooks) batch(name string, b mirror.BatchReport) hook.Event {
	e := h.event(hook.Batch, b.At)
	for _, p := range b.Paths {
		e.Paths = append(e.Paths, p.String())
	}
	e.More = max(b.Changes-len(b.Paths), 0)
	e.Targets = []hook.Target{{Target: name, State: "arrived", Batches: 1, Changes: b.Changes, Files: b.Files, Deleted: b.Deleted,
		Bytes: b.Bytes, LagMS: float64(b.Lag) / float64(time.Millisecond)}}
	return e
}

// inStep tells r when everything is everywhere.
func (h *hooks) inStep(l *mirror.Listener, r *hook.Runner) {
	before := l.AllInStep
	l.AllInStep = func() {
		e := h.event(hook.InStep, time.Now())
		for _, t := range h.cfg.Targets {
			e.Targets = append(e.Targets, hook.Target{Target: t, State: mirror.InStep.String()})
		}
		r.Put(e)
		if before != nil {
			before()
		}
	}
}

// failing tells r of targets that begin to fail, and that work again. Tries
// that fail for the same reason are told once.
func (h *hooks) failing(l *mirror.Listener, r *hook.Runner) {
	told := map[string]string{} // the error, by target; the owner's goroutine alone gets here
	failing, recovered := l.Failing, l.Recovered
	l.Failing = func(name string, err error, since, next time.Time) {
		if text := err.Error(); told[name] != text {
			told[name] = text
			words := report.Explain(text, "")
			t := hook.Target{Target: name, State: mirror.Failing.String(), Error: tree.Quote(text), Words: words.Words, Next: words.Next}
			switch {
			case errors.Is(err, mirror.ErrMaxDelete):
				t.State = mirror.Waiting.String()
			case next.IsZero():
				t.State = mirror.Stopped.String()
			}
			e := h.event(hook.Failing, time.Now())
			e.Targets = []hook.Target{t}
			r.Put(e)
		}
		if failing != nil {
			failing(name, err, since, next)
		}
	}
	l.Recovered = func(name string) {
		delete(told, name)
		e := h.event(hook.Recovered, time.Now())
		e.Targets = []hook.Target{{Target: name, State: "works again"}}
		r.Put(e)
		if recovered != nil {
			recovered(name)
		}
	}
}
