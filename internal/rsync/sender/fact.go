package sender

import (
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// fact is what answers need to know of an entry besides its name and kind.
type fact struct {
	size  int64
	mtime int64
	nsec  uint32
	trait
}

// trait is the part of a fact that most entries of a list share.
type trait struct {
	origin   int32
	uid, gid uint32
	perm     uint16
	through  bool // see where
	followed bool // see extra
}

// facts are those of a list, in the order of transmission, with each trait once.
type facts struct {
	packed flist.Pieces[packed]
	traits []trait
	number map[trait]uint32 // of traits, once there are two
	last   uint32           // of the trait that was added last
}

// packed is a fact as it is kept.
type packed struct {
	size, mtime int64
	nsec        uint32
	trait       uint32 // in facts.traits
}

func (f *facts) add(one fact) {
	f.packed.Add(packed{size: one.size, mtime: one.mtime, nsec: one.nsec, trait: f.numberOf(one.trait)})
}

// numberOf is the number of a trait, a new one if it is.
func (f *facts) numberOf(t trait) uint32 {
	if len(f.traits) > 0 && f.traits[f.last] == t {
		return f.last
	}
	n, known := f.number[t]
	if !known {
		n = uint32(len(f.traits))
		if f.traits = append(f.traits, t); n == 1 {
			f.number = map[trait]uint32{f.traits[0]: 0}
		}
		if n > 0 {
			f.number[t] = n
		}
	}
	f.last = n
	return n
}

func (f *facts) at(position int) fact {
	p := f.packed.At(position)
	return fact{size: p.size, mtime: p.mtime, nsec: p.nsec, trait: f.traits[p.trait]}
}

// fact is that of the entry with that index, which o must know; a zero one for
// the mirror.
func (o *openList) fact(index int32) fact {
	switch {
	case o.facts == nil:
		return fact{}
	case index == o.Start()-1:
		return o.dir
	}
	return o.facts.at(o.Position(index))
}

// factOf is what is kept of an entry that was found there.
func factOf(m *tree.Meta, w where, followed bool) fact {
	return fact{
		size: m.Size, mtime: m.Mtime.Sec, nsec: m.Mtime.Nsec,
		trait: trait{uid: m.UID, gid: m.GID, perm: m.Perm, origin: w.number, through: w.through, followed: followed},
	}
}
