package receiver

import (
	"errors"
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// transfer reads the data of a file, as far as there is any, and sees to it that
// the file is made of it (1.5).
func (m *run) transfer(e *echo) error {
	switch {
	case e.file.Meta.Kind != tree.File:
		return &Error{Code: codeProtocol, Text: fmt.Sprintf("received request to transfer non-regular file: %d [receiver]", e.index)}
	case m.state >= delayed:
		return &Error{Code: codeProtocol, Text: "got transfer request in phase 2 [receiver]"}
	}
	wanted, err := m.wanted(e)
	if err != nil {
		return err
	}
	if !wanted {
		return m.discard()
	}
	m.created(e)
	m.result.Transferred++
	m.result.TransferredSize += e.file.Meta.Size
	opt := m.params.Opt
	if opt.DryRun || m.params.Server && opt.OnlyWriteBatch != "" {
		return m.pretend(e)
	}
	v := m.event(e)
	v.Meta.Perm = m.dest.FinalPerm(e.file, dest.Writing{Basis: e.basis, Xname: e.xname, Redo: e.redo})
	m.talk.Item(v, true)
	if opt.OnlyWriteBatch != "" {
		err = m.discard()
		m.notes.Put(dest.Note{Kind: dest.Installed, Index: e.index})
	} else {
		err = m.receive(e)
	}
	if err != nil {
		return err
	}
	v.Bytes = sumHeadSize + m.tokens.Taken() + int64(m.params.Xfer.Size())
	if !opt.Checksum && m.showsDigests() {
		v.Digest = m.params.Xfer.Hex(m.digest())
	}
	m.talk.Item(v, false)
	return nil
}

// sumHeadSize is the length of a sum head on the wire, in bytes.
const sumHeadSize = 16

// pretend is a transfer without data. Its digest is shown as zeros.
func (m *run) pretend(e *echo) error {
	v := m.event(e)
	if !m.params.Opt.Checksum && m.showsDigests() {
		v.Digest = m.params.Xfer.Hex(make([]byte, m.params.Xfer.Size()))
	}
	m.talk.Item(v, true)
	m.talk.Item(v, false)
	m.notes.Put(dest.Note{Kind: dest.Installed, Index: e.index})
	if m.params.Batch == nil {
		return nil
	}
	return m.discard()
}

// head reads and checks the sum header, with which a file's tokens begin.
func (m *run) head() (delta.Head, error) {
	h, err := delta.ReadHead(m.r)
	if err != nil {
		return h, err
	}
	if err := h.Check(m.params.Protocol, m.params.Xfer.Size()); err != nil {
		return h, &Error{Code: codeProtocol, Text: "invalid sum header [receiver]", Err: err}
	}
	m.tokens.Start(int(h.Count))
	return h, nil
}

// digest is the last digest read.
func (m *run) digest() []byte { return m.scratch[:m.params.Xfer.Size()] }

// discard reads a file's sum head, tokens and digest for nobody.
func (m *run) discard() error {
	head, err := m.head()
	if err != nil {
		return err
	}
	buf := getBuffer(chunkSize)
	defer putBuffer(buf)
	seen := newSeer(m.tokens, head, nil)
	for {
		t, err := m.tokens.Next(buf)
		if err != nil {
			return tokenError(err)
		}
		if t.End() {
			return m.r.ReadFull(m.digest())
		}
		seen.run(t.First, t.Blocks)
	}
}

// receive reads a file's sum head, tokens and digest and hands them to a worker.
func (m *run) receive(e *echo) error {
	head, err := m.head()
	if err != nil {
		return err
	}
	j := &job{index: e.index, file: e.file, basis: e.basis, xname: e.xname, head: head, redo: e.redo}
	j.absent = e.flags&wire.ItemNew != 0 && !e.redo
	j.final = e.redo || m.state == redoing
	j.skip = m.prefix(e, head)
	m.meter.start(m, e.file, e.index, j.skip)
	m.tellBasis(j)
	g := &gather{m: m, job: j, chunk: newChunk(e.file.Meta.Size - j.skip)}
	if m.tokens.Sees() && head.Count > 0 {
		// The worker may be far behind: its own handle is for its own time.
		if f, err := m.dest.Basis(e.file, m.writing(j)); err == nil && f != nil {
			defer f.Close()
			g.seen = newSeer(m.tokens, head, f)
		}
	}
	if g.seen == nil {
		g.seen = newSeer(m.tokens, head, nil)
	}
	if err := g.read(); err != nil {
		g.broken()
		return tokenError(err)
	}
	m.meter.end()
	m.debug(option.DebugDeltasum, option.DebugMatched, "got file_sum")
	if j.skip > 0 || m.tellsPlaces() {
		m.workers.wait() // what is told, as a wrong digest after --append, comes before the next file
	}
	return nil
}

// tellsPlaces reports whether something is told when a file is put in its place.
func (m *run) tellsPlaces() bool {
	opt := m.params.Opt
	return opt.Backup && opt.Info[option.InfoBackup] > 0 || opt.Debugs(option.DebugRecv, 1) || opt.Debugs(option.DebugOwn, 1)
}

// prefix is how many bytes of the file stand already when data are appended.
func (m *run) prefix(e *echo, head delta.Head) int64 {
	if m.params.Opt.Append == 0 || e.redo {
		return 0
	}
	return head.Size()
}

// tokenError gives an error of the token stream rsync's words.
func tokenError(err error) error {
	var outside *compress.BlockError
	if errors.As(err, &outside) {
		return &Error{Code: codeProtocol, Text: outside.Error() + " [receiver]"}
	}
	return err
}

// noBasis is the error of a token for a block of a file that nobody can read.
func noBasis(name tree.Path) error {
	return &Error{Code: codeProtocol, Text: fmt.Sprintf("got a block match with no basis file for \"%s\" [receiver]", string(name))}
}

// writing tells dest how the output of j is made.
func (m *run) writing(j *job) dest.Writing {
	return dest.Writing{
		Basis: j.basis, Xname: j.xname, Whole: j.head.Count == 0, Partial: m.params.Compat.Has(wire.InplacePartialDir),
		Append: j.skip, Redo: j.redo,
	}
}
