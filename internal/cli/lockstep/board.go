package lockstep

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
	"lockstep/internal/ops/report"
)

// The limits of the output.
const (
	batchLines    = 10               // batch lines a second
	maxQueued     = 10_000           // lines that wait for a slow reader
	pathWindow    = 10 * time.Second // in which path failures of one kind are counted
	targetWindow  = 5 * time.Minute  // the same for a target that fails again and again
	progressAfter = time.Second      // a first pass shorter than this shows no progress
	progressEvery = 5 * time.Second  // between two progress lines off a terminal
)

// boardOptions are the flags that change what is said.
type boardOptions struct {
	verbose bool
	once    bool // every target gets one try
	dryRun  bool // nothing is changed
}

// board collects what a mirror tells and says what may be printed when. It is
// pure: the clock is passed in. It is not safe for concurrent use.
type board struct {
	boardOptions
	choice *watch.Choice
	source string

	queue    []message
	lost     int // messages that found the queue full
	sums     []*batchSum
	pace     *pace
	faults   faultLimit
	passes   []*passProgress
	started  time.Time // of the oldest first pass that is running
	nextPass time.Time // when the next progress line is due
	failing  map[string]time.Time
}

// batchSum is what a target acknowledged since its last line.
type batchSum struct {
	target  string
	batches int
	mirror.BatchReport
}

// passProgress is how far a target's first pass has come.
type passProgress struct {
	target string
	at     target.Progress
}

func newBoard(source string, o boardOptions) *board {
	return &board{source: source, boardOptions: o, pace: newPace(batchLines), failing: map[string]time.Time{}}
}

// say queues a message.
func (b *board) say(m message) {
	if len(b.queue) >= maxQueued {
		b.lost++
		return
	}
	b.queue = append(b.queue, m)
}

func (b *board) watching(now time.Time, c watch.Choice) {
	b.choice = &c
	b.say(message{object: watchingRecord{head{"watching", now}, b.source, c.Backend.String(), plain(c.Reason)}})
}

func (b *board) notice(now time.Time, text, hint string) {
	b.say(message{voice: warning, text: plain(text), hint: plain(hint),
		object: noticeRecord{head{"notice", now}, plain(text), plain(hint)}})
}

func (b *board) progress(now time.Time, name string, p target.Progress) {
	if len(b.passes) == 0 {
		b.started, b.nextPass = now, now.Add(progressAfter)
	}
	for _, pass := range b.passes {
		if pass.target == name {
			pass.at = p
			return
		}
	}
	b.passes = append(b.passes, &passProgress{name, p})
}

func (b *board) inStep(now time.Time, name string, r mirror.Pass) {
	b.endPass(name)
	rec := inStepRecord{head: head{"in-step", now}, Target: name, Entries: r.Entries, Files: r.Files, Deleted: r.Deleted,
		Failed: r.Failed, Bytes: r.Bytes, Wire: r.Wire, Seconds: r.Elapsed.Seconds()}
	m := message{}
	var t strings.Builder
	switch {
	case b.dryRun:
		rec.Event = "dry-run"
		fmt.Fprintf(&t, "%s %s would take %s", clock(now), tree.Quote(name), count(r.Files, "file"))
	case b.once && r.Failed > 0:
		rec.Event, m.voice = "out-of-step", failure
		fmt.Fprintf(&t, "%s is not in step, %s failed: %s", tree.Quote(name), count(r.Failed, "path"), count(r.Files, "file"))
	default:
		fmt.Fprintf(&t, "%s %s is in step: %s", clock(now), tree.Quote(name), count(r.Files, "file"))
	}
	if r.Deleted > 0 {
		fmt.Fprintf(&t, ", %d deleted", r.Deleted)
	}
	fmt.Fprintf(&t, ", %s", byteCount(r.Bytes))
	if r.Wire > 0 {
		fmt.Fprintf(&t, " (%s on the wire)", byteCount(r.Wire))
	}
	fmt.Fprintf(&t, " in %s", span(r.Elapsed))
	if r.Entries > 0 {
		fmt.Fprintf(&t, "; the source has %s", count(r.Entries, "entry"))
	}
	if c := b.choice; c != nil {
		rec.Backend, rec.Reason = c.Backend.String(), plain(c.Reason)
		fmt.Fprintf(&t, "; watched by %s", choiceText(*c))
	}
	m.text, m.object = t.String(), rec
	b.say(m)
}

