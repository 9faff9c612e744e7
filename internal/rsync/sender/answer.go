package sender

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/wire"
)

// handle answers one request.
func (m *run) handle(q *request) error {
	switch q.kind {
	case done:
		return m.phase()
	case deleted:
		m.result.DelStats.add(q.stats)
		m.result.Deleted += q.stats.total()
		return nil
	}
	if m.isKeepAlive(q) {
		return m.w.KeepAlive()
	}
	o := m.lists.find(q.ndx)
	if o == nil {
		return fmt.Errorf("request for index %d, which is in no list: %w", q.ndx, ErrProtocol)
	}
	m.current = max(m.current, o.total)
	m.checked = max(m.checked, o.total-o.Len()+int(q.ndx-o.Start())+1)
	if q.kind == item {
		return m.echo(q, o)
	}
	return m.transfer(q, o)
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
		m.header(q)
		m.writeXattrs(q, values)
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
	if m.params.DryRun {
		m.header(q)
		return m.w.Err()
	}
	path := m.lists.src.onDisk(o.Path(q.ndx))
	if q.load.err != nil {
		return m.noSend(q.ndx, path, q.load.err)
	}
	m.header(q)
	m.writeXattrs(q, values)
	if !o.Sent(q.ndx) {
		o.MarkSent(q.ndx)
		m.result.Transferred++
	}
	return m.data(q, path)
}

// noSend accounts for a file that cannot be opened (part 3, 1.6).
func (m *run) noSend(ndx int32, path tree.Path, err error) error {
	m.ioError |= int32(ioErrorOf(err))
	m.fail(path, err)
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

// data sends the sum head, the tokens of a file and its digest (part 3, 1.5).
func (m *run) data(q *request, path tree.Path) error {
	for _, v := range [...]int32{q.head.Count, q.head.BlockLen, q.head.S2Len, q.head.Remainder} {
		m.w.Int(v)
	}
	digest, err := m.contents(q)
	var source *delta.SourceError
	switch {
	case errors.As(err, &source):
		spoil(digest)
		m.fail(path, fmt.Errorf("%s: %w", path, source))
	case err != nil:
		return err
	case m.job.Steady.changed(path, q.load):
		spoil(digest)
		m.fail(path, ErrChanged)
	default:
		delete(m.failed, path) // a redo that went well
	}
	_, err = m.w.Write(digest)
	return err
}

// contents sends the tokens and gives the digest.
func (m *run) contents(q *request) (digest []byte, err error) {
	l := q.load
	if l.digest != nil {
		return m.literal(l)
	}
	sums := q.sums
	if sums == nil {
		sums = &m.nothing
	}
	m.hash.Reset()
	found, err := m.search.Search(l.reader(), l.size, sums, m.blocks, m.hash, tokens{m})
	m.result.Literal += found.Literal
	m.result.Matched += found.Matched
	m.sending = 0
	var source *delta.SourceError
	if err != nil && !errors.As(err, &source) {
		return nil, err
	}
	if l.short != nil {
		err = l.short
	}
	if ended := m.encoder.End(); ended != nil {
		return nil, ended
	}
	return m.hash.Sum(nil), err
}

// tokens passes what a search finds on to the encoder. A file may take long: it
// is where the end of ctx is noticed and progress is reported.
type tokens struct{ m *run }

func (t tokens) Literal(p []byte) error {
	if err := t.pass(len(p)); err != nil {
		return err
	}
	return t.m.encoder.Literal(p)
}

func (t tokens) Block(n int, data []byte) error {
	if err := t.pass(len(data)); err != nil {
		return err
	}
	return t.m.encoder.Block(n, data)
}

// passEvery is how many bytes of a file go by between two looks at the world.
const passEvery = 4 << 20

func (t tokens) pass(n int) error {
	before := t.m.sending
	t.m.sending += int64(n)
	if before/passEvery == t.m.sending/passEvery {
		return nil
	}
	t.m.report(false)
	if err := t.m.w.Err(); err != nil {
		return err
	}
	return t.m.ctx.Err()
}

// literal sends a small file that the loader has read and hashed.
func (m *run) literal(l *load) (digest []byte, err error) {
	if err := m.encoder.Literal(l.data); err != nil {
		return nil, err
	}
	m.result.Literal += l.size
	if err := m.encoder.End(); err != nil {
		return nil, err
	}
	if l.short != nil {
		return l.digest, l.short
	}
	return l.digest, nil
}

// reader reads what the load has opened.
func (l *load) reader() io.Reader {
	if l.file != nil {
		return l.file
	}
	l.from.Reset(l.data)
	return &l.from
}

// spoil makes a digest wrong, so that the peer throws away what it was sent.
func spoil(digest []byte) {
	zero := true
	for i, b := range digest {
		zero = zero && b == 0
		digest[i] = 0
	}
	if zero {
		digest[len(digest)-1] = 1
	}
}

// phase is what a DONE of the peer's generator means (part 3, 1.8).
func (m *run) phase() error {
	switch m.state {
	case transferring:
		return m.listDone()
	case redoing:
		if m.params.Protocol < threePhases {
			return m.lastPhase()
		}
		m.change(delayed)
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
	m.w.Ndx(m.params.Protocol, wire.NDXDone)
	return m.w.Flush()
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
	}
	if m.params.Compat.Has(wire.IncRecurse) && !last {
		m.lists.free()
		// A list with nothing to do is passed over in silence: that the peer
		// has got beyond it shows here only.
		m.current = max(m.current, m.lists.open[0].total)
	}
	m.w.Ndx(m.params.Protocol, wire.NDXDone)
	if last {
		return m.w.Flush()
	}
	return m.w.Err()
}

// lastPhase ends the file data.
func (m *run) lastPhase() error {
	if m.params.Protocol >= 30 && m.job.Whole && m.ioError != 0 {
		all := uint32(m.ioError | m.lists.ioError)
		if err := m.w.Message(wire.CodeIOError, binary.LittleEndian.AppendUint32(nil, all)); err != nil {
			return err
		}
	}
	m.w.Ndx(m.params.Protocol, wire.NDXDone)
	m.change(closing)
	return m.w.Flush()
}

func (s *DelStats) add(o DelStats) {
	s.Files += o.Files
	s.Dirs += o.Dirs
	s.Symlinks += o.Symlinks
	s.Devices += o.Devices
	s.Specials += o.Specials
}

func (s DelStats) total() int { return s.Files + s.Dirs + s.Symlinks + s.Devices + s.Specials }
