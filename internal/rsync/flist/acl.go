package flist

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"lockstep/internal/fs/tree"
)

// What the kernel keeps in system.posix_acl_*: a version, then one record per
// entry, all little-endian.
//
//	version:4 (2) { tag:2 perm:2 id:4 }*
const (
	aclVersion   = 2
	aclHeader    = 4
	aclEntrySize = 8
	aclUserObj   = 0x01
	aclUser      = 0x02
	aclGroupObj  = 0x04
	aclGroup     = 0x08
	aclMask      = 0x10
	aclOther     = 0x20
)

// The bits of an ACL's first byte on the wire (section 6.1).
const (
	wireUserObj  = 1
	wireGroupObj = 2
	wireMask     = 4
	wireOther    = 8
	wireNamed    = 16

	maxACLNamed = 65536
)

// acl is one access control list.
type acl struct {
	has                    byte // wireUserObj … wireOther, wireNamed
	user, group, mask, oth uint8
	named                  []aclNamed // users, then groups, each by id
}

type aclNamed struct {
	isGroup bool
	perm    uint8
	id      uint32
}

// parseACL reads an attribute value; nil is an empty list.
func parseACL(value []byte) (acl, error) {
	var a acl
	if len(value) == 0 {
		return a, nil
	}
	if len(value) < aclHeader || (len(value)-aclHeader)%aclEntrySize != 0 || binary.LittleEndian.Uint32(value) != aclVersion {
		return a, fmt.Errorf("ACL of %d bytes is not in the kernel's format", len(value))
	}
	for rest := value[aclHeader:]; len(rest) > 0; rest = rest[aclEntrySize:] {
		tag, perm, id := binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint16(rest[2:]), binary.LittleEndian.Uint32(rest[4:])
		if perm > 7 {
			return acl{}, fmt.Errorf("ACL entry with permissions %#x", perm)
		}
		switch tag {
		case aclUserObj:
			a.user, a.has = uint8(perm), a.has|wireUserObj
		case aclGroupObj:
			a.group, a.has = uint8(perm), a.has|wireGroupObj
		case aclMask:
			a.mask, a.has = uint8(perm), a.has|wireMask
		case aclOther:
			a.oth, a.has = uint8(perm), a.has|wireOther
		case aclUser, aclGroup:
			a.named = append(a.named, aclNamed{isGroup: tag == aclGroup, perm: uint8(perm), id: id})
		default:
			return acl{}, fmt.Errorf("ACL entry with tag %#x", tag)
		}
	}
	return a.normal()
}

// normal puts the named entries into the order of the wire.
func (a acl) normal() (acl, error) {
	if len(a.named) > maxACLNamed {
		return acl{}, fmt.Errorf("ACL with %d named entries", len(a.named))
	}
	if len(a.named) > 0 {
		a.has |= wireNamed
	}
	slices.SortFunc(a.named, func(x, y aclNamed) int {
		return cmp.Or(cmp.Compare(class(x.isGroup), class(y.isGroup)), cmp.Compare(x.id, y.id))
	})
	return a, nil
}

func class(group bool) int {
	if group {
		return 1
	}
	return 0
}

// reduce drops from an access ACL what the mode says anyway.
func (a acl) reduce(perm uint16) acl {
	bits := uint8(perm >> 3 & 7)
	a.has &^= wireUserObj | wireOther
	if a.has&wireMask == 0 || a.group == bits {
		a.has &^= wireGroupObj
	}
	if a.has&wireNamed != 0 && a.mask == bits {
		a.has &^= wireMask
	}
	return a
}

// key is what makes two ACLs the same on the wire.
func (a acl) key() string {
	k := append([]byte{a.has}, a.objects()...)
	for _, n := range a.named {
		k = binary.LittleEndian.AppendUint32(append(k, n.perm, byte(class(n.isGroup))), n.id)
	}
	return string(k)
}

// objects are the permissions that are present, in the order of the wire.
func (a acl) objects() []uint8 {
	var perms []uint8
	for _, o := range a.parts() {
		if a.has&o.bit != 0 {
			perms = append(perms, *o.perm)
		}
	}
	return perms
}

// aclPart is one of the entries that an ACL has at most once.
type aclPart struct {
	bit  byte
	perm *uint8
}

// parts are these entries of a, in the order of the wire.
func (a *acl) parts() [4]aclPart {
	return [4]aclPart{{wireUserObj, &a.user}, {wireGroupObj, &a.group}, {wireMask, &a.mask}, {wireOther, &a.oth}}
}

// aclTable numbers the ACLs of one sort in the order of their first use.
type aclTable struct {
	numbers map[string]int32
	plain   int32 // 1 + number of the ACL without entries, 0 before its first use
}

// number is the number of the ACL with that key; found is false if it was just
// given out and a literal is due.
func (t *aclTable) number(key string) (n int32, found bool) {
	if n, found = t.numbers[key]; found {
		return n, true
	}
	if t.numbers == nil {
		t.numbers = make(map[string]int32)
	}
	n = int32(len(t.numbers))
	t.numbers[key] = n
	return n, false
}

// writeACLs writes the access ACL of everything but symlinks, and the default
// ACL of directories.
func (e *Encoder) writeACLs(ent *Entry) {
	if !e.opts.ACLs || ent.Meta.Kind == tree.Symlink {
		return
	}
	e.writeACL(&e.access, ent.Access, ent.Meta.Perm, true)
	if ent.Meta.IsDir() {
		e.writeACL(&e.defaults, ent.Default, 0, false)
	}
}

// writeACL writes one ACL. What the kernel handed out in a form that we don't
// know travels as no ACL: CheckACL lets a caller tell beforehand.
func (e *Encoder) writeACL(t *aclTable, value []byte, perm uint16, access bool) {
	if len(value) == 0 && t.plain > 0 {
		e.w.Varint(t.plain)
		return
	}
	a, err := parseACL(value)
	if err != nil {
		a = acl{}
	}
	if access {
		a = a.reduce(perm)
	}
	n, found := t.number(a.key())
	if a.has == 0 {
		t.plain = n + 1
	}
	if found {
		e.w.Varint(n + 1)
		return
	}
	e.w.Varint(0)
	e.w.Byte(a.has)
	for _, p := range a.objects() {
		e.w.Varint(int32(p))
	}
	if a.has&wireNamed != 0 {
		e.writeNamed(a.named)
	}
}

func (e *Encoder) writeNamed(named []aclNamed) {
	e.w.Varint(int32(len(named)))
	for _, n := range named {
		table, x := &e.users, int32(n.perm)<<2|2
		if n.isGroup {
			table, x = &e.groups, int32(n.perm)<<2
		}
		name := e.inline(table, n.id)
		if name != "" {
			x |= 1
		}
		e.w.Varint(int32(n.id))
		e.w.Varint(x)
		e.shortName(name)
	}
}

// CheckACL reports why an attribute value cannot be sent as an ACL.
func CheckACL(value []byte) error {
	_, err := parseACL(value)
	return err
}
