package change_test

import (
	"slices"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/watch"
)

var start = time.Unix(1000, 0)

func at(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }

// paths are the paths of cs in order.
func paths(cs []change.Change) []tree.Path {
	var out []tree.Path
	for _, c := range cs {
		out = append(out, c.Path)
	}
	return out
}

func TestFileIsHeldUntilItIsClosed(t *testing.T) {
	s := change.NewSet(change.Options{MaxHold: time.Minute})
	s.Event(watch.Event{Op: watch.Create, Path: "f"}, at(0))
	s.Event(watch.Event{Op: watch.Modify, Path: "f"}, at(1))
	if got := s.Drain(at(2)); len(got) != 0 || !s.Held("f") {
		t.Fatalf("a file being written was passed on: %v", got)
	}
	s.Event(watch.Event{Op: watch.CloseWrite, Path: "f"}, at(3))
	got := s.Drain(at(3))
	if len(got) != 1 || got[0].Class != change.Content || !got[0].Created || !got[0].At.Equal(at(0)) || s.Held("f") {
		t.Fatalf("after the close: %+v", got)
	}
}

func TestFileHeldForTooLongIsTakenAsItIs(t *testing.T) {
	s := change.NewSet(change.Options{MaxHold: time.Minute})
	s.Event(watch.Event{Op: watch.Modify, Path: "log"}, at(0))
	if got := s.Drain(at(59)); len(got) != 0 {
		t.Fatalf("passed on before its time: %v", got)
	}
	if got := s.Drain(at(60)); len(got) != 1 || !got[0].AsIs {
		t.Fatalf("after a minute: %+v", got)
	}
	s.Event(watch.Event{Op: watch.Modify, Path: "log"}, at(61))
	if got := s.Drain(at(100)); len(got) != 0 || !s.Held("log") {
		t.Fatalf("the next write does not start a new hold: %v", got)
	}
	forever := change.NewSet(change.Options{})
	forever.Event(watch.Event{Op: watch.Modify, Path: "log"}, at(0))
	if got := forever.Drain(at(1 << 20)); len(got) != 0 {
		t.Fatalf("without MaxHold a file was passed on while being written: %v", got)
	}
}

func TestHeldFileFollowsARenameOfItsDirectory(t *testing.T) {
	s := change.NewSet(change.Options{})
	s.Event(watch.Event{Op: watch.Modify, Path: "a/f"}, at(0))
	s.Event(watch.Event{Op: watch.Rename, From: "a", Path: "b", Dir: true}, at(1))
	if s.Held("a/f") || !s.Held("b/f") {
		t.Fatal("the hold did not move along")
	}
	s.Event(watch.Event{Op: watch.CloseWrite, Path: "b/f"}, at(2))
	if got := paths(s.Drain(at(2))); !slices.Equal(got, []tree.Path{"b", "b/f"}) {
		t.Fatalf("changes: %v", got)
	}
}

func TestEventsOfOnePathMergeButNotAcrossARename(t *testing.T) {
	s := change.NewSet(change.Options{})
	for range 3 {
		s.Event(watch.Event{Op: watch.CloseWrite, Path: "f"}, at(0))
		s.Event(watch.Event{Op: watch.Attrib, Path: "f"}, at(0))
	}
	s.Event(watch.Event{Op: watch.Rename, From: "f", Path: "g"}, at(1))
	s.Event(watch.Event{Op: watch.CloseWrite, Path: "f"}, at(2))
	if got := paths(s.Drain(at(2))); !slices.Equal(got, []tree.Path{"f", "g", "f"}) {
		t.Fatalf("changes: %v", got)
	}
}

func TestReleasedFileIsPassedOn(t *testing.T) {
	s := change.NewSet(change.Options{})
	s.Event(watch.Event{Op: watch.Create, Path: "link"}, at(0))
	if got := s.Probe(); len(got) != 1 || got[0].Path != "link" || got[0].Found {
		t.Fatalf("Probe = %v", got)
	}
	if got := s.Probe(); got != nil {
		t.Fatalf("probed twice: %v", got)
	}
	s.Release("link")
	if got := paths(s.Drain(at(0))); !slices.Equal(got, []tree.Path{"link"}) {
		t.Fatalf("changes: %v", got)
	}
}

func TestOnlyWantedEventsCount(t *testing.T) {
	s := change.NewSet(change.Options{Events: watch.CloseWrite | watch.Delete})
	s.Event(watch.Event{Op: watch.Attrib, Path: "a"}, at(0))
	s.Event(watch.Event{Op: watch.Delete, Path: "d"}, at(0))
	if got := paths(s.Drain(at(0))); !slices.Equal(got, []tree.Path{"d"}) {
		t.Fatalf("changes: %v", got)
	}
	atOnce := change.NewSet(change.Options{Events: watch.Modify})
	atOnce.Event(watch.Event{Op: watch.Modify, Path: "m"}, at(0))
	if got := paths(atOnce.Drain(at(0))); !slices.Equal(got, []tree.Path{"m"}) {
		t.Fatalf("without close_write, a write does not count at once: %v", got)
	}
}

func TestOverflowAsksForARescanAfterWhatCameBefore(t *testing.T) {
	s := change.NewSet(change.Options{})
	s.Event(watch.Event{Op: watch.Delete, Path: "a"}, at(0))
	s.Event(watch.Event{Op: watch.Overflow}, at(1))
	got := s.Drain(at(1))
	if len(got) != 2 || got[0].Kind != change.Dirty || got[1].Kind != change.Rescan {
		t.Fatalf("changes: %+v", got)
	}
}
