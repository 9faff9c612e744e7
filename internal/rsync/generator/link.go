package generator

import (
	"slices"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// linkSet is how far a set of hard links is (rsync-transfer 1.11, rsync-filelist
// 5.3). One name becomes the leader, to which all others are linked: the first
// that is as it should be, or that was transferred. Names that are met before
// are put off as long as another one is known to come, so that in a set that is
// new the last one known is transferred; names that are met while the data of
// one is on its way wait for it.
type linkSet struct {
	leader   *flist.File // in place; nil so far
	inode    tree.Inode  // its identity, zero in a dry run if it does not exist
	flying   *flist.File // its data was asked for
	deferred []*flist.File
	waits    []*flist.File
}

func (g *run) set(f *flist.File) *linkSet {
	s := g.links[f.Group()]
	if s == nil {
		s = &linkSet{}
		g.links[f.Group()] = s
	}
	return s
}

// linked reports whether f is one of several names.
func (g *run) linked(f *flist.File) bool { return f.Group() != nil && g.opt.HardLinks }

// joins links f to its leader, or has it wait for one that is on its way. If it
// does neither f is treated like any other entry.
func (g *run) joins(l *list, f *flist.File, have *dest.Found) bool {
	s := g.set(f)
	switch {
	case s.leader != nil:
		g.linkTo(l, f, s, have, g.altLink(f, s, have))
		return true
	case s.flying != nil:
		s.waits = append(s.waits, f)
		l.busy++
		g.waiting++
		return true
	}
	return false
}

// puts off reports whether f, of which nothing is there, waits for a later name
// of its set.
func (g *run) putsOff(l *list, f *flist.File, a attempt) bool {
	if !g.linked(f) || a.must || a.redo {
		return false
	}
	if m := f.Group().Members; len(m) == 0 || m[len(m)-1] == f {
		return false
	}
	s := g.set(f)
	s.deferred = append(s.deferred, f)
	l.busy++
	g.waiting++
	return true
}

// lead makes f, which is in place, the leader of its set.
func (g *run) lead(f *flist.File) {
	if !g.linked(f) {
		return
	}
	var inode tree.Inode
	if have, err := g.d.Stat(f); err == nil && have.Exists() {
		inode = have.Inode()
	}
	g.leadAs(f, inode)
}

// leadAs makes f the leader, which has that inode or would have it, and links to
// it what waits: first those that came after it, then those before, from the
// nearest on.
func (g *run) leadAs(f *flist.File, inode tree.Inode) {
	if !g.linked(f) {
		return
	}
	s := g.set(f)
	if s.leader != nil {
		return
	}
	s.leader, s.flying, s.inode = f, nil, inode
	slices.Reverse(s.deferred)
	for _, m := range append(s.waits, s.deferred...) {
		l := g.unwait(m)
		have, err := g.look(l, m)
		if err != nil {
			g.d.Tell("recv_generator: failed to stat "+g.d.FullName(g.d.Path(m)), err)
			continue
		}
		g.linkTo(l, m, s, &have, nil) // as rsync: whatever the alternates have
	}
	s.waits, s.deferred = nil, nil
}

// unwait ends the waiting of a name.
func (g *run) unwait(m *flist.File) *list {
	l, _ := g.find(m.Index)
	l.busy--
	g.waiting--
	return l
}

// leaveSet takes f, which is left out, from its set. If it was the last one
// known, the name that was put off last is transferred instead.
func (g *run) leaveSet(l *list, f *flist.File) {
	if !g.linked(f) {
		return
	}
	m := f.Group().Members
	last := len(m) > 0 && m[len(m)-1] == f
	if i := slices.Index(m, f); i >= 0 {
		f.Group().Members = slices.Delete(m, i, i+1)
	}
	if s := g.set(f); last && s.leader == nil && s.flying == nil {
		g.elect(s)
	}
}

// elect has one of the names that wait transferred.
func (g *run) elect(s *linkSet) {
	for s.leader == nil && s.flying == nil {
		var m *flist.File
		switch {
		case len(s.waits) > 0:
			m, s.waits = s.waits[0], s.waits[1:]
		case len(s.deferred) > 0:
			n := len(s.deferred) - 1
			m, s.deferred = s.deferred[n], s.deferred[:n]
		default:
			return
		}
		l := g.unwait(m)
		have, err := g.look(l, m)
		g.decide(l, m, &have, err, attempt{must: true})
	}
}

// linkTo makes f another name of its set's leader. alt is what an alternate
// directory has for it, with which the report compares; nil if none has.
func (g *run) linkTo(l *list, f *flist.File, s *linkSet, have, alt *dest.Found) {
	if have.Exists() && have.Kind != tree.Dir && have.Inode() == s.inode {
		empty := ""
		g.report(f, f.Index, have, wire.ItemLocalChange, &empty)
		g.upToDate(f, false)
		g.succeed(f, false)
		return
	}
	base := *have
	if alt != nil {
		base = *alt
	}
	if have.Kind == tree.Dir && !g.makeRoom(l, f, have, "regular file") {
		return
	}
	g.changed()
	if !g.did(g.d.Link(g.d.Path(s.leader), f, have)) {
		return
	}
	g.spoilParent(l, f)
	g.reportLink(f, &base, alt != nil, printed(g.d.Path(s.leader)))
	g.succeed(f, false)
}

// reportLink reports that f was linked to what is called leader. What was found
// in its place, or in an alternate directory if known is set, counts though it
// is of another kind.
func (g *run) reportLink(f *flist.File, base *dest.Found, known bool, leader string) {
	flags := wire.ItemLocalChange
	if base.Exists() && base.Kind != f.Meta.Kind {
		if f.Meta.Kind == tree.Symlink && g.opt.Perms && base.Perm != f.Meta.Perm {
			flags |= wire.ItemPerms
		}
		base.Kind = f.Meta.Kind
	}
	if known && len(g.opt.LinkDest) > 0 {
		g.upToDate(f, false)
		if !g.thorough() {
			return
		}
	}
	g.report(f, f.Index, base, flags, &leader)
}

// altLink is what an alternate directory has for f, if it is as the leader is, so
// that its link is nothing new; else nil.
func (g *run) altLink(f *flist.File, s *linkSet, have *dest.Found) *dest.Found {
	if have.Exists() || g.d.Alts() == 0 {
		return nil
	}
	m := g.d.BestAlt(f)
	like := f.Meta.Kind == tree.File && m.Level >= dest.SameContent
	if len(g.opt.LinkDest) > 0 {
		like = m.Level > dest.NoMatch && m.Found.Inode() == s.inode
	}
	if !like {
		return nil
	}
	return &m.Found
}
