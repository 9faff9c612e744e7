package generator

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// While source files are removed, this many requests may wait for their answer,
// and the lower number once the files have so many bytes (rsync-transfer 1.7):
// so that little is lost of what was transferred already if the session breaks.
const (
	removeWindow      = 50
	removeWindowLarge = 10
	removeBytes       = 128 << 10
)

// slow is the size in bytes from which reading a file is worth sending off
// first what was asked for before.
const slow = 1 << 20

// removes reports whether source files are removed.
func (g *run) removes() bool {
	return (g.opt.RemoveSourceFiles || g.opt.RemoveSentFiles) && !g.dry
}

// throttled reports whether only so much may be under way.
func (g *run) throttled() bool { return g.removes() && !g.opt.DelayUpdates && g.state == passing }

// throttle waits while too much is under way. As in rsync notes are taken one by
// one: what one says is acted on before the next is waited for, and what ended
// the wait once the file that waits was asked for.
func (g *run) throttle() error {
	for g.pending >= removeWindow || g.pending >= removeWindowLarge && g.pendSize >= removeBytes {
		g.work()
		if err := cmp.Or(g.fatal, g.w.Flush()); err != nil {
			return err
		}
		n, err := g.notes.Take(g.ctx)
		if err != nil {
			return err
		}
		g.take(n)
	}
	return nil
}

// openBasis opens the basis that sums are made of. The basis may become another one,
// or none; content is nil if nothing is to be read. It returns false if the
// file has to be left out.
func (g *run) openBasis(f *flist.File, have *dest.Found, b *basis, a attempt) (content *os.File, ok bool) {
	if g.opt.Inplace && g.opt.Backup && b.kind == wire.BasisFile && !a.redo {
		if _, err := g.d.BackupCopy(g.d.Path(f), have.Meta); !g.did(err) {
			return nil, false
		}
		if !g.whole {
			b.kind = wire.BasisBackup
		}
	}
	if g.whole || g.opt.Append > 0 && !a.redo || b.size == 0 {
		return nil, true
	}
	content, err := g.d.Basis(f, dest.Writing{Basis: b.kind, Xname: b.name, Redo: a.redo})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.d.Tell("failed to open "+g.d.FullName(g.d.Path(f))+", continuing", err)
		}
		*b = basis{kind: wire.BasisFile, none: true}
		return nil, true
	}
	return content, true
}

// sums sends what the sender has to know of the basis (1.4).
func (g *run) sums(f *flist.File, content *os.File, b basis, a attempt) {
	appends := g.opt.Append > 0 && !a.redo
	if b.none || content == nil && !appends {
		delta.Head{}.Write(g.w)
		return
	}
	choice := delta.Choice{Protocol: g.p.Protocol, Digest: g.p.Xfer.Size(), Block: g.opt.BlockSize, Full: a.redo}
	h, fits := choice.Head(b.size)
	if !fits {
		g.text(wire.CodeWarning, "WARNING: file is too large for checksum sending: "+g.name(f))
	}
	if b.size >= slow {
		g.flush()
	}
	if content != nil && g.opt.Debugs(option.DebugDeltasum, option.DebugBlocks) {
		name := g.d.BasisName(f, dest.Writing{Basis: b.kind, Xname: b.name, Redo: a.redo})
		g.text(wire.CodeInfo, fmt.Sprintf("gen mapped %s of size %d", name, b.size))
	}
	g.tellSums(f, h, b.size)
	h.Write(g.w)
	if appends || h.Count == 0 {
		return
	}
	err := g.signer.Sign(g.sumWriter(h), content, h, g.blocks)
	if failed := new(delta.SourceError); errors.As(err, &failed) {
		g.d.Tell("read errors mapping "+g.d.FullName(g.d.Path(f)), failed.Err)
	}
}

// flush sends off what is buffered. Errors stick to the Writer.
func (g *run) flush() {
	if g.w.Waiting() {
		_ = g.w.Flush()
	}
}

// inPlace reports whether a file is written over as it is: its directory gets and
// loses no entry then.
func (g *run) inPlace(b basis, have *dest.Found) bool {
	return g.opt.Inplace && !g.opt.Backup && b.kind == wire.BasisFile && have.Exists()
}

// await notes that the data of f was asked for.
func (g *run) await(l *list, f *flist.File, a attempt) {
	g.changed()
	if !a.redo {
		g.result.Requested++
	}
	m := l.mark(f)
	*m |= sent
	if !g.data {
		return
	}
	*m |= asked
	if a.redo {
		*m |= redone
	}
	l.busy++
	g.pending++
	g.pendSize += f.Meta.Size
	if g.linked(f) {
		g.set(f).flying = f
	}
}

// succeed tells the sender that the source of f may be removed, if it is to
// (1.7). made says that f was transferred or made just now.
func (g *run) succeed(f *flist.File, made bool) {
	if !g.removes() || f.Meta.Kind == tree.Dir || !g.opt.RemoveSourceFiles && !made {
		return
	}
	if g.p.Succeeded != nil {
		if have, err := g.d.Stat(f); err == nil {
			g.p.Succeeded(f.Index, have.Inode())
		}
		return
	}
	// A failure is that of the stream and sticks to the Writer.
	_ = g.w.Message(wire.CodeSuccess, binary.LittleEndian.AppendUint32(nil, uint32(f.Index)))
}

// succeedFile is succeed for what an alternate directory has: rsync removes the
// source of regular files only.
func (g *run) succeedFile(f *flist.File) {
	if f.Meta.Kind == tree.File {
		g.succeed(f, false)
	}
}
