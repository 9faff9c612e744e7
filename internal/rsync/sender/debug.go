package sender

import (
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// The lines of --debug that take more than a text. Who calls these has seen that
// the level is on, or they see to it first of all.

// made says that what is left of the entries of a directory is listed.
func (l *dirListing) made(s *source) {
	if s.params.Opt.Debugs(option.DebugFilter, option.DebugMerged) && !s.careful {
		l.notes = append([]string{"[sender] pushing local filters for " + l.where.origin.dirName(l.path)}, l.notes...)
	}
	if s.params.Opt.Debugs(option.DebugFlist, option.DebugListed) && !s.careful {
		for _, e := range l.entries {
			l.notes = append(l.notes, "[sender] make_file("+string(l.path.Join(e.Name))+",*,2)")
		}
	}
}

// dirName is a directory of the list with a slash, as messages have it.
func (o *origin) dirName(p tree.Path) string {
	if p = o.below(p); p == tree.Root {
		return joined(o.label, "")
	}
	return joined(o.label, string(p)) + "/"
}

// left says that a directory of the only list is done, with all below it.
func (l *lister) left() {
	if !l.incremental() && !l.src.careful {
		l.voice.debug(option.DebugFilter, option.DebugMerged, "[sender] popping local filters")
	}
}

// sourceName is an entry with the directory of its argument as that was given.
func (m *run) sourceName(ndx int32, o *openList) string {
	path, _ := o.what(ndx)
	from := m.lists.src.origins[o.fact(ndx).origin]
	prefix := from.prefix
	if prefix != "" && strings.HasPrefix(from.dir, "/") && !m.params.Daemon {
		prefix = "/" + prefix
	}
	return joined(prefix, shown(path))
}

// tellEntered says that an argument is looked for in another directory than the
// one before.
func (l *lister) tellEntered(dir string) {
	if dir = strings.TrimSuffix(dir, "/"); dir == l.inside {
		return
	}
	l.inside = dir
	if l.src.params.Opt.Debugs(option.DebugChdir, 1) {
		l.voice.say(wire.CodeInfo, "[sender] change_dir(%s)", l.src.job.Sources.labelOf(dir))
	}
}

// tellHead says what a request has of the peer's file.
func (m *run) tellHead(q *request) {
	if !m.params.Opt.Debugs(option.DebugDeltasum, option.DebugBlocks) {
		return
	}
	m.voice.say(wire.CodeInfo, "count=%d n=%d rem=%d", q.head.Count, q.head.BlockLen, q.head.Remainder)
	if q.sums == nil {
		return
	}
	for i := range int(q.head.Count) {
		at, n := q.head.Block(i)
		m.voice.say(wire.CodeInfo, "chunk[%d] len=%d offset=%d sum1=%08x", i, n, at, q.sums.Rolling(i))
	}
}

// tellSearch says that a file is searched for blocks.
func (m *run) tellSearch(sums *delta.Sums, size int64) {
	m.voice.say(wire.CodeInfo, "built hash table")
	m.voice.say(wire.CodeInfo, "hash search b=%d len=%d", sums.BlockLen, size)
	if m.params.Opt.Debugs(option.DebugDeltasum, option.DebugBlocks) {
		m.voice.say(wire.CodeInfo, "hash search s->blength=%d len=%d count=%d", sums.BlockLen, size, sums.Count)
	}
}

// narrator is tokens that says where blocks are found.
type narrator struct {
	tokens
	at, last int64              // in the file: the next byte, and the end of the last block
	sum      func(n int) uint32 // of a block
}

func (n *narrator) Literal(p []byte) error {
	n.at += int64(len(p))
	return n.tokens.Literal(p)
}

func (n *narrator) Block(number int, data []byte) error {
	if n.m.params.Opt.Debugs(option.DebugDeltasum, option.DebugBlocks) {
		n.m.voice.say(wire.CodeInfo, "potential match at %d i=%d sum=%08x", n.at, number, n.sum(number))
	}
	n.m.voice.say(wire.CodeInfo, "match at %d last_match=%d j=%d len=%d n=%d", n.at, n.last, number, len(data), n.at-n.last)
	n.at += int64(len(data))
	n.last = n.at
	return n.tokens.Block(number, data)
}
