package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/receiver"
)

func readBatch(p *receiver.Params) { p.Server, p.Batch = false, receiver.NewBatch() }

// endBatch writes what follows the files of a batch: there is no goodbye.
func (s *stream) endBatch() {
	s.done()
	s.done()
	s.done()
	for range 5 {
		s.w.Varlong(7, 3)
	}
}

func TestBatchGivesWhatTheGeneratorWants(t *testing.T) {
	for _, m := range []compress.Method{compress.None, compress.Zlib} {
		s := newStream(t, 32, readBatch, func(p *receiver.Params) { p.Compress = m })
		old := noise(5000)
		s.put("have", old)
		s.list(regular("a", 1), regular("b", 1), regular("have", 5012), regular("lacking", 1))
		s.whole("a", []byte("a"))
		s.update("have", old, edited(old))
		s.whole("b", []byte("b"))
		s.endBatch()
		s.p.Batch.Ask(s.index["a"])
		s.p.Batch.Ask(s.index["b"])
		s.p.Batch.Ask(s.index["lacking"])
		s.p.Batch.Passed(1)
		o := s.run()
		if o.err != nil {
			t.Fatal(o.err)
		}
		got := strings.Join(append(sorted(o.notes[:3]), o.notes[3:]...), ", ")
		if got != "installed a, installed b, not sent lacking, phase done, phase done, phase done, ended" {
			t.Errorf("notes %s", got)
		}
		want := "INFO (Skipping batched update for \"have\")\nERROR_XFER (No batched update for \"lacking\")"
		if said := o.talked.said(); said != want {
			t.Errorf("said %s", said)
		}
		s.check("a", []byte("a"))
		s.check("b", []byte("b"))
		if s.content("have") != string(old) || o.Peer == nil || o.Peer.Read != 7 {
			t.Errorf("result %+v", o.Result)
		}
	}
}

func TestRedosOfABatchAreTakenIfNeeded(t *testing.T) {
	s := newStream(t, 32, readBatch)
	s.opt.Itemize = 1
	s.list(regular("again", 3), regular("good", 4), regular("never", 5))
	s.spoiled("again", []byte("abc"))
	s.whole("good", []byte("good"))
	s.spoiled("never", []byte("never"))
	s.done()
	s.whole("again", []byte("abc"))
	s.whole("good", []byte("good"))
	s.done()
	s.done()
	for range 5 {
		s.w.Varlong(7, 3)
	}
	for _, name := range []string{"again", "good", "never"} {
		s.p.Batch.Ask(s.index[name])
	}
	s.p.Batch.Passed(1)
	o := s.run()
	if o.err != nil {
		t.Fatal(o.err)
	}
	got := strings.Join(append(sorted(o.notes[:3]), o.notes[3:]...), ", ")
	if got != "installed good, redo again, redo never, phase done, installed again, not sent never, phase done, phase done, ended" {
		t.Errorf("notes %s", got)
	}
	for _, line := range []string{
		"WARNING WARNING: again failed verification -- update discarded (may try again).",
		"INFO (Skipping batched update for resend of \"good\")",
		"ERROR_XFER (No batched update for resend of \"never\")",
	} {
		if !strings.Contains(o.talked.said(), line) {
			t.Errorf("%q is missing in\n%s", line, o.talked.said())
		}
	}
	s.check("again", []byte("abc"))
}

func TestBatchWithIncrementalListsWaitsForTheGenerator(t *testing.T) {
	s := newStream(t, 32, incremental, readBatch)
	s.put("d/.keep", nil)
	s.list(directory(""), directory("d"), regular("f", 1))
	s.sub(1, "d", regular("d/x", 1), regular("d/y", 1))
	s.enc.EndOfLists()
	s.whole("f", []byte("f"))
	s.done()
	s.whole("d/x", []byte("x"))
	s.endBatch()
	b := s.p.Batch
	go func() {
		b.Ask(s.index["f"])
		b.Passed(1)
		b.Ask(s.index["d/x"])
		b.Ask(s.index["d/y"])
		b.Passed(2)
	}()
	o := s.run()
	o.wantNotes(t, "installed f", "phase done", "installed d/x", "not sent d/y", "phase done", "phase done", "phase done", "ended")
}

func TestDryRunOfABatchPassesOverItsData(t *testing.T) {
	s := newStream(t, 32, readBatch)
	s.opt.DryRun = true
	s.list(regular("a", 1000))
	s.whole("a", noise(1000))
	s.endBatch()
	s.p.Batch.Ask(s.index["a"])
	s.p.Batch.Passed(1)
	o := s.run()
	o.wantNotes(t, "installed a", "phase done", "phase done", "phase done", "ended")
	if len(s.names()) != 0 || o.talked.said() != "" {
		t.Errorf("files %v, said %s", s.names(), o.talked.said())
	}
}

func TestWaitingForTheGeneratorOfABatchEndsWithTheContext(t *testing.T) {
	s := newStream(t, 32, readBatch)
	s.list(regular("a", 1))
	s.whole("a", []byte("a"))
	s.endBatch()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o := s.runOn(ctx, bytes.NewReader(s.bytes()), nil); !errors.Is(o.err, context.Canceled) {
		t.Errorf("error %v", o.err)
	}
}
