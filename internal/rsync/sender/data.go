package sender

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// data sends the sum head, the tokens of a file and its digest (part 3, 1.5).
func (m *run) data(q *request, o *openList, redo bool) (digest []byte, err error) {
	for _, v := range [...]int32{q.head.Count, q.head.BlockLen, q.head.S2Len, q.head.Remainder} {
		m.bulk.Int(v)
	}
	m.tally.n += sumHeadSize
	m.progress.begin(m, q, o)
	before, hits, alarms := m.blocksSent, m.found.Hits, m.found.Alarms
	digest, err = m.contents(q, redo)
	if m.params.Opt.Debugs(option.DebugDeltasum, option.DebugMatched) {
		m.voice.say(wire.CodeInfo, "sending file_sum")
		m.voice.say(wire.CodeInfo, "false_alarms=%d hash_hits=%d matches=%d",
			m.found.Alarms-alarms, m.found.Hits-hits, m.blocksSent-before)
	}
	var source *delta.SourceError
	switch {
	case errors.As(err, &source):
		spoil(digest)
		m.unread(q, o, source)
	case err != nil:
		return digest, err
	default:
		m.settle(q, o, digest)
	}
	m.progress.end(m)
	m.tally.n += int64(len(digest))
	_, err = m.bulk.Write(digest)
	if m.params.Only != nil && err == nil {
		err = m.bulk.Flush()
	}
	return digest, err
}

// unread accounts for a file that could not be read to its end.
func (m *run) unread(q *request, o *openList, source *delta.SourceError) {
	path := o.Path(q.ndx)
	if o.facts == nil {
		path = m.lists.src.onDisk(path)
		m.fail(path, fmt.Errorf("%s: %w", path, source))
		return
	}
	m.ioError |= IOErrorGeneral
	name := m.voice.quoted(m.lists.src.origins[o.fact(q.ndx).origin].full(path))
	m.voice.say(wire.CodeErrorXfer, "rsync: [sender] read errors mapping %s: %s", name, output.Strerror(shrunk(source.Err)))
}

// shrunk makes a system error of a file that ended too early.
func shrunk(err error) error {
	if errors.Is(err, delta.ErrShrank) || errors.Is(err, io.ErrUnexpectedEOF) {
		return syscall.ENODATA
	}
	return err
}

// settle makes sure that a file of the mirror arrives as it was at one moment.
func (m *run) settle(q *request, o *openList, digest []byte) {
	if o.facts != nil {
		return
	}
	path := m.lists.src.onDisk(o.Path(q.ndx))
	if m.job.Steady.changed(path, q.load) {
		spoil(digest)
		m.missed(q.ndx, o, ErrChanged)
		return
	}
	delete(m.failed, path) // a redo that went well
}

// contents sends the tokens and gives the digest.
func (m *run) contents(q *request, redo bool) (digest []byte, err error) {
	l := q.load
	if m.appends() && !redo {
		return m.growth(q)
	}
	if l.digest != nil {
		return m.literal(l)
	}
	sums := q.sums
	if sums == nil {
		sums = &m.nothing
	}
	m.hash.Reset()
	m.search.InPlace = m.inPlace(q)
	return m.searched(l.reader(), l.size, sums, l)
}

// searched searches a file for the peer's blocks, sends what is found and what
// is not, and gives the digest of what was hashed so far with it.
func (m *run) searched(src io.Reader, size int64, sums *delta.Sums, l *load) (digest []byte, err error) {
	var sink delta.Sink = tokens{m}
	tells := sums.Count > 0 && size > 0 && m.params.Opt.Debugs(option.DebugDeltasum, option.DebugMatched)
	if tells {
		m.tellSearch(sums, size)
		sink = &narrator{tokens: tokens{m}, sum: sums.Rolling}
	}
	found, err := m.search.Search(src, size, sums, m.blocks, m.hash, sink)
	if tells {
		m.voice.say(wire.CodeInfo, "done hash search")
	}
	m.result.Literal += found.Literal
	m.result.Matched += found.Matched
	m.found.Hits += found.Hits
	m.found.Alarms += found.Alarms
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

// inPlace reports whether the peer overwrites its basis as it goes, so that only
// blocks may be used that are still there (part 3, 3.8).
func (m *run) inPlace(q *request) bool {
	opt := m.params.Opt
	switch wire.Basis(q.basis) {
	case wire.BasisFile:
		return opt.Inplace && (m.params.Protocol >= itemFlagsMin || !opt.Backup)
	case wire.BasisPartial:
		return m.params.Compat.Has(wire.InplacePartialDir)
	}
	return false
}

// growth sends what comes behind the part that the peer has. Before protocol 30
// that part is in the digest anyway, from then on with --append-verify.
func (m *run) growth(q *request) (digest []byte, err error) {
	l := q.load
	src := l.reader()
	have := min(q.head.Size(), l.size)
	m.hash.Reset()
	skipped := io.Discard
	if m.params.Opt.Append > 1 || m.params.Protocol < 30 {
		skipped = m.hash
	}
	m.progress.skip(m, have, skipped == m.hash)
	var skipping error
	if skipped == io.Discard && l.file != nil {
		_, skipping = l.file.Seek(have, io.SeekStart)
	} else {
		_, skipping = io.CopyN(skipped, src, have)
	}
	if skipping != nil && l.short == nil {
		l.short = &delta.SourceError{Err: skipping}
	}
	return m.searched(src, l.size-have, &m.nothing, l)
}

// tokens passes what a search finds on to the encoder. A file may take long: it
// is where the end of ctx is noticed and progress is reported.
type tokens struct{ m *run }

func (t tokens) Literal(p []byte) error {
	if err := t.pass(len(p)); err != nil {
		return err
	}
	t.m.progress.literal(t.m)
	return t.m.encoder.Literal(p)
}

func (t tokens) Block(n int, data []byte) error {
	t.m.blocksSent++
	if err := t.pass(len(data)); err != nil {
		return err
	}
	t.m.progress.block(t.m)
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
	t.m.progress.move(t.m)
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
