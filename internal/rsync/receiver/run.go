package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// run is what the reading goroutine owns, but for what workers share.
type run struct {
	ctx    context.Context
	r      *wire.Reader
	params *Params
	dest   *dest.Dest
	dec    *flist.Decoder
	lists  *flist.Lists
	notes  *dest.Notes
	talk   output.Talk

	state    state
	released int   // lists
	before   int64 // bytes of the stream before the last index
	tokens   compress.Decoder
	workers  *workers
	redos    redos

	delivered map[int32]struct{} // by a batch, wanted or not
	meter     meter
	result    Result

	scratch [checksum.MaxSize]byte
}

// Run reads the peer's stream from the first list, which the caller has read and
// added to lists, to the last word before the goodbye. Without an error the last
// note is dest.Ended. The Result is valid, as far as it goes, with an error too;
// an error is the cause of ctx's end, has an ExitCode method, wraps
// wire.ErrStream, or is the stream's.
func Run(ctx context.Context, r *wire.Reader, p Params, d *dest.Dest, dec *flist.Decoder, lists *flist.Lists,
	notes *dest.Notes, talk output.Talk) (Result, error) {
	tokens, err := compress.NewDecoder(r, compress.Options{Method: p.Compress, Protocol: p.Protocol})
	if err != nil {
		return Result{}, err
	}
	defer tokens.Close()
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if p.Interrupt != nil {
		defer context.AfterFunc(inner, p.Interrupt)()
	}
	m := &run{
		ctx: inner, r: r, params: &p, dest: d, dec: dec, lists: lists, notes: notes, talk: talk, tokens: tokens,
		meter: newMeter(talk, &p), delivered: make(map[int32]struct{}),
	}
	m.workers = newWorkers(m, cancel)
	m.debug(option.DebugRecv, 1, "recv_files(%d) starting", m.lists.Known())
	m.begin()
	err = m.do()
	m.workers.close()
	if err != nil && inner.Err() != nil { // a worker's failure, or the end of ctx
		err = context.Cause(inner)
	}
	m.result.Literal, m.result.Matched = m.workers.literal.Load(), m.workers.matched.Load()
	lists.End(err)
	return m.result, err
}

// begin takes note of the lists that are there already.
func (m *run) begin() {
	if !m.params.incremental() {
		m.lists.End(nil)
	}
	// The index after a list is that of the next list's directory.
	for l := m.lists.Oldest(); l != nil; l = m.lists.Of(l.Start + int32(len(l.Files))) {
		m.count(l)
	}
}

