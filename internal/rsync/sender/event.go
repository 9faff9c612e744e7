package sender

import (
	"encoding/hex"
	"io"
	"slices"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// event is the entry of a request as it is shown.
func (m *run) event(q *request, o *openList) *output.Event {
	f := o.fact(q.ndx)
	path, kind := o.what(q.ndx)
	e := &output.Event{
		Flags: wire.Item(q.iflags), Path: path, Dir: m.lists.src.origins[f.origin].prefix, Sending: true,
		Meta: tree.Meta{
			Kind: kind, Perm: f.perm, UID: f.uid, GID: f.gid, Size: f.size,
			Mtime: tree.Time{Sec: f.mtime, Nsec: f.nsec},
		},
		HasXname: q.iflags&itemXname != 0, NoGroup: !m.params.Opt.Group,
	}
	if !m.params.Opt.Owner { // of what is not kept rsync knows nothing
		e.Meta.UID = 0
	}
	if m.params.Protocol < itemFlagsMin {
		e.Flags |= wire.ItemMissingDetails
	}
	if kind == tree.Symlink {
		if e.Flags&wire.ItemTime != 0 && !m.params.Compat.Has(wire.SymlinkTimes) {
			e.Flags |= wire.ItemTimeFail
		}
		e.Target = o.targets[int32(o.Position(q.ndx))]
	}
	if e.HasXname && q.iflags&itemLocal != 0 {
		e.Leader = q.xname
	}
	e.Digits, e.Digest = m.digest(q, o)
	return e
}

// note counts what the peer creates.
func (m *run) note(q *request, o *openList) {
	if q.iflags&itemNew == 0 || m.params.Protocol < itemFlagsMin {
		return
	}
	m.result.New++
	if o.facts == nil {
		return
	}
	_, kind := o.what(q.ndx)
	count(&m.result.Created, kind)
}

// reported shows an item report.
func (m *run) reported(q *request, o *openList) {
	m.note(q, o)
	if m.voice.items && o.facts != nil {
		m.params.Talk.Item(m.event(q, o), false)
	}
}

// sends shows that the data of a file comes next.
func (m *run) sends(q *request, o *openList) *output.Event {
	m.note(q, o)
	if !m.voice.items || o.facts == nil {
		return nil
	}
	e := m.event(q, o)
	m.params.Talk.Item(e, true)
	return e
}

// transferred shows what it took to send it.
func (m *run) transferred(q *request, e *output.Event, digest []byte) {
	if e == nil {
		return
	}
	e.Bytes = m.tally.n
	e.SumBytes = sumHeadSize + int64(q.head.Count)*int64(4+q.head.S2Len)
	m.told(e, digest)
}

// told shows what was sent, with its digest.
func (m *run) told(e *output.Event, digest []byte) {
	if !m.params.Opt.Checksum && digest != nil && m.params.Xfer != checksum.MD4Old {
		e.Digest = digestText(m.params.Xfer, digest)
	}
	m.params.Talk.Item(e, false)
}

// sumHeadSize is that of the four numbers before the block sums.
const sumHeadSize = 16

// digest is the length of digests in the formats, and that of an entry if the
// list has one (-c). What protocols below 30 use by themselves is not shown.
func (m *run) digest(q *request, o *openList) (digits int, text string) {
	algo := m.params.Xfer
	if m.params.Opt.Checksum {
		algo = m.params.File
		if o.sums != nil && o.Contains(q.ndx) && m.params.Xfer != checksum.MD4Old {
			text = digestText(algo, o.sums[int32(o.Position(q.ndx))])
		}
	}
	return 2 * algo.Size(), text
}

// digestText is a digest as people write it: those of the xxh family travel with
// their last byte first.
func digestText(algo checksum.Algo, digest []byte) string {
	switch algo {
	case checksum.None:
		return ""
	case checksum.XXH64, checksum.XXH3, checksum.XXH128:
		digest = slices.Clone(digest)
		slices.Reverse(digest)
	}
	return hex.EncodeToString(digest)
}

// tally counts what is written for one file.
type tally struct {
	w io.Writer
	n int64
}

func (t *tally) Write(p []byte) (int, error) {
	t.n += int64(len(p))
	return t.w.Write(p)
}

// headerSize is the length of what header writes.
func (m *run) headerSize(q *request) int64 {
	if m.params.Protocol < itemFlagsMin {
		return 4
	}
	n := int64(2)
	switch diff := int64(q.ndx) - int64(m.answered); {
	case m.params.Protocol < 30:
		n += 4
	case diff > 0 && diff < 0xfe:
		n++
	case diff >= 0 && diff <= 0x7fff:
		n += 3
	default:
		n += 5
	}
	m.answered = q.ndx
	if q.iflags&itemBasis != 0 {
		n++
	}
	if q.iflags&itemXname != 0 {
		n += int64(len(q.xname)) + 1
		if len(q.xname) > 0x7f {
			n++
		}
	}
	return n
}
