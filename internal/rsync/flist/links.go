package flist

import "lockstep/internal/fs/tree"

// linkTable finds the first name of an inode that has several (section 5.2). It
// forgets none: arguments may overlap, and symlinks be followed, so that there may
// be more entries than names.
type linkTable map[tree.Inode]*linkGroup

// linkGroup is the first transmitted member of a hard-link set.
type linkGroup struct {
	index int32 // its transmission index, which is the set's number
	state state // the values that an abbreviated member takes over
}

// linked reports whether the entry travels as a member of a hard-link set.
func (e *Encoder) linked(ent *Entry) bool {
	if !e.opts.HardLinks {
		return false
	}
	if e.opts.Protocol == 27 {
		return ent.Meta.Kind == tree.File
	}
	return ent.Meta.Exists() && ent.Meta.Linked()
}

// linkOf finds the set of an entry from protocol 30 on: first means that this
// entry founds it, otherwise partner is the founder.
func (e *Encoder) linkOf(ent *Entry) (first bool, partner *linkGroup) {
	if e.opts.Protocol < 30 || !e.linked(ent) {
		return false, nil
	}
	g := e.links[ent.Meta.Inode()]
	if g == nil || !g.same(&ent.Meta) {
		return true, nil
	}
	return false, g
}

// same guards against an inode number that was given to something else while
// the tree was read.
func (g *linkGroup) same(m *tree.Meta) bool {
	k, ok := tree.KindOfMode(g.state.mode)
	return ok && k == m.Kind
}

// declare founds a set.
func (t *linkTable) declare(ent *Entry, index int32) {
	if *t == nil {
		*t = make(linkTable)
	}
	m := &ent.Meta
	(*t)[m.Inode()] = &linkGroup{index: index, state: state{
		mode: m.Mode(), mtime: m.Mtime.Sec, atime: ent.Atime.Sec, uid: m.UID, gid: m.GID, major: m.Major,
	}}
}

// writeReference names the set of a later member. It reports whether the entry
// is abbreviated: the founder is in the same list and all fields are its own.
func (e *Encoder) writeReference(g *linkGroup) bool {
	e.w.Varint(g.index)
	return g.index >= e.list.start
}

// copyLinked moves the delta state to the values of an abbreviated entry's
// founder, as the decoder does (section 1.5).
func (s *state) copyLinked(g *linkGroup, kind tree.Kind) {
	s.mode, s.mtime, s.atime, s.uid, s.gid = g.state.mode, g.state.mtime, g.state.atime, g.state.uid, g.state.gid
	if kind.IsDevice() {
		s.major = g.state.major
	}
}

// writeInode writes device and inode below protocol 30 (section 5.1).
func (e *Encoder) writeInode(flags uint32, ent *Entry) {
	if e.opts.Protocol >= 30 || !e.linked(ent) {
		return
	}
	if e.opts.Protocol == 27 || flags&flagSameDev == 0 {
		e.prev.dev = ent.Meta.Dev
		e.w.Longint(int64(ent.Meta.Dev + 1))
	}
	e.w.Longint(int64(ent.Meta.Ino))
}