// choiceText is a backend and why it was chosen.
func choiceText(c watch.Choice) string {
	name, reason := c.Backend.String(), plain(c.Reason)
	if reason == "" || strings.HasPrefix(reason, name+":") {
		return cmp.Or(reason, name)
	}
	return name + ": " + reason
}

func (b *board) endPass(name string) {
	b.passes = slices.DeleteFunc(b.passes, func(p *passProgress) bool { return p.target == name })
}

func (b *board) batch(now time.Time, name string, r mirror.BatchReport) {
	if b.verbose {
		for _, p := range r.Paths {
			b.say(message{text: clock(now) + " " + tree.Quote(name) + ": " + showPath(p),
				object: changeRecord{head{"change", now}, name, pathKeysOf(p)}})
		}
	}
	r.Paths = nil
	i := slices.IndexFunc(b.sums, func(s *batchSum) bool { return s.target == name })
	if i < 0 {
		b.sums = append(b.sums, &batchSum{name, 1, r})
		return
	}
	s := b.sums[i]
	s.batches++
	s.At = r.At
	s.Changes += r.Changes
	s.Files += r.Files
	s.Deleted += r.Deleted
	s.Failed += r.Failed
	s.Bytes += r.Bytes
	s.Wire += r.Wire
	s.Lag = max(s.Lag, r.Lag)
	s.Elapsed += r.Elapsed
}

// line is the sum as a message.
func (s *batchSum) line(now time.Time) message {
	var t strings.Builder
	fmt.Fprintf(&t, "%s %s: %s", s.At.Format("15:04:05.000"), tree.Quote(s.target), count(s.Changes, "change"))
	if s.batches > 1 {
		fmt.Fprintf(&t, " in %s", count(s.batches, "batch"))
	}
	if s.Deleted > 0 {
		fmt.Fprintf(&t, ", %d deleted", s.Deleted)
	}
	if s.Failed > 0 {
		fmt.Fprintf(&t, ", %d failed", s.Failed)
	}
	if s.Wire > 0 {
		fmt.Fprintf(&t, ", %s on the wire", byteCount(s.Wire))
	} else if s.Bytes > 0 {
		fmt.Fprintf(&t, ", %s copied", byteCount(s.Bytes))
	}
	if s.batches > 1 {
		fmt.Fprintf(&t, ", lag up to %s", span(s.Lag))
	} else {
		fmt.Fprintf(&t, ", lag %s", span(s.Lag))
	}
	return message{text: t.String(), object: batchRecord{
		head: head{"batch", now}, Target: s.target, Batches: s.batches, Changes: s.Changes, Files: s.Files,
		Deleted: s.Deleted, Failed: s.Failed, Bytes: s.Bytes, Wire: s.Wire, LagMS: milliseconds(s.Lag),
		Seconds: s.Elapsed.Seconds(), At: s.At.Format(time.RFC3339Nano),
	}}
}

// settle queues the pending sum of one target, so that what is queued next
// does not overtake it.
func (b *board) settle(now time.Time, name string) {
	b.sums = slices.DeleteFunc(b.sums, func(s *batchSum) bool {
		if s.target == name {
			b.say(s.line(now))
		}
		return s.target == name
	})
}

func (b *board) targetFailing(now time.Time, name string, err error, since, next time.Time) {
	b.endPass(name)
	b.failing[name] = since
	if !b.faults.admit(now, name, causeOf(err), targetWindow) {
		return
	}
	b.settle(now, name)
	rec := failingRecord{head: head{"failing", now}, Target: name, Error: plain(err.Error()), Since: since, Hint: failureHint(err)}
	text := fmt.Sprintf("%s: %s", tree.Quote(name), rec.Error)
	switch {
	case b.once:
	case errors.Is(err, mirror.ErrMaxDelete):
		text += "; it waits for an operator"
	case next.IsZero():
		text += "; trying again cannot help, this target is left alone"
	default:
		rec.Next = &next
		text += "; next try in " + span(next.Sub(now))
	}
	if now.Sub(since) > time.Second {
		text += " (failing since " + clock(since) + ")"
	}
	b.say(message{voice: failure, text: text, hint: rec.Hint, object: rec})
}

