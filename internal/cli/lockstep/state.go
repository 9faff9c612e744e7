package lockstep

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
)

// state queues the answer to SIGUSR1.
func (b *board) state(now time.Time, s mirror.State) {
	rec := stateRecord{head: head{"state", now}, Source: s.Source, Backend: s.Watch.Backend.String(), Reason: plain(s.Watch.Reason),
		Watches: s.Watcher.Watches, Polled: s.Watcher.Unwatched, Entries: s.Entries, Holding: s.Holding, Rescans: s.Rescans,
		Targets: []targetState{}}
	for _, t := range s.Targets {
		rec.Targets = append(rec.Targets, targetState{Target: t.Name, State: t.Status.String(), Since: t.Since, Behind: t.Behind,
			Failing: t.Failing, Oldest: unlessZero(t.Oldest), Error: plain(t.LastErr), ErrorAt: unlessZero(t.LastAt), Errors: t.Errors,
			Batches: t.Batches, Files: t.Files, Bytes: t.Bytes, Wire: t.Wire})
	}
	b.say(message{voice: answer, text: stateText(now, s), object: rec})
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// stateText is a state as a table.
func stateText(now time.Time, s mirror.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", clock(now), tree.Quote(s.Source), count(s.Entries, "entry"))
	if s.Watch.Reason != "" {
		fmt.Fprintf(&b, "; watched by %s", choiceText(s.Watch))
	}
	if s.Watcher.Watches > 0 {
		fmt.Fprintf(&b, "; %s", count(s.Watcher.Watches, "watch"))
	}
	if s.Watcher.Unwatched > 0 {
		fmt.Fprintf(&b, "; %s polled for want of a watch", count(s.Watcher.Unwatched, "directory"))
		if s.Watcher.Limit != "" {
			fmt.Fprintf(&b, ": %s", plain(s.Watcher.Limit))
		}
	}
	if s.Holding > 0 {
		fmt.Fprintf(&b, "; %s being written", count(s.Holding, "file"))
	}
	if s.Rescans > 0 {
		fmt.Fprintf(&b, "; %s after lost events", count(s.Rescans, "rescan"))
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tSTATE\tSINCE\tBEHIND\tOLDEST\tBATCHES\tFILES\tCONTENT\tON THE WIRE\tERRORS")
	for _, t := range s.Targets {
		oldest := "-"
		if !t.Oldest.IsZero() {
			oldest = span(now.Sub(t.Oldest))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\t%s\t%d\n", tree.Quote(t.Name), t.Status, clock(t.Since),
			t.Behind, oldest, t.Batches, t.Files, byteCount(t.Bytes), byteCount(t.Wire), t.Errors)
	}
	_ = w.Flush() // a strings.Builder takes everything
	for _, t := range s.Targets {
		if t.LastErr != "" && (t.Status == mirror.Failing || t.Status == mirror.Stopped || t.Status == mirror.Waiting) {
			fmt.Fprintf(&b, "%s: %s (%s)\n", tree.Quote(t.Name), plain(t.LastErr), clock(t.LastAt))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
