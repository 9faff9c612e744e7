package mirror

import "lockstep/internal/fs/tree"

// Index gives tests the mirror's memory of the source.
type Index = index

// The index as tests use it.
var (
	NewIndex = newIndex
	StampOf  = stampOf
)

func (x *index) Put(p tree.Path, m tree.Meta) int               { return x.put(p, m) }
func (x *index) Remove(p tree.Path) int                         { return x.remove(p) }
func (x *index) Rename(from, to tree.Path)                      { x.rename(from, to) }
func (x *index) Has(p tree.Path) (known, dir bool)              { return x.has(p) }
func (x *index) Siblings(p tree.Path, m tree.Meta) []tree.Path  { return x.siblings(p, m) }
func (x *index) Fill(d tree.Path, m tree.Meta, es []tree.Entry) { x.fill(d, m, es) }
func (x *index) Differs(d tree.Path, es []tree.Entry) []string  { return x.differs(d, es) }
func (x *index) Counts() (files, dirs int)                      { return x.files, x.dirs }
func (x *index) Haunted(p tree.Path) []tree.Path                { return x.haunted(p) }
