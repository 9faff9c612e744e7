package dest_test

import (
	"context"
	"sync"
	"testing"

	"lockstep/internal/rsync/dest"
)

func TestNotesKeepTheirOrderAndAreNotLost(t *testing.T) {
	const count = 20_000
	q := dest.NewNotes()
	var group sync.WaitGroup
	group.Go(func() {
		for i := range int32(count) {
			q.Put(dest.Note{Kind: dest.Installed, Index: i})
		}
	})
	for i := range int32(count) {
		n, err := q.Take(t.Context())
		if err != nil || n.Index != i {
			t.Fatalf("note %d is %+v, %v", i, n, err)
		}
	}
	group.Wait()
	if n, ok := q.TryTake(); ok {
		t.Errorf("one too many: %+v", n)
	}
}

func TestMoreTellsOfNotes(t *testing.T) {
	q := dest.NewNotes()
	select {
	case <-q.More():
		t.Error("there is nothing")
	default:
	}
	q.Put(dest.Note{Kind: dest.Redo, Index: 7})
	<-q.More()
	if n, ok := q.TryTake(); !ok || n != (dest.Note{Kind: dest.Redo, Index: 7}) {
		t.Errorf("took %+v, %v", n, ok)
	}
}

func TestTakeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dest.NewNotes().Take(ctx); err != context.Canceled {
		t.Errorf("the error is %v", err)
	}
}
