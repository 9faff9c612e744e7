package generator

import (
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// symlink makes f a symlink: step 10 of 4.1. It returns false if f was left
// out.
func (g *run) symlink(l *list, f *flist.File, have *dest.Found, statErr error, a attempt) bool {
	if g.opt.SafeLinks && g.d.Unsafe(f) {
		if g.info(option.InfoName) > 0 {
			g.text(wire.CodeInfo, fmt.Sprintf("ignoring unsafe symlink \"%s\" -> \"%s\"", g.name(f), f.Extra().Target))
		}
		return false
	}
	return g.make(l, f, have, statErr, a, g.d.Symlink)
}

// node makes f a device or a special file: step 11 of 4.1.
func (g *run) node(l *list, f *flist.File, have *dest.Found, statErr error, a attempt) bool {
	return g.make(l, f, have, statErr, a, func(f *flist.File, have *dest.Found) error {
		g.tellNode(f)
		return g.d.Mknod(f, have)
	})
}

// kindName is what a node is called where something must make way for it.
func kindName(f *flist.File) string {
	switch k := f.Meta.Kind; {
	case k == tree.Symlink:
		return "symlink"
	case k.IsDevice():
		return "device file"
	}
	return "special file"
}

// make makes what has no content, unless it is there already.
func (g *run) make(l *list, f *flist.File, have *dest.Found, statErr error, a attempt, create func(*flist.File, *dest.Found) error) bool {
	if statErr != nil {
		have = &dest.Found{} // making it tells what is wrong
	}
	if have.Exists() && g.d.SameNode(f, have) {
		g.keep(l, f, have)
		return true
	}
	base, flags := *have, wire.ItemLocalChange|wire.ItemChange
	if !have.Exists() && g.d.Alts() > 0 {
		m := g.d.BestAlt(f)
		if m.Level == dest.SameAll && len(g.opt.CopyDest) == 0 && g.same(l, f, have, m, a) {
			return true
		}
		if m.Level > dest.NoMatch {
			base = m.Found
		}
		if m.Level == dest.SameAll {
			flags = wire.ItemLocalChange | wire.ItemMatchedAlt
		}
	}
	if have.Kind == tree.Dir && !g.makeRoom(l, f, have, kindName(f)) {
		return false
	}
	g.changed()
	if !g.did(create(f, have)) {
		return false
	}
	g.spoilParent(l, f)
	if flags&wire.ItemMatchedAlt != 0 {
		g.upToDate(f, false)
	}
	g.report(f, f.Index, &base, flags, nil)
	g.succeed(f, f.Meta.Kind == tree.Symlink)
	g.lead(f)
	return true
}
