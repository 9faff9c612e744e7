package sender

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// handle answers one request.
func (m *run) handle(q *request) error {
	switch q.kind {
	case done:
		return m.phase()
	case succeeded:
		return m.remove(q)
	case deleted:
		return m.deletions(q)
	}
	if m.isKeepAlive(q) {
		return m.w.KeepAlive()
	}
	o := m.lists.find(q.ndx)
	if o == nil {
		return fmt.Errorf("request for index %d, which is in no list: %w", q.ndx, ErrProtocol)
	}
	if m.params.Opt.Debugs(option.DebugSend, 1) {
		m.voice.say(wire.CodeInfo, "send_files(%d, %s)", q.ndx, m.sourceName(q.ndx, o))
	}
	m.current = max(m.current, o.total)
	m.progress.reached = o.total
	m.checked = max(m.checked, o.total-o.Len()+int(q.ndx-o.Start())+1)
	if q.kind == item {
		return m.echo(q, o)
	}
	return m.transfer(q, o)
}

// deletions takes the numbers of what was deleted. A server passes them on.
func (m *run) deletions(q *request) error {
	m.result.DelStats.add(q.stats)
	m.result.Deleted += q.stats.total()
	if m.params.Server {
		m.w.Ndx(m.params.Protocol, wire.NDXDelStats)
		for _, n := range [...]int{q.stats.Files, q.stats.Dirs, q.stats.Symlinks, q.stats.Devices, q.stats.Specials} {
			m.w.Varint(int32(n))
		}
	}
	return m.w.Err()
}

// isKeepAlive recognizes the keep-alive of protocol 29: the index after the
// last one, and the flag of a new item alone.
func (m *run) isKeepAlive(q *request) bool {
	return m.params.Protocol == 29 && q.kind == item && q.iflags == itemNew && int(q.ndx) == m.lists.entries
}

// echo answers an item report.
func (m *run) echo(q *request, o *openList) error {
	var values []xattrValue
	if q.hasXattrs(m.params) {
		var err error
		if values, err = m.xattrValues(q, o); err != nil {
			return err
		}
	}
	if m.state.echoes() {
		m.headerSize(q)
		m.header(q)
		m.writeXattrs(q, values)
		m.reported(q, o)
	}
	return m.w.Err()
}

// header writes a request's header back (part 3, 1.3).
func (m *run) header(q *request) {
	m.w.Ndx(m.params.Protocol, q.ndx)
	if m.params.Protocol < itemFlagsMin {
		return
	}
	m.w.Short(q.iflags)
	if q.iflags&itemBasis != 0 {
		m.w.Byte(q.basis)
	}
	if q.iflags&itemXname != 0 {
		_ = m.w.VString(q.xname) // it was read as one
	}
}

// transfer answers a request for file data.
func (m *run) transfer(q *request, o *openList) error {
	m.awaitLoad(q)
	if q.load != nil {
		defer q.drop()
	}
	switch {
	case !o.Contains(q.ndx) || o.Kind(q.ndx) != tree.File:
		return fmt.Errorf("data request for index %d, which is no regular file: %w", q.ndx, ErrProtocol)
	case !m.state.takesData():
		return fmt.Errorf("data request for index %d: %w", q.ndx, ErrProtocol)
	}
	var values []xattrValue
	if q.hasXattrs(m.params) {
		var err error
		if values, err = m.xattrValues(q, o); err != nil {
			return err
		}
	}
	redo, dry := o.Sent(q.ndx), m.params.Opt.DryRun
	if !dry {
		m.tellHead(q)
	}
	switch {
	case !dry && q.load.err != nil:
		if o.facts != nil { // what is listed for a client counts before it is opened
			m.note(q, o)
			m.counts(q, o)
		}
		return m.noSend(q.ndx, o, q.load.err)
	case !dry && m.appends() && !redo && q.load.size < o.fact(q.ndx).size:
		return m.diminished(q, o)
	}
	o.MarkSent(q.ndx)
	m.counts(q, o)
	if dry {
		m.headerSize(q)
		m.header(q)
		if e := m.sends(q, o); e != nil {
			m.told(e, make([]byte, m.params.Xfer.Size())) // zeros are shown
		}
		return m.w.Err()
	}
	return m.send(q, o, values, redo)
}

// send answers with the data of a file that is open.
func (m *run) send(q *request, o *openList, values []xattrValue, redo bool) error {
	if m.params.Opt.Debugs(option.DebugDeltasum, option.DebugMatched) {
		name := m.sourceName(q.ndx, o)
		m.voice.say(wire.CodeInfo, "send_files mapped %s of size %d", name, q.load.size)
		m.voice.say(wire.CodeInfo, "calling match_sums %s", name)
	}
	e := m.sends(q, o)
	m.tally.n = m.headerSize(q)
	m.header(q)
	m.tally.n += m.writeXattrs(q, values)
	digest, err := m.data(q, o, redo)
	m.transferred(q, e, digest)
	if m.params.Opt.Debugs(option.DebugSend, 1) {
		m.voice.say(wire.CodeInfo, "sender finished %s", m.sourceName(q.ndx, o))
	}
	return err
}

// counts takes a file into the numbers of those that were transferred.
func (m *run) counts(q *request, o *openList) {
	m.result.Transferred++
	m.result.TransferredSize += o.fact(q.ndx).size
}

// appends reports whether files grow (--append, --append-verify).
func (m *run) appends() bool { return m.params.Opt.Append > 0 }

