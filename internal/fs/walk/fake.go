package walk

import (
	"fmt"

	"lockstep/internal/fs/tree"
)

// The attributes in which --fake-super keeps what only root could set
// (rsync-filelist 6.2). FakePrefix comes before the name of any attribute
// outside of user.
const (
	FakePrefix  = "user.rsync."
	FakeStat    = "user.rsync.%stat"
	FakeAccess  = "user.rsync.%aacl"
	FakeDefault = "user.rsync.%dacl"
)

// Fake is the value of FakeStat:
//
//	MODE MAJOR,MINOR UID:GID
//
// MODE is st_mode in octal, the others are decimal.
type Fake struct {
	Mode                   uint32
	Major, Minor, UID, GID uint32
}

// ParseFake reads a FakeStat.
func ParseFake(value []byte) (Fake, error) {
	var f Fake
	n, err := fmt.Sscanf(string(value), "%o %d,%d %d:%d", &f.Mode, &f.Major, &f.Minor, &f.UID, &f.GID)
	if err != nil || n != 5 {
		return Fake{}, fmt.Errorf("attribute %s with value %s is corrupt", FakeStat, tree.Quote(string(value[:min(len(value), 64)])))
	}
	if _, ok := tree.KindOfMode(f.Mode); !ok {
		return Fake{}, fmt.Errorf("attribute %s with mode %o", FakeStat, f.Mode)
	}
	return f, nil
}

// Value is f as an attribute.
func (f Fake) Value() []byte {
	return fmt.Appendf(nil, "%o %d,%d %d:%d", f.Mode, f.Major, f.Minor, f.UID, f.GID)
}

// FakeOf is what has to be kept of m.
func FakeOf(m tree.Meta) Fake {
	f := Fake{Mode: m.Mode(), UID: m.UID, GID: m.GID}
	if m.Kind.IsDevice() {
		f.Major, f.Minor = m.Major, m.Minor
	}
	return f
}

// Overlay is m as it is pretended to be.
func (f Fake) Overlay(m tree.Meta) tree.Meta {
	kind, ok := tree.KindOfMode(f.Mode)
	if !ok {
		return m
	}
	m.Kind, m.Perm, m.UID, m.GID = kind, uint16(f.Mode&tree.PermMask), f.UID, f.GID
	m.Major, m.Minor = 0, 0
	if kind.IsDevice() {
		m.Major, m.Minor = f.Major, f.Minor
	}
	return m
}
