package receiver

import (
	"slices"
	"testing"

	"lockstep/internal/rsync/dest"
)

// TestNotesComeInTheOrderOfTheFiles finishes jobs out of order, one of which has
// nothing to be noted.
func TestNotesComeInTheOrderOfTheFiles(t *testing.T) {
	w := newWorkers(&run{notes: dest.NewNotes()}, nil)
	finish := func(turn int, note bool) {
		w.finished(&job{turn: turn, index: int32(10 + turn), came: dest.Failed, note: note})
	}
	noted := func() (all []int32) {
		for {
			n, ok := w.m.notes.TryTake()
			if !ok {
				return all
			}
			all = append(all, n.Index)
		}
	}
	finish(2, true)
	finish(1, false)
	if early := noted(); early != nil {
		t.Errorf("before the first, %v are noted", early)
	}
	finish(0, true)
	if got := noted(); !slices.Equal(got, []int32{10, 12}) {
		t.Errorf("noted are %v, want 10, then 12", got)
	}
	finish(3, true)
	if got := noted(); !slices.Equal(got, []int32{13}) || len(w.early) > 0 {
		t.Errorf("noted are %v, want 13, and %d jobs are kept", got, len(w.early))
	}
}
