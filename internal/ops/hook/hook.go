// Package hook tells somebody else what a mirror does: a command that gets a
// JSON object on standard input, or an HTTP server that gets it as a POST.
//
// For each hook at most one call is under way. What happens meanwhile is put
// together, and the newest state wins: whoever is called hears of every target
// at most once, with what it is now and what has come together for it. A call
// that fails is tried again, with what has come since.
//
// No shell is involved unless the command names one. A command is killed with
// everything it started when its time is over.
//
// A Runner has one goroutine. Put never blocks and may be called from several
// goroutines.
package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/fs/tree"
)

// The events.
const (
	Batch     = "batch"
	InStep    = "in-step"
	Failing   = "failing"
	Recovered = "recovered"
)

// maxPaths bounds the paths that one call names.
const maxPaths = 100

// Event is what a hook is told.
type Event struct {
	Event   string    `json:"event" doc:"batch, in-step, failing or recovered; of what was put together the newest"`
	Mirror  string    `json:"mirror" doc:"the mirror"`
	Source  string    `json:"source" doc:"its source"`
	Time    time.Time `json:"time" doc:"when the newest of it happened"`
	Targets []Target  `json:"targets" doc:"one object for each target that it is about"`
	Paths   []string  `json:"paths,omitempty" doc:"paths that arrived, at most 100, quoted where they have to be"`
	More    int       `json:"more,omitempty" doc:"how many arrived besides those"`
}

// Target is what happened to one target.
type Target struct {
	Target  string  `json:"target" doc:"the target as configured"`
	State   string  `json:"state" doc:"in step, arrived, failing, waiting, stopped or works again"`
	Batches int     `json:"batches,omitempty" doc:"batches that arrived"`
	Changes int     `json:"changes,omitempty" doc:"paths brought in step"`
	Files   int     `json:"files,omitempty" doc:"files sent"`
	Deleted int     `json:"deleted,omitempty" doc:"entries removed"`
	Bytes   int64   `json:"bytes,omitempty" doc:"bytes of content sent"`
	LagMS   float64 `json:"lag_ms,omitempty" doc:"milliseconds from a change to its arrival, the longest"`
	Error   string  `json:"error,omitempty" doc:"what went wrong"`
	Words   string  `json:"words,omitempty" doc:"what that means"`
	Next    string  `json:"next,omitempty" doc:"what to do about it"`
}

// merge puts what happened later into e.
func (e *Event) merge(later Event) {
	e.Event, e.Time = later.Event, later.Time
	for _, p := range later.Paths {
		switch {
		case slices.Contains(e.Paths, p):
		case len(e.Paths) < maxPaths:
			e.Paths = append(e.Paths, p)
		default:
			e.More++
		}
	}
	e.More += later.More
	for _, t := range later.Targets {
		i := slices.IndexFunc(e.Targets, func(o Target) bool { return o.Target == t.Target })
		if i < 0 {
			e.Targets = append(e.Targets, t)
			continue
		}
		o := e.Targets[i]
		t.Batches, t.Changes, t.Files, t.Deleted = t.Batches+o.Batches, t.Changes+o.Changes, t.Files+o.Files, t.Deleted+o.Deleted
		t.Bytes, t.LagMS = t.Bytes+o.Bytes, max(t.LagMS, o.LagMS)
		e.Targets[i] = t
	}
}

// Spec says who is called, and how patiently.
type Spec struct {
	Name    string   // for messages: on_batch
	Command []string // the program and its arguments; or
	URL     string   // where to POST
	Token   string   // for a header "Authorization: Bearer"; "" is none
	Timeout time.Duration
	Retries int // further tries after one that failed
	// Trouble hears of calls that were given up. It must not block for long.
	Trouble func(error)
}

// Pauses between two tries.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// grace is how long a call that is under way may go on after Close.
const grace = 5 * time.Second

// maxOutput bounds what is kept of what a command or a server says.
const maxOutput = 2048

