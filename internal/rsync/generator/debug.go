package generator

import (
	"encoding/binary"
	"fmt"
	"io"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

func (g *run) debug(word option.Debug, level uint8, line string) {
	if g.opt.Debugs(word, level) {
		g.text(wire.CodeInfo, line)
	}
}

// tellNode says that a device or special file is made.
func (g *run) tellNode(f *flist.File) {
	if g.opt.Debugs(option.DebugGenr, 1) {
		x := f.Extra()
		g.text(wire.CodeInfo, fmt.Sprintf("mknod(%s, 0%o, [%d,%d])", g.name(f), f.Meta.Mode(), x.Major, x.Minor))
	}
}

// tellSweep says that a directory is about to be swept. Its filters are read
// unless deletion is called off.
func (g *run) tellSweep(f *flist.File, barred bool) {
	if g.opt.Debugs(option.DebugDel, 2) {
		g.text(wire.CodeInfo, "delete_in_dir("+g.name(f)+")")
	}
	if !barred {
		g.d.TellFilters(g.d.Path(f))
	}
}

// tellNames says which entries of a directory are listed, those that filters hide
// from deletion left out.
func (g *run) tellNames(dir tree.Path, names []walk.Name, keep func(name string, isDir bool) bool) {
	if !g.opt.Debugs(option.DebugFlist, option.DebugListed) {
		return
	}
	for _, n := range names {
		if !keep(n.Name, n.IsDir()) {
			g.d.TellListed(dir.Join(n.Name), dest.AllFilters)
		}
	}
}

// tellTouch says that a directory gets its final time and mode, if they are not
// what they are to be.
func (g *run) tellTouch(dir *flist.File, number int32) {
	if g.opt.Debugs(option.DebugTime, 2) && !g.dry && !g.d.Single() && !(dir.Implied && !g.opt.ImpliedDirs) {
		g.text(wire.CodeInfo, fmt.Sprintf("touch_up_dirs: %s (%d)", g.name(dir), number))
	}
}

// tellTouches is tellTouch for all directories that are touched at the end.
func (g *run) tellTouches() {
	switch {
	case !g.opt.Debugs(option.DebugTime, 2):
	case g.inc:
		for _, l := range g.left {
			g.tellTouch(l.Dir, l.DirNumber)
		}
	case g.kin != nil:
		for i, f := range g.kin.files {
			if f.Meta.Kind == tree.Dir && !f.Dup {
				g.tellTouch(f, int32(i))
			}
		}
	}
}

// tellEntries says what was listed in a directory to find a basis in.
func (g *run) tellEntries(dir tree.Path, entries []tree.Entry) {
	if g.opt.Debugs(option.DebugFlist, option.DebugListed) {
		for _, e := range entries {
			g.d.TellListed(dir.Join(e.Name), dest.ServerFilters)
		}
	}
}

// tellSums says what is sent about a basis.
func (g *run) tellSums(f *flist.File, h delta.Head, size int64) {
	if g.opt.Debugs(option.DebugDeltasum, option.DebugMatched) {
		g.text(wire.CodeInfo, fmt.Sprintf("generating and sending sums for %d", f.Index))
		g.text(wire.CodeInfo, fmt.Sprintf("count=%d rem=%d blength=%d s2length=%d flength=%d", h.Count, h.Remainder, h.BlockLen, h.S2Len, size))
	}
}

// sumWriter is where the sums of a basis go.
func (g *run) sumWriter(h delta.Head) io.Writer {
	if g.opt.Debugs(option.DebugDeltasum, option.DebugBlocks) {
		return &narrator{g: g, head: h, one: make([]byte, 0, rollingLen+h.S2Len)}
	}
	return g.w
}

// rollingLen is how many bytes of the sums of a block are its rolling sum.
const rollingLen = 4

// narrator says what sums are sent.
type narrator struct {
	g    *run
	head delta.Head
	one  []byte // the sums of a block, as far as they have come
	n    int    // its number
}

func (n *narrator) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		k := min(cap(n.one)-len(n.one), len(rest))
		n.one, rest = append(n.one, rest[:k]...), rest[k:]
		if len(n.one) == cap(n.one) {
			at, size := n.head.Block(n.n)
			n.g.text(wire.CodeInfo, fmt.Sprintf("chunk[%d] offset=%d len=%d sum1=%08x", n.n, at, size, binary.LittleEndian.Uint32(n.one)))
			n.one = n.one[:0]
			n.n++
		}
	}
	return n.g.w.Write(p)
}
