package mirror

import (
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
)

func TestSubtreesCountUntilTheirEventsAreIn(t *testing.T) {
	now := time.Now()
	j := job{batch: change.Batch{
		Items: []change.Item{
			{Path: "whole", Class: change.Tree}, {Path: "again", Gone: true}, {Path: "plain", Class: change.Content},
		},
		Renames: []change.Rename{{From: "old", To: "new", Dir: true}, {From: "file", To: "other"}},
	}}
	w := swept{}
	covered := func(when string, want bool) {
		t.Helper()
		for _, p := range []tree.Path{"whole/a/b", "whole", "again/x", "old/x", "new/x"} {
			if w.covers(p) != want {
				t.Errorf("%s: %s is covered %v, want %v", when, p, !want, want)
			}
		}
		for _, p := range []tree.Path{"plain/x", "wholes", "file/x", "other/x", tree.Root} {
			if w.covers(p) {
				t.Errorf("%s: %s is covered", when, p)
			}
		}
	}
	covered("before", false)
	w.begin(j)
	w.forget(now.Add(time.Hour))
	covered("while it runs", true)
	w.end(j, now)
	w.forget(now.Add(recently))
	covered("right after", true)
	w.forget(now.Add(recently + 1))
	covered("later", false)
	w.begin(job{full: true})
	if !w.covers("anything/at/all") {
		t.Error("a full pass does not cover everything")
	}
}