// Runner calls one hook.
type Runner struct {
	spec  Spec
	stop  chan struct{} // closed by Close
	done  chan struct{}
	wake  chan struct{} // there is something to tell; room for one
	close sync.Once

	mu      sync.Mutex
	pending *Event
}

// New starts a runner.
func New(s Spec) *Runner {
	r := &Runner{spec: s, stop: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go r.run()
	return r
}

// Put has the hook told of e.
func (r *Runner) Put(e Event) {
	first := Event{Mirror: e.Mirror, Source: e.Source}
	first.merge(e) // bounds the paths, and shares nothing with e
	r.mu.Lock()
	if r.pending == nil {
		r.pending = &first
	} else {
		r.pending.merge(e)
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close ends the runner: a call that is under way may end in time, nothing new
// is begun.
func (r *Runner) Close() {
	r.close.Do(func() { close(r.stop) })
	<-r.done
}

// run calls as long as there is something to tell.
func (r *Runner) run() {
	defer close(r.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // after the end a call has its grace
		<-r.stop
		select {
		case <-time.After(grace):
			cancel()
		case <-r.done:
		}
	}()
	for {
		select {
		case <-r.stop:
			return
		case <-r.wake:
		}
		r.deliver(ctx)
	}
}

// take takes what is to be told, together with what could not be told before.
func (r *Runner) take(failed *Event) *Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.pending
	r.pending = nil
	if failed != nil && e != nil {
		failed.merge(*e)
	}
	if failed != nil {
		return failed
	}
	return e
}

// deliver tells what is pending, and tries again as often as it may. Whatever
// comes meanwhile begins the count anew.
func (r *Runner) deliver(ctx context.Context) {
	e := r.take(nil)
	pause := firstPause
	for tries := 0; e != nil; tries++ {
		err := r.call(ctx, *e)
		if err == nil {
			e, tries = r.take(nil), -1
			pause = firstPause
			continue
		}
		if tries >= r.spec.Retries || ctx.Err() != nil {
			if r.spec.Trouble != nil {
				r.spec.Trouble(fmt.Errorf("hook %s: %w", r.spec.Name, err))
			}
			return
		}
		select {
		case <-r.stop:
			return
		case <-time.After(pause):
		case <-r.wake:
			tries = -1
		}
		pause = min(2*pause, maxPause)
		e = r.take(e)
	}
}

// call tells e once.
func (r *Runner) call(ctx context.Context, e Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.spec.Timeout)
	defer cancel()
	if r.spec.URL != "" {
		err = r.post(ctx, text)
	} else {
		err = r.execute(ctx, e, text)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not done within %v", r.spec.Timeout)
	}
	return err
}

// post sends text; anything but a status of 2xx is a failure.
func (r *Runner) post(ctx context.Context, text []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.spec.URL, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "lockstep")
	if r.spec.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.spec.Token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, maxOutput))
	if err == nil && (res.StatusCode < 200 || res.StatusCode > 299) {
		err = fmt.Errorf("%s: %s", res.Status, tree.Quote(strings.TrimSpace(string(said))))
	}
	return err
}

// execute runs the command in a process group of its own, which is killed as a
// whole when the time is over.
func (r *Runner) execute(ctx context.Context, e Event, text []byte) error {
	var said limited
	cmd := exec.CommandContext(ctx, r.spec.Command[0], r.spec.Command[1:]...)
	cmd.Env = append(cmd.Environ(), "LOCKSTEP_EVENT="+e.Event, "LOCKSTEP_MIRROR="+e.Mirror)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for who left its output open to others
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if err != nil && len(said.text) > 0 {
		err = fmt.Errorf("%w: %s", err, tree.Quote(strings.TrimSpace(string(said.text))))
	}
	return err
}

// limited keeps the beginning of what is written to it. Stdout and Stderr are
// the same writer, so exec writes one at a time.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.text = append(l.text, p[:min(len(p), maxOutput-len(l.text))]...)
	return len(p), nil
}
