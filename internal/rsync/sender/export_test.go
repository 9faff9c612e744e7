package sender

import "lockstep/internal/fs/tree"

// ParsedArgument is what parseArgument makes of a text.
type ParsedArgument struct {
	Dir, Name      string
	Slash, DotRoot bool
}

// ParseArgument is parseArgument.
func ParseArgument(text string, relative bool) (ParsedArgument, error) {
	a, err := parseArgument(text, relative)
	return ParsedArgument{a.dir, string(a.name), a.slash, a.dotRoot}, err
}

// Sanitized is sanitized.
func Sanitized(name string, relative bool) string { return sanitized(name, relative) }

// UnsafeLink is unsafeLink.
var UnsafeLink = unsafeLink

// KeptFact is what is kept of an entry of a list.
type KeptFact struct {
	Size, Mtime int64
	Nsec        uint32
	UID, GID    uint32
	Perm        uint16
	Followed    bool
}

// Kept is what facts give back of all that were added, and how many traits they
// have.
func Kept(added []KeptFact) (kept []KeptFact, traits int) {
	var f facts
	for _, a := range added {
		m := tree.Meta{Size: a.Size, Mtime: tree.Time{Sec: a.Mtime, Nsec: a.Nsec}, UID: a.UID, GID: a.GID, Perm: a.Perm}
		f.add(factOf(&m, where{}, a.Followed))
	}
	for i := range added {
		k := f.at(i)
		kept = append(kept, KeptFact{k.size, k.mtime, k.nsec, k.uid, k.gid, k.perm, k.followed})
	}
	return kept, len(f.traits)
}
