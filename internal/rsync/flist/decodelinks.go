package flist

import (
	"lockstep/internal/fs/tree"
)

// linkSets are the sets of a session with -H.
type linkSets struct {
	byIndex map[int32]*LinkGroup      // protocol 30 and up: by the index of the first name
	byInode map[tree.Inode]*LinkGroup // below
}

// readReference reads which set a later name of a linked file belongs to
// (section 5.2); inList says that its first name is in this list, so that
// nothing else is sent of it. For other entries the result is -1.
func (d *Decoder) readReference(flags uint32) (set int32, inList bool) {
	if d.opts.Protocol < 30 || flags&flagLinked == 0 || flags&flagLinkFirst != 0 {
		return -1, false
	}
	set = d.in.varint()
	b := d.list
	if set < 0 || int64(set) >= int64(b.start)+int64(len(b.files)) {
		d.in.failf(ErrProtocol, "hard link to entry %d of %d", set, int(b.start)+len(b.files))
		return -1, false
	}
	if set < b.start {
		return set, false
	}
	if _, ok := b.founded[set]; !ok {
		d.in.failf(ErrProtocol, "hard link to entry %d, which is not linked", set)
	}
	return set, true
}

// copyLinked makes f what the first name of its set is, and moves the delta
// state there.
func (d *Decoder) copyLinked(f *File, set int32) {
	if d.in.err != nil {
		return
	}
	first := d.list.files[set-d.list.start]
	f.Meta = first.Meta
	if first.extra != nil {
		x := *first.extra
		x.access, x.initial = 0, 0
		f.extra = &x
	}
	s := d.list.founded[set]
	p := &d.prev
	p.mode, p.mtime, p.uid, p.gid, p.atime = s.mode, s.mtime, s.uid, s.gid, s.atime
	if f.Meta.Kind.IsDevice() {
		p.major = s.major
	}
	f.Meta.UID, f.Meta.GID = 0, 0
	if d.opts.Owner {
		f.Meta.UID = s.uid
	}
	if d.opts.Group {
		f.Meta.GID = s.gid
	}
}

// join makes f a member of its set, from protocol 30 on.
func (d *Decoder) join(flags uint32, f *File, set int32) {
	if d.opts.Protocol < 30 || flags&flagLinked == 0 || d.in.err != nil {
		return
	}
	if f.Meta.IsDir() || !f.Meta.Exists() {
		d.in.failf(ErrProtocol, "%s %s as a hard link", f.Meta.Kind, d.wireName())
		return
	}
	first := set < 0
	if first {
		if d.list.founded == nil {
			d.list.founded = make(map[int32]state)
		}
		set = d.list.start + int32(len(d.list.files))
		d.list.founded[set] = d.prev
	}
	if !d.opts.HardLinks {
		return
	}
	if first {
		if d.links.byIndex == nil {
			d.links.byIndex = make(map[int32]*LinkGroup)
		}
		d.links.byIndex[set] = new(LinkGroup)
	}
	g := d.links.byIndex[set]
	if g == nil {
		d.in.failf(ErrProtocol, "hard link to entry %d, which is not linked", set)
		return
	}
	f.Own().Group = g
}

// readInode reads device and inode below protocol 30 (section 5.1).
func (d *Decoder) readInode(flags uint32, f *File) {
	linked := flags&flagLinked != 0
	if d.opts.Protocol == 27 {
		linked = f.Meta.Kind == tree.File
	}
	if !d.opts.HardLinks || !linked {
		return
	}
	if f.Meta.IsDir() || !f.Meta.Exists() {
		d.in.failf(ErrProtocol, "%s %s as a hard link", f.Meta.Kind, d.wireName())
	}
	if d.opts.Protocol == 27 || flags&flagSameDev == 0 {
		d.prev.dev = uint64(d.in.longint()) - 1
	}
	inode := tree.Inode{Dev: d.prev.dev, Ino: uint64(d.in.longint())}
	if d.links.byInode == nil {
		d.links.byInode = make(map[tree.Inode]*LinkGroup)
	}
	g := d.links.byInode[inode]
	if g == nil {
		g = new(LinkGroup)
		d.links.byInode[inode] = g
	}
	f.Own().Group = g
}

// dissolve removes sets of one name from a list that is the only one.
func dissolve(files []*File) {
	for _, f := range files {
		if g := f.Group(); g != nil && !f.Dup {
			g.names++
		}
	}
	for _, f := range files {
		if g := f.Group(); g != nil && (g.names < 2 || f.Dup) {
			f.Own().Group = nil
		}
	}
}