func (b *board) recovered(now time.Time, name string) {
	text := fmt.Sprintf("%s %s works again", clock(now), tree.Quote(name))
	if since := b.failing[name]; !since.IsZero() {
		text += " after " + span(now.Sub(since))
	}
	delete(b.failing, name)
	b.faults.forget(name)
	b.say(message{text: text, object: recoveredRecord{head{"recovered", now}, name}})
}

func (b *board) pathFailed(now time.Time, name string, p tree.Path, err error) {
	if !b.faults.admit(now, name, causeOf(err), pathWindow) {
		return
	}
	b.settle(now, name)
	b.say(message{voice: failure, text: inTarget(name) + showPath(p) + ": " + plain(err.Error()),
		object: pathFailedRecord{head{"path-failed", now}, name, pathKeysOf(p), plain(err.Error())}})
}

// failureHint is what the operator can do about a failing target.
func failureHint(err error) string {
	var failed *target.Error
	if errors.As(err, &failed) {
		return plain(failed.Hint)
	}
	return ""
}

func inTarget(name string) string {
	if name == "" {
		return ""
	}
	return tree.Quote(name) + ": "
}

// take is what may be printed now, in order, and when to ask again (zero:
// after the next event). With all set nothing is held back.
func (b *board) take(now time.Time, all bool) (lines []message, next time.Time) {
	for _, h := range b.faults.due(now, all) {
		b.say(message{voice: failure,
			text:   fmt.Sprintf("%s… and %d more like this: %s", inTarget(h.target), h.n, h.cause),
			object: heldBackRecord{head{"held-back", now}, h.target, h.n, h.cause}})
	}
	lines, b.queue = b.queue, nil
	if b.lost > 0 {
		lines = append(lines, message{voice: warning,
			text:   fmt.Sprintf("… and %s that could not be printed in time", count(b.lost, "line")),
			object: lostRecord{head{"lost-lines", now}, b.lost, "output"}})
		b.lost = 0
	}
	for len(b.sums) > 0 && (all || b.pace.take(now)) {
		lines = append(lines, b.sums[0].line(now))
		b.sums = b.sums[1:]
	}
	if len(b.sums) > 0 {
		next = b.pace.next(now)
	}
	return lines, earliest(next, b.faults.next())
}

// status is the progress line of the first passes, "" if there is none to show.
func (b *board) status(now time.Time) string {
	if len(b.passes) == 0 || now.Sub(b.started) < progressAfter {
		return ""
	}
	parts := make([]string, len(b.passes))
	for i, p := range b.passes {
		parts[i] = fmt.Sprintf("%s %s, %s", tree.Quote(p.target), count(p.at.Files, "file"), byteCount(p.at.Bytes))
		if pass := report.NewPass(p.at, now.Sub(b.started)); pass.Checked > 0 {
			parts[i] += ", " + pass.Words(span)
		}
	}
	return fmt.Sprintf("first pass, %d s: %s", int(now.Sub(b.started).Seconds()), strings.Join(parts, "; "))
}

// progressLines are the same as lines, one for each target, when they are due.
func (b *board) progressLines(now time.Time) (lines []message, next time.Time) {
	if len(b.passes) == 0 {
		return nil, time.Time{}
	}
	if now.Before(b.nextPass) {
		return nil, b.nextPass
	}
	b.nextPass = now.Add(progressEvery)
	text := b.status(now)
	for _, p := range b.passes {
		lines = append(lines, message{text: text,
			object: progressRecord{head{"progress", now}, p.target, p.at.Files, p.at.Bytes, report.NewPass(p.at, now.Sub(b.started))}})
		text = "" // one line of text for all
	}
	return lines, b.nextPass
}

// earliest is the earlier of two times; zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
