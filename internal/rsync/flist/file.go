package flist

import "lockstep/internal/fs/tree"

// File is one entry as a receiving side holds it. There may be millions, so it
// is kept small: what only some entries have, or entries of some sessions, is in
// an Extra of its own.
type File struct {
	Path   tree.Path // below the transfer root, "" for the root itself
	Meta   Meta
	Index  int32 // as requests name it
	Xattrs int32 // number of the attribute set, see XattrSets; 0 is none

	Top, Content, Implied bool // of directories (section 1.3); Content: its contents are listed
	Gone                  bool // a missing argument: the name is to be removed
	Dup                   bool // a duplicate, or pruned: its index stands, it is never processed
	slash                 bool // the name that travelled began with one

	extra *Extra // nil: all zero
}

// Meta is what travels of a tree.Meta, but for device numbers; owner and group
// are as they are to be here.
type Meta struct {
	Size     int64 // bytes
	sec      int64 // these two are a tree.Time without its padding
	nsec     uint32
	UID, GID uint32
	Perm     uint16 // the 12 bits of tree.PermMask
	Kind     tree.Kind
}

// MetaOf is what a Meta has of m.
func MetaOf(m tree.Meta) Meta {
	return Meta{sec: m.Mtime.Sec, nsec: m.Mtime.Nsec, Size: m.Size, UID: m.UID, GID: m.GID, Perm: m.Perm, Kind: m.Kind}
}

// Mtime is the modification time.
func (m Meta) Mtime() tree.Time { return tree.Time{Sec: m.sec, Nsec: m.nsec} }

// Exists reports whether anything is to be there.
func (m Meta) Exists() bool { return m.Kind != tree.Missing }

// IsDir reports whether m is a directory.
func (m Meta) IsDir() bool { return m.Kind == tree.Dir }

// Mode is m as a Unix st_mode.
func (m Meta) Mode() uint32 { return m.Kind.TypeBits() | uint32(m.Perm) }

// Extra is what a File can have beyond its Meta.
type Extra struct {
	Atime, Crtime   tree.Time
	Target          string     // of a symlink
	Sum             []byte     // with -c
	Access, Default []byte     // ACLs in the kernel's form, for Meta.Perm; nil is none
	Major, Minor    uint32     // of a device
	Group           *LinkGroup // nil if it has no other names

	access, initial int32 // numbers of the ACLs, until ids are known
}

var noExtra Extra

// Extra is for looking at.
func (f *File) Extra() *Extra {
	if f.extra == nil {
		return &noExtra
	}
	return f.extra
}

// Own is Extra to be filled in.
func (f *File) Own() *Extra {
	if f.extra == nil {
		f.extra = new(Extra)
	}
	return f.extra
}

// Group is the names of the file that f is one of, nil if it has no others.
func (f *File) Group() *LinkGroup { return f.Extra().Group }

// Full is the Meta of f with its device numbers.
func (f *File) Full() tree.Meta {
	m, x := &f.Meta, f.Extra()
	return tree.Meta{
		Kind: m.Kind, Perm: m.Perm, UID: m.UID, GID: m.GID, Size: m.Size, Mtime: m.Mtime(), Major: x.Major, Minor: x.Minor,
	}
}

// LinkGroup is the names of one file, in the order of their indexes as far as
// they are known. It belongs to the generator's goroutine: Lists fills it when a
// list is taken.
type LinkGroup struct {
	Members []*File
	names   int32 // in a list that is the only one
}
