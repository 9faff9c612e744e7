package flist

import (
	"lockstep/internal/fs/tree"
)

// writeFields writes items 6 to 17 of an entry (section 1.4) and notes in the
// delta state what it wrote.
func (e *Encoder) writeFields(flags uint32, ent *Entry, owner, group, target string) {
	m := &ent.Meta
	e.writeSize(m)
	if flags&flagSameTime == 0 {
		e.prev.mtime = e.seconds(m.Mtime)
		if e.opts.Protocol >= 30 {
			e.w.Varlong(e.prev.mtime, 4)
		} else {
			e.w.Int(int32(uint32(e.prev.mtime)))
		}
	}
	if flags&flagNsec != 0 {
		e.w.Varint(int32(m.Mtime.Nsec))
	}
	if e.opts.Crtimes && flags&flagCrtimeSame == 0 {
		e.w.Varlong(ent.Crtime.Sec, 4)
	}
	if flags&flagSameMode == 0 {
		e.prev.mode = m.Mode()
		e.w.Int(int32(e.prev.mode))
	}
	if e.opts.Atimes && !m.IsDir() && flags&flagSameAtime == 0 {
		e.prev.atime = ent.Atime.Sec
		e.w.Varlong(e.prev.atime, 4)
	}
	if flags&flagSameUID == 0 {
		e.prev.uid = m.UID
		e.int30(m.UID)
		e.shortName(owner)
	}
	if flags&flagSameGID == 0 {
		e.prev.gid = m.GID
		e.int30(m.GID)
		e.shortName(group)
	}
	e.writeRdev(flags, m)
	if m.Kind == tree.Symlink && e.opts.Links {
		e.int30(uint32(len(target)))
		e.w.Write([]byte(target))
	}
	e.writeInode(flags, ent)
	e.writeSum(ent)
}

// shortName writes a user or group name that its flag announced.
func (e *Encoder) shortName(name string) {
	if name != "" {
		e.w.Byte(byte(len(name)))
		e.w.Write([]byte(name))
	}
}

// ownerNames are the names that go with ids which are sent; their flags are
// added to flags. An abbreviated entry sends no ids.
func (e *Encoder) ownerNames(ent *Entry, partner *linkGroup, flags *uint32) (owner, group string) {
	if partner != nil && partner.index >= e.list.start {
		return "", ""
	}
	if *flags&flagSameUID == 0 {
		if owner = e.inline(&e.users, ent.Meta.UID); owner != "" {
			*flags |= flagUserName
		}
	}
	if *flags&flagSameGID == 0 {
		if group = e.inline(&e.groups, ent.Meta.GID); group != "" {
			*flags |= flagGroupName
		}
	}
	return owner, group
}

// writeSize writes the size, which devices and specials do not have.
func (e *Encoder) writeSize(m *tree.Meta) {
	size := m.Size
	if m.Kind.IsDevice() || m.Kind.IsSpecial() || size < 0 {
		size = 0
	}
	if e.opts.Protocol >= 30 {
		e.w.Varlong(size, 3)
	} else {
		e.w.Longint(size)
	}
}

// rdevFlags are the flag bits that shorten a device number.
func (e *Encoder) rdevFlags(m *tree.Meta) uint32 {
	if !e.opts.hasRdev(m.Kind) {
		return 0
	}
	special := m.Kind.IsSpecial()
	var flags uint32
	switch {
	case e.opts.Protocol == 27:
		if special || rdev27(m) == e.prev.rdev {
			flags |= flagSameRdev27
		}
		return flags
	case special || m.Major == e.prev.major:
		flags |= flagSameMajor
	}
	if e.opts.Protocol < 30 && (special || m.Minor <= 255) {
		flags |= flagMinor8
	}
	return flags
}

// rdev27 is a device number as Linux packs it into 32 bits.
func rdev27(m *tree.Meta) uint32 {
	return m.Minor&0xff | m.Major<<8 | (m.Minor&^0xff)<<12
}

// writeRdev writes the device number. A special has none: it sends minor 0
// where the protocol asks for something.
func (e *Encoder) writeRdev(flags uint32, m *tree.Meta) {
	if e.opts.Protocol == 27 && !m.Kind.IsDevice() && !m.Kind.IsSpecial() {
		e.prev.rdev = 0
	}
	if !e.opts.hasRdev(m.Kind) {
		return
	}
	if e.opts.Protocol == 27 {
		if flags&flagSameRdev27 == 0 {
			e.prev.rdev = rdev27(m)
			e.w.Int(int32(e.prev.rdev))
		}
		return
	}
	if flags&flagSameMajor == 0 {
		e.prev.major = m.Major
		e.int30(m.Major)
	}
	minor := m.Minor
	if m.Kind.IsSpecial() {
		minor = 0
	}
	if flags&flagMinor8 != 0 && e.opts.Protocol < 30 {
		e.w.Byte(byte(minor))
	} else {
		e.int30(minor)
	}
}

// writeSum writes the -c checksum: of regular files, at protocol 27 of
// everything. A file that could not be read has zeros (section 2.6 of part 3).
func (e *Encoder) writeSum(ent *Entry) {
	if !e.opts.hasSum(ent.Meta.Kind) {
		return
	}
	var sum [maxSumLen]byte
	if ent.Meta.Kind == tree.File && len(ent.Sum) == e.opts.SumLen {
		copy(sum[:], ent.Sum)
	}
	e.w.Write(sum[:e.opts.SumLen])
}
