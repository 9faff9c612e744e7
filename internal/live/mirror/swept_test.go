package mirror

import (
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
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

func TestLostEventsMakeTargetsCompareAgainWhatTheyCompareNow(t *testing.T) {
	now := time.Now()
	unlimited := change.NoLimit
	passing, passed, batch, idle := newSlot("passing", nil, unlimited), newSlot("passed", nil, unlimited), newSlot("batch", nil, unlimited), newSlot("idle", nil, unlimited)
	passing.busy = true
	passing.swept.begin(job{full: true})
	for _, s := range []*slot{passed, batch, idle} {
		s.full = false
	}
	passed.swept.begin(job{full: true})
	passed.swept.end(job{full: true}, now)
	batch.swept.begin(job{batch: change.Batch{Items: []change.Item{{Path: "d", Class: change.Tree}, {Path: "f", Class: change.Content}}}})

	m := &Mirror{targets: []*slot{passing, passed, batch, idle}}
	m.doubt(now)

	if !passing.repass {
		t.Error("no other pass after the one that runs")
	}
	if !passed.full {
		t.Error("no other pass after the one that has just ended")
	}
	b := batch.queue.Take(now, change.View{})
	if len(b.Items) != 1 || b.Items[0].Path != "d" || b.Items[0].Class != change.Tree {
		t.Errorf("of a batch that compares d as a whole, it compares again %v", b.Items)
	}
	if idle.full || idle.repass || idle.queue.Behind() > 0 {
		t.Error("a target that compared nothing as a whole begins anew")
	}
}

// What a target has too much after lost events is not removed if it is too
// much, and the target goes on with all else until an operator has it counted.
func TestAPassAfterLostEventsThatRemovesTooMuchWaits(t *testing.T) {
	now := time.Now()
	s := newSlot("passed", nil, change.NoLimit)
	s.full = false
	s.swept.begin(job{full: true})
	s.swept.end(job{full: true}, now)
	m := &Mirror{targets: []*slot{s}}
	m.doubt(now)
	m.failed(s, &target.Error{Err: ErrMaxDelete, Permanent: true}, now)
	if s.status != Waiting || s.full {
		t.Errorf("it is %v, a full pass due %v; want it waiting and none", s.status, s.full)
	}
	s.changeState(Behind, now) // as a batch does
	if !s.halted() {
		t.Error("a flush takes it for one that gets everything")
	}
	m.idle(s, now)
	if s.status != Waiting {
		t.Errorf("after a batch it is %v, want it waiting", s.status)
	}

	s.resume(now)
	if !s.full || !s.judging {
		t.Errorf("resumed: a full pass due %v, for removals %v", s.full, s.judging)
	}
	m.passed(s, result{job: job{full: true}}, now)
	if s.halted() || s.refused || s.full {
		t.Error("it still waits after a pass that was allowed")
	}
}
