package generator

import (
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// thorough reports whether unchanged entries are itemised too.
func (g *run) thorough() bool {
	return g.opt.Itemize > 1 || g.opt.Itemize > 0 && g.info(option.InfoName) >= 2
}

// report sends an item report: flags, and what of f differs from have, where
// there is something to tell (rsync-transfer 5.2). xname is the name of what a
// hard link is linked to, empty if it was already, nil for anything else.
func (g *run) report(f *flist.File, ndx int32, have *dest.Found, flags wire.Item, xname *string) {
	flags |= g.d.Differs(f, have, flags, xname != nil && *xname == "")
	if flags&wire.ItemSignificant == 0 && g.info(option.InfoName) < 2 && g.opt.Itemize < 2 && (xname == nil || *xname == "") {
		return
	}
	if g.p.Protocol < 29 {
		g.reportHere(f, have, flags, xname)
		return
	}
	name := ""
	if xname != nil {
		flags |= wire.ItemXnameFollows
		name = *xname
	}
	g.header(f, ndx, have, flags, wire.BasisFile, name)
}

// header sends what an item report and a request begin with (1.3).
func (g *run) header(f *flist.File, ndx int32, have *dest.Found, flags wire.Item, basis wire.Basis, xname string) {
	g.w.Ndx(g.p.Protocol, ndx)
	if g.p.Protocol < 29 {
		return
	}
	g.w.Short(uint16(flags & wire.ItemTravels))
	if flags&wire.ItemBasisFollows != 0 {
		g.w.Byte(byte(basis))
	}
	if flags&wire.ItemXnameFollows != 0 {
		// Paths are shorter than what a vstring holds.
		_ = g.w.VString(xname)
	}
	if g.data && g.shape.XattrBlock(flags) {
		g.lists.Xattrs().Ask(g.w, f.Xattrs, g.d.NeedXattrs(f, have))
	}
}

// reportHere says what happened to an entry where there are no reports on the
// wire: below protocol 29. A client that itemises shows it as always, any other
// end tells in text what was made.
func (g *run) reportHere(f *flist.File, have *dest.Found, flags wire.Item, xname *string) {
	if g.p.Batch != nil && g.opt.Itemize > 0 {
		return // a batch file itemises transfers alone
	}
	if !g.p.Server && g.opt.Itemize > 0 {
		if f.Meta.Kind == tree.Symlink && flags&wire.ItemTime != 0 {
			flags |= wire.ItemTimeFail
		}
		e := &output.Event{Flags: flags, Path: f.Path, Meta: f.Full(), Target: g.d.Target(f), NoGroup: !g.d.KeepsGroup(f.Meta.GID)}
		e.Meta.Perm = g.d.Perm(f, have)
		if xname != nil {
			e.Flags |= wire.ItemXnameFollows
			e.Leader, e.HasXname = *xname, true
		}
		g.talk.Item(e, false)
		return
	}
	if g.info(option.InfoName) == 0 || flags&wire.ItemLocalChange == 0 {
		return
	}
	name := g.name(f)
	switch {
	case xname != nil && *xname != "":
		name += " => " + *xname
	case xname != nil || f.Meta.Kind == tree.Dir:
		return
	case f.Meta.Kind == tree.Symlink:
		name += " -> " + g.d.Target(f)
	}
	g.text(wire.CodeInfo, name)
}

// upToDate says that an entry needed nothing, or only attributes.
func (g *run) upToDate(f *flist.File, changed bool) {
	if g.info(option.InfoName) < 2 || g.opt.Itemize > 0 && !(g.p.Server && g.p.Protocol < 29) {
		return
	}
	line := g.name(f)
	if f.Meta.Kind == tree.Dir {
		line += "/"
	}
	if !changed {
		line += " is uptodate"
	}
	g.text(wire.CodeInfo, line)
}
