package lockstep

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/internal/cli/eventline"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

// eventNames are inotifywait's names for --events (inotify-tools 4). Events
// that change no tree are accepted and have no effect; what happens to the
// source itself is always noticed.
var eventNames = map[string]watch.Op{
	"access":        0,
	"modify":        watch.Modify,
	"attrib":        watch.Attrib,
	"close_write":   watch.CloseWrite,
	"close_nowrite": 0,
	"close":         watch.CloseWrite,
	"open":          0,
	"moved_from":    watch.MovedFrom | watch.Rename,
	"moved_to":      watch.MovedTo | watch.Rename | watch.Found,
	"move":          watch.MovedFrom | watch.MovedTo | watch.Rename | watch.Found,
	"move_self":     0,
	"create":        watch.Create | watch.Found,
	"delete":        watch.Delete,
	"delete_self":   0,
	"unmount":       0,
	"all_events":    watch.AllEvents | watch.Found,
}

// parseEvents reads a comma list of event names, in any case; 0 means all.
func parseEvents(list string) (watch.Op, error) {
	if list == "" {
		return 0, nil
	}
	var ops watch.Op
	for name := range strings.SplitSeq(list, ",") {
		op, ok := eventNames[strings.ToLower(name)]
		if !ok {
			known := make([]string, 0, len(eventNames))
			for n := range eventNames {
				known = append(known, n)
			}
			slices.Sort(known)
			return 0, fmt.Errorf("events: %s is not an event: want a comma list of %s", tree.Quote(name), strings.Join(known, ", "))
		}
		ops |= op
	}
	if ops == 0 {
		return 0, fmt.Errorf("events: nothing in %s changes a tree, so nothing would ever be mirrored", tree.Quote(list))
	}
	return ops, nil
}

// watchBackend is the backend called name.
func watchBackend(name string) (watch.Backend, error) {
	b, err := watch.ParseBackend(name)
	if err != nil {
		return 0, errors.New("watch: want one of " + strings.Join(watchWords, ", "))
	}
	return b, nil
}

// watchWords are the names of the backends.
var watchWords = []string{watch.Auto.String(), watch.Fanotify.String(), watch.Inotify.String(), watch.Poll.String()}

// printedNames are the names of %e in inotifywait's order (inotify-tools 4).
// A rename within the source is told as its two halves.
var printedNames = []struct {
	op   watch.Op
	name string
}{
	{watch.Access, "ACCESS"},
	{watch.Modify, "MODIFY"},
	{watch.Attrib, "ATTRIB"},
	{watch.CloseWrite, "CLOSE_WRITE"},
	{watch.CloseNoWrite, "CLOSE_NOWRITE"},
	{watch.Opened, "OPEN"},
	{watch.MovedFrom, "MOVED_FROM"},
	{watch.MovedTo, "MOVED_TO"},
	{watch.Create | watch.Found, "CREATE"},
	{watch.Delete, "DELETE"},
	{watch.DeleteSelf, "DELETE_SELF"},
	{watch.Unmount, "UNMOUNT"},
	{watch.Overflow, "Q_OVERFLOW"},
	{watch.Ignored, "IGNORED"},
	{watch.CloseWrite | watch.CloseNoWrite, "CLOSE"},
	{watch.MoveSelf, "MOVE_SELF"},
}

// logEvent is ev as the lines of a log: one, or two for a rename.
func logEvent(source string, ev watch.Event, at time.Time) []eventline.Event {
	var lines []eventline.Event
	if ev.Op&watch.Rename != 0 {
		lines = append(lines, logged(source, ev.From, watch.MovedFrom, ev, at))
		ev.Op = ev.Op&^watch.Rename | watch.MovedTo
	}
	return append(lines, logged(source, ev.Path, ev.Op, ev, at))
}

func logged(source string, p tree.Path, op watch.Op, ev watch.Event, at time.Time) eventline.Event {
	l := eventline.Event{Watched: strings.TrimSuffix(source, "/") + "/", Cookie: ev.Cookie, At: at, Name: p.Base()}
	if dir := p.Parent(); !dir.IsRoot() {
		l.Watched += string(dir) + "/"
	}
	for _, n := range printedNames {
		if op&n.op != 0 {
			l.Names = append(l.Names, n.name)
		}
	}
	if ev.Dir {
		l.Names = append(l.Names, "ISDIR")
	}
	return l
}

// listener hears a mirror's events for the log.
func (l *changeLog) listener(source string) func(watch.Event) {
	return func(ev watch.Event) {
		for _, line := range logEvent(source, ev, time.Now()) {
			l.add(line)
		}
	}
}
