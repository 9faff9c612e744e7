package flist

import (
	"encoding/binary"

	"lockstep/internal/rsync/wire"
)

// aclLists are the ACLs of one sort, in the order in which they came: later
// entries refer to them by number.
type aclLists struct {
	lists  []acl
	mapped int // lists whose ids are those of this machine
	access bool
	forms  map[aclForm][]byte // what kernel returned
}

// aclForm is an ACL for a mode.
type aclForm struct {
	number int32
	perm   uint16
}

// readACL reads one ACL, see writeACL. The result is its number, from 1.
func (d *Decoder) readACL(t *aclLists, access bool) int32 {
	in := &d.in
	t.access = access
	n := in.varint()
	if n < 0 || int64(n) > int64(len(t.lists)) {
		in.failf(wire.ErrStream, "ACL number %d of %d", n, len(t.lists))
	}
	if n != 0 || in.err != nil {
		return n
	}
	var a acl
	a.has = in.byte()
	for _, o := range a.parts() {
		if a.has&o.bit != 0 {
			*o.perm = d.aclPerm(in.varint())
		}
	}
	if a.has&wireNamed != 0 {
		a.named = d.readNamed()
	}
	if len(a.named) == 0 {
		a.has &^= wireNamed
	}
	if in.err != nil {
		return 0
	}
	t.lists = append(t.lists, a)
	return int32(len(t.lists))
}

// readNamed reads the entries of named users and groups.
func (d *Decoder) readNamed() []aclNamed {
	in := &d.in
	var named []aclNamed
	for n := in.varcount("number of named ACL entries", maxACLNamed); n > 0 && in.err == nil; n-- {
		id, x := uint32(in.varint()), in.varint()
		names := &d.groups
		if x&2 != 0 {
			names = &d.users
		}
		if x&1 != 0 {
			names.set(id, in.shortName())
		}
		named = append(named, aclNamed{isGroup: x&2 == 0, perm: d.aclPerm(x >> 2), id: id})
	}
	return named
}

func (d *Decoder) aclPerm(v int32) uint8 {
	if v < 0 || v > 7 {
		d.in.failf(wire.ErrStream, "ACL entry with permissions %#x", v)
		return 0
	}
	return uint8(v)
}

// mapIDs replaces the sender's ids in the ACLs that came with the last list. The
// reference does so without the right to give files away too, but not in
// incremental sessions with --numeric-ids, even if there is a map.
func (t *aclLists) mapIDs(d *Decoder) {
	fixed := d.recv.IDs.numbers() && d.opts.Incremental()
	for ; t.mapped < len(t.lists); t.mapped++ {
		a := &t.lists[t.mapped]
		for i := range a.named {
			switch n := &a.named[i]; {
			case fixed:
			case n.isGroup:
				n.id = d.groups.acl.local(n.id, d.groups.names, d.recv.IDs.Group)
			default:
				n.id = d.users.acl.local(n.id, d.users.names, d.recv.IDs.listed)
			}
		}
		*a, _ = a.normal() // the number of entries was checked when they were read
	}
}

// kernel is the ACL with that number for an entry of those permissions, nil if
// it says no more than they do.
func (t *aclLists) kernel(number int32, perm uint16) []byte {
	if number == 0 {
		return nil
	}
	a := t.lists[number-1]
	if t.access && a.has&(wireMask|wireNamed) == 0 || a.has == 0 {
		return nil
	}
	key := aclForm{number, perm & 0o777}
	form, ok := t.forms[key]
	if !ok {
		if t.access {
			form = a.fit(perm).kernel()
		} else {
			form = a.complete(perm).kernel()
		}
		if t.forms == nil {
			t.forms = make(map[aclForm][]byte)
		}
		t.forms[key] = form
	}
	return form
}

// fit makes a the access ACL of an object with those permissions: what reduce
// dropped is filled in, and the mode decides about everything it shows.
func (a acl) fit(perm uint16) acl {
	bits := uint8(perm >> 3 & 7)
	if a.has&wireGroupObj == 0 {
		a.group = bits
	}
	if a.has&(wireMask|wireNamed) != 0 {
		a.mask, a.has = bits, a.has|wireMask
	} else {
		a.group = bits
	}
	a.user, a.oth = uint8(perm>>6&7), uint8(perm&7)
	a.has |= wireUserObj | wireGroupObj | wireOther
	return a
}

// complete fills in what a default ACL must have and should have come with.
func (a acl) complete(perm uint16) acl {
	for _, o := range [...]struct {
		bit   byte
		value *uint8
		shift int
	}{{wireUserObj, &a.user, 6}, {wireGroupObj, &a.group, 3}, {wireOther, &a.oth, 0}} {
		if a.has&o.bit == 0 {
			*o.value, a.has = uint8(perm>>o.shift&7), a.has|o.bit
		}
	}
	if a.has&wireNamed != 0 && a.has&wireMask == 0 {
		a.mask, a.has = a.group, a.has|wireMask
		for _, n := range a.named {
			a.mask |= n.perm
		}
	}
	return a
}

// kernel is a as an attribute value.
func (a acl) kernel() []byte {
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, aclHeader+aclEntrySize*(4+len(a.named))), aclVersion)
	add := func(tag uint16, perm uint8, id uint32) {
		out = binary.LittleEndian.AppendUint16(out, tag)
		out = binary.LittleEndian.AppendUint16(out, uint16(perm))
		out = binary.LittleEndian.AppendUint32(out, id)
	}
	const none = 0xffffffff // the id of entries without one
	add(aclUserObj, a.user, none)
	groupDone := false
	for _, n := range a.named {
		if n.isGroup && !groupDone {
			add(aclGroupObj, a.group, none)
			groupDone = true
		}
		tag := uint16(aclUser)
		if n.isGroup {
			tag = aclGroup
		}
		add(tag, n.perm, n.id)
	}
	if !groupDone {
		add(aclGroupObj, a.group, none)
	}
	if a.has&wireMask != 0 {
		add(aclMask, a.mask, none)
	}
	add(aclOther, a.oth, none)
	return out
}

// FitACL is an access ACL, as File.Access has it, for an object whose
// permissions are perm after all: the mode decides about the owner, others, and
// the mask. An ACL that says no more than the mode is nil.
func FitACL(value []byte, perm uint16) []byte {
	a, err := parseACL(value)
	if err != nil || a.has&(wireMask|wireNamed) == 0 {
		return nil
	}
	return a.fit(perm).kernel()
}

// SameACL reports whether two access ACLs agree in what the mode does not show:
// whether there is a mask, what the group may, and the named entries.
func SameACL(x, y []byte) bool {
	a, errA := parseACL(x)
	b, errB := parseACL(y)
	const extended = wireMask | wireNamed
	if errA != nil || errB != nil || a.has&extended != b.has&extended {
		return false
	}
	if a.has&extended == 0 {
		return true
	}
	if a.group != b.group || len(a.named) != len(b.named) {
		return false
	}
	for i := range a.named {
		if a.named[i] != b.named[i] {
			return false
		}
	}
	return true
}