// noSend accounts for a file that cannot be opened (part 3, 1.6).
func (m *run) noSend(ndx int32, o *openList, err error) error {
	m.ioError |= int32(ioErrorOf(err))
	path := o.Path(ndx)
	if o.facts == nil {
		m.missed(ndx, o, err)
	} else {
		m.unsent(m.lists.src.origins[o.fact(ndx).origin].full(path), err)
	}
	return m.sayNoSend(ndx)
}

// unsent says why a file was not sent. A daemon of protocol 27 makes an error of
// one that vanished, since it has no other way to tell.
func (m *run) unsent(name string, err error) {
	switch {
	case errors.Is(err, ErrChanged): // the name belongs to another file now
		m.voice.gone("file", name)
	case !errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP):
		m.voice.say(wire.CodeErrorXfer, "rsync: [sender] send_files failed to open %s: %s", m.voice.quoted(name), output.Strerror(err))
	case m.params.Daemon && m.params.Protocol < 28:
		m.voice.say(wire.CodeErrorXfer, "file has vanished: %s", m.voice.quoted(name))
	default:
		m.voice.gone("file", name)
	}
}

// diminished passes over a file that is to grow but has become shorter.
func (m *run) diminished(q *request, o *openList) error {
	org := m.lists.src.origins[o.fact(q.ndx).origin]
	m.voice.say(wire.CodeWarning, "skipped diminished file: %s", m.voice.quoted(org.full(o.Path(q.ndx))))
	return m.sayNoSend(q.ndx)
}

// sayNoSend tells the peer that a file will not come.
func (m *run) sayNoSend(ndx int32) error {
	if m.params.Protocol < 30 {
		return nil
	}
	return m.w.Message(wire.CodeNoSend, binary.LittleEndian.AppendUint32(nil, uint32(ndx)))
}

// ioErrorOf is the io_error bit of a failure on one path.
func ioErrorOf(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrChanged) {
		return IOErrorVanished
	}
	return IOErrorGeneral
}

// phase is what a DONE of the peer's generator means (part 3, 1.8).
func (m *run) phase() error {
	m.progress.done(m)
	switch m.state {
	case transferring:
		return m.listDone()
	case redoing:
		if m.params.Protocol < threePhases {
			return m.lastPhase()
		}
		m.change(delayed)
		m.voice.debug(option.DebugSend, 1, "send_files phase=2")
	case delayed:
		return m.lastPhase()
	case closing:
		if m.params.Protocol < fourGoodbyes {
			m.change(finished)
			return nil
		}
		m.change(farewell)
	case farewell:
		m.change(finished)
		return nil
	}
	m.w.Ndx(m.params.Protocol, wire.NDXDone) // what waits is flushed before we wait
	return m.w.Err()
}

// listDone retires the oldest list. When it was the last one, the normal pass
// is over.
func (m *run) listDone() error {
	last := len(m.lists.open) == 1
	switch {
	case last && !m.lists.eof:
		return fmt.Errorf("end of a pass before the end of the lists: %w", ErrProtocol)
	case last:
		m.change(redoing)
		m.voice.debug(option.DebugSend, 1, "send_files phase=1")
	}
	if m.params.Compat.Has(wire.IncRecurse) && !last {
		m.lists.free()
		// A list with nothing to do is passed over in silence: that the peer
		// has got beyond it shows here only.
		m.current = max(m.current, m.lists.open[0].total)
	}
	m.w.Ndx(m.params.Protocol, wire.NDXDone)
	return m.w.Err()
}

// lastPhase ends the file data.
func (m *run) lastPhase() error {
	if m.params.Protocol >= 30 && m.job.List == nil && m.ioError != 0 && !m.params.Opt.IgnoreErrors {
		all := uint32(m.ioError | m.lists.ioError)
		if err := m.w.Message(wire.CodeIOError, binary.LittleEndian.AppendUint32(nil, all)); err != nil {
			return err
		}
	}
	m.voice.debug(option.DebugSend, 1, "send files finished")
	m.sumUp()
	m.w.Ndx(m.params.Protocol, wire.NDXDone)
	if m.params.Server {
		m.statistics(m.w)
	}
	if m.params.Record != nil {
		record := wire.NewWriter(m.params.Record)
		m.statistics(record)
		if err := record.Flush(); err != nil {
			return err
		}
	}
	m.change(closing)
	err := m.w.Flush()
	m.count()
	return err
}

// count notes how much was read and written. The goodbyes do not count.
func (m *run) count() { m.result.Read, m.result.Written = m.reader.dec.r.Count(), m.w.Count() }

// sumUp says how the search went.
func (m *run) sumUp() {
	m.voice.debug(option.DebugDeltasum, 1, "total: matches=%d  hash_hits=%d  false_alarms=%d data=%d",
		m.blocksSent, m.found.Hits, m.found.Alarms, m.result.Literal)
}

// statistics is the block that tells the client what this side knows (part 3,
// 1.9):
//
//	read:vl30 written:vl30 total size:vl30 [list build ms:vl30 list transfer ms:vl30]
func (m *run) statistics(w *wire.Writer) {
	values := []int64{m.reader.dec.r.Count(), m.w.Count() + int64(m.w.Buffered()), m.lists.size}
	if m.params.Protocol >= 29 {
		values = append(values, m.result.ListBuild.Milliseconds(), m.result.ListSend.Milliseconds())
	}
	for _, v := range values {
		if m.params.Protocol >= 30 {
			w.Varlong(v, 3)
		} else {
			w.Longint(v)
		}
	}
}

func (s *DelStats) add(o DelStats) {
	s.Files += o.Files
	s.Dirs += o.Dirs
	s.Symlinks += o.Symlinks
	s.Devices += o.Devices
	s.Specials += o.Specials
}

func (s DelStats) total() int { return s.Files + s.Dirs + s.Symlinks + s.Devices + s.Specials }
