package lockstep

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
)

// statusEvery is how often the terminal's status line is rewritten.
const statusEvery = 200 * time.Millisecond

// reporter stands between a mirror and the console: the mirror's goroutines
// put what happens on the board, which never blocks, and one goroutine prints
// what the board lets through. A reader that is slow makes sums longer, not the
// mirror slower.
type reporter struct {
	console *console
	json    bool
	quiet   bool   // failures only
	mirror  string // with several mirrors: the name of this one, said with everything
	onEPIPE func()

	mu    sync.Mutex
	board *board

	// Of the printing goroutine.
	status string
	renew  time.Time // when the status line is next rewritten

	wake chan struct{} // room for one
	stop chan struct{}
	done chan struct{}
}

// startReporter starts the printing goroutine; close ends it.
func startReporter(c *console, b *board, jsonLines, quiet bool, onEPIPE func()) *reporter {
	return startReporterOf("", c, b, jsonLines, quiet, onEPIPE)
}

// startReporterOf starts the reporter of one of several mirrors.
func startReporterOf(mirror string, c *console, b *board, jsonLines, quiet bool, onEPIPE func()) *reporter {
	r := &reporter{mirror: mirror, console: c, json: jsonLines, quiet: quiet, onEPIPE: onEPIPE, board: b,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	return r
}

// close prints what is left and waits for it.
func (r *reporter) close() {
	close(r.stop)
	<-r.done
}

// put changes the board.
func (r *reporter) put(change func(b *board, now time.Time)) {
	r.mu.Lock()
	change(r.board, time.Now())
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// listener is what a mirror tells.
func (r *reporter) listener() mirror.Listener {
	return mirror.Listener{
		Watching: func(c watch.Choice) { r.put(func(b *board, now time.Time) { b.watching(now, c) }) },
		Notice:   func(text, hint string) { r.put(func(b *board, now time.Time) { b.notice(now, text, hint) }) },
		Progress: func(name string, p target.Progress) {
			r.put(func(b *board, now time.Time) { b.progress(now, name, p) })
		},
		InStep: func(name string, p mirror.Pass) { r.put(func(b *board, now time.Time) { b.inStep(now, name, p) }) },
		Batch: func(name string, rep mirror.BatchReport) {
			r.put(func(b *board, now time.Time) { b.batch(now, name, rep) })
		},
		Failing: func(name string, err error, since, next time.Time) {
			r.put(func(b *board, now time.Time) { b.targetFailing(now, name, err, since, next) })
		},
		Recovered: func(name string) { r.put(func(b *board, now time.Time) { b.recovered(now, name) }) },
		Planned:   r.planned,
		PathFailed: func(name string, p tree.Path, err error) {
			r.put(func(b *board, now time.Time) { b.pathFailed(now, name, p, err) })
		},
	}
}

// planned prints at once: a dry run has time.
func (r *reporter) planned(name string, removed bool, p tree.Path) {
	if !r.board.verbose {
		return
	}
	action := "send"
	if removed {
		action = "remove"
	}
	r.show(message{text: inTarget(name) + "would " + action + " " + showPath(p),
		object: plannedRecord{head{"planned", time.Now()}, name, action, pathKeysOf(p)}})
}

// run prints until stop is closed.
func (r *reporter) run() {
	defer close(r.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := r.print(false)
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), time.Millisecond))
		}
		select {
		case <-r.stop:
			r.print(true)
			r.console.setStatus("")
			return
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// print prints what may be printed now and says when to come back.
func (r *reporter) print(all bool) time.Time {
	now := time.Now()
	r.mu.Lock()
	lines, next := r.board.take(now, all)
	status, due := r.status, time.Time{}
	if r.console.terminal && !r.json && !r.quiet {
		status, due = r.statusLine(now)
	} else {
		var progress []message
		progress, due = r.board.progressLines(now)
		lines = append(lines, progress...)
	}
	r.mu.Unlock()
	next = earliest(next, due)
	if status != r.status {
		r.status = status
		r.console.setStatus(status)
	}
	for _, m := range lines {
		r.show(m)
	}
	if err := r.console.failure(); errors.Is(err, syscall.EPIPE) {
		r.onEPIPE()
	}
	return next
}

// statusLine is the status line for now, renewed every now and then, and when
// to renew it.
func (r *reporter) statusLine(now time.Time) (line string, due time.Time) {
	switch {
	case len(r.board.passes) == 0:
		return "", time.Time{}
	case now.Before(r.renew):
		return r.status, r.renew
	}
	r.renew = now.Add(statusEvery)
	return r.board.status(now), r.renew
}

// show prints one message.
func (r *reporter) show(m message) {
	if r.quiet && m.voice != failure && m.voice != answer {
		return
	}
	if r.json {
		r.console.objectOf(r.mirror, m.object)
		return
	}
	if r.mirror != "" && m.text != "" {
		m.text = r.mirror + ": " + m.text
	}
	switch {
	case m.text == "":
	case m.voice == failure:
		r.console.errorf("%s", m.text)
	case m.voice == warning:
		r.console.warnf("%s", m.text)
	default:
		r.console.printf("%s", m.text)
	}
	if m.hint != "" {
		r.console.hintf("%s", m.hint)
	}
}

// object writes one line of JSON.
func (c *console) object(v any) { c.objectOf("", v) }

// objectOf writes one line of JSON about a mirror, which is named first.
func (c *console) objectOf(mirror string, v any) {
	line, err := json.Marshal(v)
	if err != nil {
		c.errorf("--json: %v", err)
		return
	}
	text := string(line)
	if mirror != "" {
		text = fmt.Sprintf("{%q:%q,", "mirror", mirror) + text[1:]
	}
	c.write(c.out, text)
}
