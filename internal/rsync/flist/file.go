package flist

import "lockstep/internal/fs/tree"

// File is one entry as a receiving side holds it.
type File struct {
	Path  tree.Path // below the transfer root, "" for the root itself
	Index int32     // as requests name it
	// Meta has what travels: kind, permissions, size, modification time, device
	// numbers, and owner and group as they are to be here.
	Meta          tree.Meta
	Atime, Crtime tree.Time

	Top, Content, Implied bool // of directories (section 1.3); Content: its contents are listed
	Gone                  bool // a missing argument: the name is to be removed
	Dup                   bool // a duplicate, or pruned: its index stands, it is never processed
	Skip                  bool // the generator's: what is below is left alone
	slash                 bool // the name that travelled began with one

	Target          string // of a symlink
	Sum             []byte // with -c
	Group           *LinkGroup
	Access, Default []byte // ACLs in the kernel's form, for Meta.Perm; nil is none
	Xattrs          int32  // number of the attribute set, see XattrSets; 0 is none

	access, initial int32 // numbers of the ACLs, until ids are known
}

// LinkGroup is the names of one file, in the order of their indexes as far as
// they are known. It belongs to the generator's goroutine: Lists fills it when a
// list is taken.
type LinkGroup struct {
	Members []*File
	names   int32 // in a list that is the only one
}
