// Package report says how mirrors do: the Status snapshot that the control
// socket hands out, the Prometheus metrics made from it, and the health
// endpoints. It holds no state but the meter, and decides nothing.
//
// The json and doc tags of the types are their documentation: docs/output.md
// is held against them. A Status is a value; nothing in it is shared.
package report

import (
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
)

// Status is a snapshot of a running lockstep.
type Status struct {
	PID     int       `json:"pid" doc:"the process that answers"`
	Version string    `json:"version" doc:"its version"`
	Started time.Time `json:"started" doc:"when it started"`
	File    string    `json:"file" doc:"its configuration"`
	Loaded  time.Time `json:"loaded" doc:"when that was last applied"`
	Mirrors []Mirror  `json:"mirrors" doc:"one object for each mirror"`
}

// Mirror is the state of one mirror.
type Mirror struct {
	Name        string     `json:"name" doc:"the mirror's name"`
	Source      string     `json:"source" doc:"its source"`
	State       string     `json:"state" doc:"starting, running, failed (tried again at next) or ended (an operator has to act)"`
	Since       time.Time  `json:"since" doc:"when it came into this state"`
	Error       string     `json:"error,omitempty" doc:"why it ended the last time"`
	Hint        string     `json:"hint,omitempty" doc:"what helps"`
	Next        *time.Time `json:"next,omitempty" doc:"when it is started again"`
	Backend     string     `json:"backend" doc:"fanotify, inotify or poll; empty before the source is watched"`
	Reason      string     `json:"reason" doc:"why this backend"`
	Watches     int64      `json:"watches" doc:"kernel watches in use"`
	Polled      int64      `json:"polled" doc:"directories that are polled for want of a watch"`
	Events      int64      `json:"events" doc:"events since the mirror started"`
	Overflows   int64      `json:"overflows" doc:"times that the kernel or lockstep lost events"`
	InKernel    int64      `json:"overflows_kernel" doc:"of these, because the kernel's queue was full (fs.inotify.max_queued_events; fanotify's has no limit)"`
	InMemory    int64      `json:"overflows_memory" doc:"of these, because more than 64 MiB of events waited in lockstep's memory"`
	Rescans     int        `json:"rescans" doc:"scans of the whole source after lost events"`
	Entries     int        `json:"entries" doc:"entries known in the source"`
	Holding     int        `json:"holding" doc:"files held back because they are being written"`
	Verified    *time.Time `json:"verified,omitempty" doc:"when lockstep verify last compared it in full"`
	Differences int        `json:"differences,omitempty" doc:"paths that it found to differ and did not mend"`
	Targets     []Target   `json:"targets" doc:"one object for each target"`
}

// Target is the state of one target.
type Target struct {
	Target     string     `json:"target" doc:"the target as configured"`
	State      string     `json:"state" doc:"connecting, first pass, in step, behind, failing, stopped, waiting, paused, quiet (until the quiet hours end), or down if the mirror does not run"`
	Since      time.Time  `json:"since" doc:"when it came into this state"`
	Behind     int        `json:"behind" doc:"paths not acknowledged"`
	Failing    int        `json:"failing" doc:"of these, paths that failed and wait"`
	Oldest     *time.Time `json:"oldest" doc:"the oldest change not acknowledged, or since when a full pass is due; null if none"`
	LagSeconds float64    `json:"lag_seconds" doc:"its age, 0 if none"`
	Pass
	Error     string     `json:"error,omitempty" doc:"the last failure"`
	Hint      string     `json:"hint,omitempty" doc:"what the operator can do about it"`
	ErrorAt   *time.Time `json:"error_at,omitempty" doc:"when that was"`
	Errors    int        `json:"errors" doc:"failures so far"`
	Batches   int        `json:"batches" doc:"batches acknowledged"`
	PerMinute int        `json:"batches_per_minute" doc:"batches acknowledged within the last minute"`
	Files     int64      `json:"files" doc:"files sent"`
	Bytes     int64      `json:"bytes" doc:"bytes of content sent"`
	Wire      int64      `json:"wire" doc:"bytes on the wire in both directions"`
}

// The states of a mirror.
const (
	Starting = "starting"
	Running  = "running"
	Failed   = "failed"
	Ended    = "ended"
)

// Down is the state of the targets of a mirror that does not run.
const Down = "down"

// Fill takes over what a running mirror says of itself. rate gives the batches
// of the last minute by target, progress how far its full pass has come.
func (m *Mirror) Fill(s mirror.State, now time.Time, rate func(target string) int, progress func(target string) target.Progress) {
	m.Backend, m.Reason = "", s.Watch.Reason
	if s.Watch.Reason != "" {
		m.Backend = s.Watch.Backend.String()
	}
	m.Watches, m.Polled = s.Watcher.Watches, s.Watcher.Unwatched
	m.Events, m.Overflows, m.InKernel, m.InMemory = s.Watcher.Events, s.Watcher.Overflows, s.Watcher.InKernel, s.Watcher.InMemory
	m.Rescans, m.Entries, m.Holding = s.Rescans, s.Entries, s.Holding
	m.Targets = m.Targets[:0]
	for _, t := range s.Targets {
		o := Target{
			Target: t.Name, State: t.Status.String(), Since: t.Since, Behind: t.Behind, Failing: t.Failing, Oldest: unlessZero(t.Oldest),
			Error: t.LastErr, Hint: t.Hint, ErrorAt: unlessZero(t.LastAt), Errors: t.Errors, Batches: t.Batches, PerMinute: rate(t.Name),
			Files: t.Files, Bytes: t.Bytes, Wire: t.Wire,
		}
		if t.Status == mirror.FirstPass {
			o.Pass = NewPass(progress(t.Name), now.Sub(t.Since))
		}
		if !t.Oldest.IsZero() {
			o.LagSeconds = max(0, now.Sub(t.Oldest).Seconds())
		}
		m.Targets = append(m.Targets, o)
	}
}

// Healthy reports whether m runs and no target is failing, stopped or waiting.
func (m *Mirror) Healthy() bool {
	if m.State != Running {
		return false
	}
	for _, t := range m.Targets {
		switch t.State {
		case mirror.Failing.String(), mirror.Stopped.String(), mirror.Waiting.String():
			return false
		}
	}
	return true
}

// Ready reports whether every target of m has had its first pass.
func (m *Mirror) Ready() bool {
	if m.State != Running || len(m.Targets) == 0 {
		return false
	}
	for _, t := range m.Targets {
		switch t.State {
		case mirror.InStep.String(), mirror.Behind.String(), mirror.Paused.String(), mirror.Quiet.String():
		default:
			return false
		}
	}
	return true
}

// Trouble says in a line what is wrong with m, "" if nothing is.
func (m *Mirror) Trouble() string {
	if m.State != Running {
		return "mirror " + m.Name + " is " + m.State + ": " + tree.Quote(m.Error)
	}
	for _, t := range m.Targets {
		switch t.State {
		case mirror.Failing.String(), mirror.Stopped.String(), mirror.Waiting.String():
			return "mirror " + m.Name + ": " + tree.Quote(t.Target) + " is " + t.State + ": " + tree.Quote(t.Error)
		}
	}
	return ""
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
