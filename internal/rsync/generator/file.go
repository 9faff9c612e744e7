package generator

import (
	"os"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// basis is what the blocks of a transfer belong to.
type basis struct {
	kind  wire.Basis
	name  string      // of a fuzzy match
	found *dest.Found // what the flags of the request compare with; nil if the file is new
	size  int64
	none  bool // there is none: everything is to be sent
}

// file decides about a regular file, from step 13 of 4.1 on. It returns false
// if the file was left out.
func (g *run) file(l *list, f *flist.File, have *dest.Found, statErr error, a attempt) bool {
	exists := statErr == nil && have.Exists()
	if !a.redo && (!g.fits(f) || exists && g.newer(f, have)) {
		return false
	}
	device := g.opt.WriteDevices && have.Kind.IsDevice()
	if exists && have.Kind != tree.File && !device {
		if !g.makeRoom(l, f, have, "regular file") {
			return false
		}
		exists = false
	}
	appends := g.opt.Append > 0 && !a.redo
	b := basis{kind: wire.BasisFile, none: true}
	if exists {
		b = basis{kind: wire.BasisFile, found: have, size: have.Size}
	}
	if g.d.Alts() > 0 && (!exists || len(g.opt.CopyDest) == 0) && !device {
		if g.alternate(l, f, have, exists, a, &b) {
			return true
		}
		if appends && b.kind != wire.BasisFile { // nothing stands that could be appended to
			b = basis{kind: wire.BasisFile, none: true}
		}
	}
	var partial dest.Found
	if g.d.PartialDir() {
		if p, err := g.d.StatPartial(f); err == nil {
			partial = p
		}
	}
	switch {
	case partial.Exists() && b.none:
		b = basis{kind: wire.BasisPartial, size: partial.Size}
		return g.request(l, f, have, b, a)
	case b.none && g.opt.Fuzzy > 0 && g.p.Protocol >= 29 && statErr == nil && !appends:
		g.fuzzyBasis(l, f, &b)
	}
	if b.none {
		if statErr != nil {
			g.d.Tell("recv_generator: failed to stat "+g.d.FullName(g.d.Path(f)), statErr)
			return false
		}
		if g.putsOff(l, f, a) {
			return true
		}
		return g.request(l, f, have, b, a)
	}
	if b.kind == wire.BasisFile && !a.redo && !device && g.unchanged(f, have) {
		if partial.Exists() {
			g.d.RemovePartial(f)
		}
		g.keep(l, f, have)
		return true
	}
	if appends && b.size >= f.Meta.Size {
		return false
	}
	if partial.Exists() {
		b = basis{kind: wire.BasisPartial, found: b.found, size: partial.Size}
	}
	return g.request(l, f, have, b, a)
}

// fits applies the limits of size.
func (g *run) fits(f *flist.File) bool {
	switch {
	case g.opt.MaxSize >= 0 && f.Meta.Size > g.opt.MaxSize:
		g.skipped(printed(f.Path) + " is over max-size")
	case g.opt.MinSize >= 0 && f.Meta.Size < g.opt.MinSize:
		g.skipped(printed(f.Path) + " is under min-size")
	default:
		return true
	}
	return false
}

// newer applies --update.
func (g *run) newer(f *flist.File, have *dest.Found) bool {
	if !g.opt.Update || have.Kind != tree.File || f.Meta.Mtime().Sec-have.Mtime.Sec >= int64(g.opt.ModifyWindow) {
		return false
	}
	g.skipped(g.name(f) + " is newer")
	return true
}

func (g *run) unchanged(f *flist.File, have *dest.Found) bool {
	same, err := g.d.QuickCheck(f, have)
	return same && err == nil
}

// keep leaves the content of a file, or of a node, as it is.
func (g *run) keep(l *list, f *flist.File, have *dest.Found) {
	changed, err := g.d.SetAttrs(f, have)
	g.did(err)
	if changed {
		g.changed()
	}
	g.upToDate(f, changed)
	g.report(f, f.Index, have, 0, nil)
	g.succeed(f, false)
	g.lead(f)
}

// alternate looks for a file in the alternate directories (4.3). It returns
// true if that settles the file; otherwise b may have become one of theirs.
func (g *run) alternate(l *list, f *flist.File, have *dest.Found, exists bool, a attempt, b *basis) bool {
	m := g.d.BestAlt(f)
	if a.redo && m.Level > dest.Exists {
		m.Level = dest.Exists
	}
	if exists && m.Level < dest.SameAll {
		return false
	}
	if m.Level == dest.SameAll && len(g.opt.CopyDest) == 0 {
		if g.same(l, f, have, m, a) {
			return true
		}
		m.Level = dest.SameContent // the link was refused
	}
	switch m.Level {
	case dest.NoMatch:
		return false
	case dest.Exists:
		*b = basis{kind: wire.Basis(m.Alt), found: &m.Found, size: m.Found.Size}
		return false
	}
	g.changed()
	if !g.did(g.d.CopyAlt(f, m.Alt, have)) {
		*b = basis{kind: wire.Basis(m.Alt), found: &m.Found, size: m.Found.Size}
		return false
	}
	g.spoilParent(l, f)
	flags := wire.ItemLocalChange
	if m.Level == dest.SameAll {
		g.upToDate(f, false)
	}
	g.report(f, f.Index, &m.Found, flags, nil)
	g.succeed(f, false)
	g.lead(f)
	return true
}

// same takes what is in an alternate directory for f: as it is (--compare-dest)
// or by a link (--link-dest). It returns false if the link cannot be made.
func (g *run) same(l *list, f *flist.File, have *dest.Found, m dest.Match, a attempt) bool {
	if len(g.opt.LinkDest) > 0 {
		g.changed()
		if !g.did(g.d.LinkAlt(f, m.Alt, have)) {
			return false
		}
		g.spoilParent(l, f)
		g.upToDate(f, false)
		if g.thorough() {
			empty := ""
			g.report(f, f.Index, &m.Found, wire.ItemLocalChange|wire.ItemMatchedAlt, &empty)
		}
		g.succeedFile(f)
		g.leadAs(f, m.Found.Inode())
		return true
	}
	if have.Exists() && !g.dry {
		g.changed()
		if err := g.d.Root().Remove(g.d.Path(f)); err != nil {
			g.d.Tell("delete_file: unlink("+g.name(f)+") failed", err)
			return true
		}
		g.spoilParent(l, f)
	}
	g.upToDate(f, false)
	g.report(f, f.Index, &m.Found, wire.ItemMatchedAlt, nil)
	g.succeedFile(f)
	// Nothing is here that other names could be linked to. If one of them is
	// transferred, this one becomes a link as well.
	if !g.putsOff(l, f, a) {
		g.leaveSet(l, f)
	}
	return true
}

// request asks for the data of a file: steps 23 to 25 of 4.1.
func (g *run) request(l *list, f *flist.File, have *dest.Found, b basis, a attempt) bool {
	if g.throttled() {
		if err := g.throttle(); err != nil {
			return true // the run is ending
		}
		defer g.work()
	}
	var content *os.File
	if !b.none && g.data && g.p.Batch == nil {
		var ok bool
		if content, ok = g.openBasis(f, have, &b, a); !ok {
			return false
		}
		if content != nil {
			defer content.Close()
		}
	}
	flags := wire.ItemTransfer
	if g.opt.Checksum && !a.redo {
		flags |= wire.ItemChange
	}
	found := b.found
	if found == nil {
		found = &dest.Found{}
	}
	if b.kind != wire.BasisFile {
		flags |= wire.ItemBasisFollows
	}
	if b.kind >= wire.BasisFuzzy {
		flags |= wire.ItemXnameFollows
	}
	flags |= g.d.Differs(f, found, flags, false)
	if g.shape.Xattrs && flags&wire.ItemXattr == 0 {
		g.d.NeedXattrs(f, found) // nothing, but the receiver learns the long values that are here
	}
	if !g.inPlace(b, have) {
		g.spoilParent(l, f)
	}
	g.await(l, f, a)
	if g.p.Batch != nil {
		g.p.Batch.Ask(f.Index)
		return true
	}
	g.header(f, f.Index, found, flags, b.kind, b.name)
	if !g.data {
		g.lead(f)
		return true
	}
	g.sums(f, content, b, a)
	return true
}