// do reads to the end.
func (m *run) do() error {
	for m.state != finished {
		m.before = m.r.Count()
		ndx, err := m.r.Ndx(m.params.Protocol)
		if err == nil {
			err = m.handle(ndx)
		}
		if err == nil {
			err = m.ctx.Err()
		}
		if err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// unexpected is the error of a stream that ended too early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// handle reads what belongs to an index.
func (m *run) handle(ndx int32) error {
	switch {
	case ndx >= 0:
		return m.item(ndx)
	case ndx == wire.NDXDone:
		return m.done()
	case ndx == wire.NDXDelStats && m.params.Protocol >= farewellMin:
		return m.delStats()
	case ndx == wire.NDXFlistEOF && m.takesLists():
		m.dec.EndOfLists()
		if m.params.Listed != nil {
			m.params.Listed(0, nil)
		}
		m.lists.End(nil)
		m.result.ListSize += m.r.Count() - m.before
		return nil
	case ndx <= wire.NDXFlistOffset && m.takesLists():
		return m.list(wire.NDXFlistOffset - ndx)
	}
	return &Error{Code: codeProtocol, Text: fmt.Sprintf("Invalid file index: %d [receiver]", ndx)}
}

// takesLists reports whether incremental lists may still come.
func (m *run) takesLists() bool {
	return m.params.incremental() && m.state == receiving && !m.lists.Complete()
}

// list reads the list of a directory.
func (m *run) list(dir int32) error {
	l, err := m.dec.Sub(dir)
	if err != nil {
		return err
	}
	if m.params.Listed != nil {
		m.params.Listed(dir, l)
	}
	m.result.ListSize += m.r.Count() - m.before
	m.count(l)
	if l.IOError != 0 {
		m.result.IOError |= l.IOError
		m.notes.Ail(l.IOError)
	}
	m.lists.Add(l)
	return nil
}

// count adds the entries of a list to the statistics: those that came, whether or
// not they are duplicates or pruned. What is to be deleted counts as special.
func (m *run) count(l *flist.Received) {
	for _, f := range l.Files {
		if f.Gone {
			m.result.Files.Special++
			continue
		}
		add(&m.result.Files, f.Meta.Kind)
		if f.Dup {
			continue
		}
		if f.Meta.Kind == tree.File || f.Meta.Kind == tree.Symlink {
			m.result.TotalSize += f.Meta.Size
		}
	}
}

// add counts one item of a kind.
func add(c *output.Counts, kind tree.Kind) {
	switch {
	case kind == tree.File:
		c.Reg++
	case kind == tree.Dir:
		c.Dir++
	case kind == tree.Symlink:
		c.Link++
	case kind.IsDevice():
		c.Dev++
	case kind.IsSpecial():
		c.Special++
	}
}

// change is the only place where the state changes.
func (m *run) change(to state) { m.state = to }

// done is what a DONE means (1.8). The notes of a phase's files precede that of
// its end.
func (m *run) done() error {
	m.meter.done(m)
	switch m.state {
	case receiving:
		if err := m.listDone(); err != nil {
			return err
		}
	case redoing:
		m.workers.wait()
		if m.params.Protocol >= itemFlagsMin {
			m.debug(option.DebugRecv, 1, "recv_files phase=2")
		}
		m.noBatchedResends(0, math.MaxInt32)
		m.placeDelayed()
		if m.params.Protocol < itemFlagsMin {
			return m.lastDone()
		}
		m.change(delayed)
	case delayed:
		return m.lastDone()
	case farewell:
		m.notes.Put(dest.Note{Kind: dest.Ended})
		m.change(finished)
		return nil
	}
	m.notes.Put(dest.Note{Kind: dest.PhaseDone})
	return nil
}

// listDone retires the oldest list. With the last one the normal pass is over.
func (m *run) listDone() error {
	last := m.lists.Len()-m.released <= 1
	if last && !m.lists.Complete() {
		return &Error{Code: codeProtocol, Text: "the sender ended a pass before its file lists [receiver]"}
	}
	if last {
		m.workers.wait()
		m.debug(option.DebugRecv, 1, "recv_files phase=1")
		m.change(redoing)
	}
	if err := m.noBatchedUpdates(); err != nil {
		return err
	}
	if !last {
		m.lists.Release()
		m.released++
	}
	return nil
}

// placeDelayed installs what --delay-updates held back.
func (m *run) placeDelayed() {
	if !m.params.Opt.DelayUpdates {
		return
	}
	m.dest.PlaceDelayed(func(f *flist.File, err error) {
		kind := dest.Installed
		if err != nil {
			kind = dest.Failed
		}
		m.notes.Put(dest.Note{Kind: kind, Index: f.Index})
	})
}

// lastDone is the sender's last DONE of its loop.
func (m *run) lastDone() error {
	m.debug(option.DebugRecv, 1, "recv_files finished")
	if !m.params.Server || m.params.Batch != nil {
		if err := m.statistics(); err != nil {
			return err
		}
	}
	m.notes.Put(dest.Note{Kind: dest.PhaseDone})
	if m.params.Protocol >= farewellMin && m.params.Batch == nil {
		m.change(farewell)
		return nil
	}
	m.notes.Put(dest.Note{Kind: dest.Ended})
	m.change(finished)
	return nil
}

// protocolError is the error of an index that the lists do not have.
func protocolError(ndx int32, err error) error {
	if errors.Is(err, flist.ErrProtocol) {
		return &Error{Code: codeProtocol, Text: fmt.Sprintf("Invalid file index: %d [receiver]", ndx), Err: err}
	}
	return err
}
