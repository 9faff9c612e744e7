package receiver

import (
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// debug says something for a word of --debug, if that has the level.
func (m *run) debug(word option.Debug, level uint8, format string, args ...any) {
	if m.params.Opt.Debugs(word, level) {
		m.talk.Text(wire.CodeInfo, fmt.Sprintf(format, args...))
	}
}

// meet says that an echo has come.
func (m *run) meet(e *echo) {
	if !m.params.Opt.Debugs(option.DebugRecv, 1) {
		return
	}
	name := m.dest.Path(e.file)
	if name == tree.Root {
		name = "."
	}
	m.debug(option.DebugRecv, 1, "recv_files(%s)", name)
}

// tellBasis says what file the blocks of a job belong to.
func (m *run) tellBasis(j *job) {
	if !m.params.Opt.Debugs(option.DebugDeltasum, option.DebugMatched) {
		return
	}
	f, err := m.dest.Basis(j.file, m.writing(j))
	if err != nil {
		return // who needs it tells
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		m.debug(option.DebugDeltasum, option.DebugMatched, "recv mapped %s of size %d", m.dest.BasisName(j.file, m.writing(j)), info.Size())
	}
}

// narrate says what a token has brought, which begins at offset at of the file.
func (g *gather) narrate(first, blocks, literal int, at int64) {
	if blocks == 0 {
		g.m.debug(option.DebugDeltasum, option.DebugBlocks, "data recv %d at %d", literal, at)
	}
	for i := first; i < first+blocks; i++ {
		from, n := g.job.head.Block(i)
		g.m.debug(option.DebugDeltasum, option.DebugBlocks, "chunk[%d] of size %d at %d offset=%d", i, n, from, at)
		at += int64(n)
	}
}
