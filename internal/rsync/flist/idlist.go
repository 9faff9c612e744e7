package flist

import (
	"maps"
	"slices"

	"lockstep/internal/rsync/wire"
)

// idLists writes the names of the ids that travelled (section 4.2):
//
//	{ id:v30 (not 0) len:byte name }*  0:v30  [len:byte name-of-id-0]
func (e *Encoder) idLists() {
	if e.opts.Owner || e.opts.ACLs {
		e.idList(&e.users)
	}
	if e.opts.Group || e.opts.ACLs {
		e.idList(&e.groups)
	}
}

func (e *Encoder) idList(t *idTable) {
	for _, id := range slices.Sorted(maps.Keys(t.seen)) {
		if name := t.name(id); id != 0 && name != "" {
			e.int30(id)
			e.shortName(name)
		}
	}
	e.int30(0)
	if e.opts.Compat&wire.ID0Names != 0 {
		name := t.name(0)
		e.w.Byte(byte(len(name)))
		e.w.Write([]byte(name))
	}
}

// idNames is what a Decoder knows of the ids of one kind.
type idNames struct {
	names       map[uint32]string
	owners, acl idCache // the two are not mapped alike
}

func (t *idNames) set(id uint32, name string) {
	if t.names == nil {
		t.names = make(map[uint32]string)
	}
	t.names[id] = name
}

// idCache remembers what ids are here: asking may read the user database.
type idCache struct {
	known map[uint32]uint32
	last  uint32 // the id asked for last, and what it is here
	here  uint32
	any   bool
}

// IDKind is what an id is of, as messages have it.
type IDKind string

// The kinds.
const (
	UserID  IDKind = "uid"
	GroupID IDKind = "gid"
)

// mapper is what maps ids of a kind, and tells so.
func (d *Decoder) mapper(kind IDKind, ask func(uint32, string) uint32) func(uint32, string) uint32 {
	if d.recv.Mapped == nil || d.opts.NumericIDs {
		return ask
	}
	return func(id uint32, name string) uint32 {
		here := ask(id, name)
		d.recv.Mapped(kind, id, name, here)
		return here
	}
}

// local is the id here of a sender's id.
func (c *idCache) local(id uint32, names map[uint32]string, ask func(uint32, string) uint32) uint32 {
	if c.any && c.last == id {
		return c.here
	}
	here, ok := c.known[id]
	if !ok {
		here = ask(id, names[id])
		if c.known == nil {
			c.known = make(map[uint32]uint32)
		}
		c.known[id] = here
	}
	c.last, c.here, c.any = id, here, true
	return here
}

// idLists reads the lists that idLists of an Encoder writes.
func (d *Decoder) idLists() {
	if d.opts.Owner || d.opts.ACLs {
		d.idList(&d.users)
	}
	if d.opts.Group || d.opts.ACLs {
		d.idList(&d.groups)
	}
}

func (d *Decoder) idList(t *idNames) {
	for d.in.err == nil {
		id := uint32(d.in.int30())
		if id == 0 {
			break
		}
		t.set(id, d.in.shortName())
	}
	if d.opts.Compat&wire.ID0Names != 0 {
		t.set(0, d.in.shortName())
	}
}

// mapIDs replaces the sender's ids, now that all names are known that go with
// them.
func (d *Decoder) mapIDs(files []*File) {
	d.nameRoot()
	user, group := d.mapper(UserID, d.recv.IDs.User), d.mapper(GroupID, d.recv.IDs.Group)
	for _, f := range files {
		if d.opts.Owner {
			f.Meta.UID = d.users.owners.local(f.Meta.UID, d.users.names, user)
		}
		if d.opts.Group {
			f.Meta.GID = d.groups.owners.local(f.Meta.GID, d.groups.names, group)
		}
	}
	if d.opts.ACLs {
		d.access.mapIDs(d)
		d.initial.mapIDs(d)
		for _, f := range files {
			if x := f.extra; x != nil {
				x.Access = d.access.kernel(x.access, f.Meta.Perm)
				x.Default = d.initial.kernel(x.initial, f.Meta.Perm)
			}
		}
	}
}

// nameRoot calls id 0 root where the sender cannot say what it is called.
func (d *Decoder) nameRoot() {
	if d.opts.Compat&wire.ID0Names == 0 && d.opts.listNames() {
		d.users.set(0, "root")
		d.groups.set(0, "root")
	}
}
