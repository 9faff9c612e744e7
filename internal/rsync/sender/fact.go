package sender

import "lockstep/internal/fs/tree"

// fact is what answers need to know of an entry besides its name and kind.
type fact struct {
	size     int64
	mtime    int64
	nsec     uint32
	origin   int32
	uid, gid uint32
	perm     uint16
	through  bool // see where
	followed bool // see extra
}

// facts are those of a list, in the order of transmission. They are kept in
// pieces, so that a growing list is not copied.
type facts struct {
	pieces [][]fact // all but the last have factPiece
}

// factPiece is how many facts are allocated together, in all pieces but the
// first: most lists are short.
const factPiece = 4096

func (f *facts) add(one fact) {
	last := len(f.pieces) - 1
	switch {
	case last < 0:
		f.pieces = append(f.pieces, nil)
		last = 0
	case len(f.pieces[last]) == factPiece:
		f.pieces = append(f.pieces, make([]fact, 0, factPiece))
		last++
	}
	f.pieces[last] = append(f.pieces[last], one)
}

func (f *facts) at(position int) *fact { return &f.pieces[position/factPiece][position%factPiece] }

// fact is that of the entry with that index, which o must know; a zero one for
// the mirror.
func (o *openList) fact(index int32) *fact {
	switch {
	case o.facts == nil:
		return &noFact
	case index == o.Start()-1:
		return &o.dir
	}
	return o.facts.at(o.Position(index))
}

var noFact fact

// factOf is what is kept of an entry that was found there.
func factOf(m *tree.Meta, w where, followed bool) fact {
	return fact{
		size: m.Size, mtime: m.Mtime.Sec, nsec: m.Mtime.Nsec, uid: m.UID, gid: m.GID, perm: m.Perm,
		origin: w.number, through: w.through, followed: followed,
	}
}
