package flist

import (
	"encoding/binary"
	"fmt"
)

// With --fake-super ACLs are kept in attributes of rsync's own (section 6.1),
// all values being 32 bits, little-endian:
//
//	user group mask other { id access }*
//
// 0x80 stands for what is absent; the highest bit of an access marks a user.
const (
	fakeAbsent = 0x80
	fakeUser   = 1 << 31
	fakeHeader = 16
	fakeEntry  = 8
)

// FakeACL turns an ACL, as File.Access and File.Default have it, into the value
// of user.rsync.%aacl or, if access is false, user.rsync.%dacl.
func FakeACL(value []byte, access bool) ([]byte, error) {
	a, err := parseACL(value)
	if err != nil {
		return nil, err
	}
	if access {
		perm := uint16(a.mask) << 3 // the group's bits in the mode
		if a.has&wireMask == 0 {
			perm = uint16(a.group) << 3
		}
		mask := a.has & wireMask
		a = a.reduce(perm)
		a.has |= mask
	}
	out := make([]byte, 0, fakeHeader+fakeEntry*len(a.named))
	for _, o := range a.parts() {
		v := uint32(*o.perm)
		if a.has&o.bit == 0 {
			v = fakeAbsent
		}
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	for _, n := range a.named {
		v := uint32(n.perm)
		if !n.isGroup {
			v |= fakeUser
		}
		out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, n.id), v)
	}
	return out, nil
}

// FromFakeACL is the way back; perm are the permissions that go with the ACL.
func FromFakeACL(stored []byte, access bool, perm uint16) ([]byte, error) {
	if len(stored) < fakeHeader || (len(stored)-fakeHeader)%fakeEntry != 0 {
		return nil, fmt.Errorf("stored ACL of %d bytes", len(stored))
	}
	var a acl
	for i, o := range a.parts() {
		switch v := binary.LittleEndian.Uint32(stored[4*i:]); {
		case v <= 7:
			*o.perm, a.has = uint8(v), a.has|o.bit
		case v != fakeAbsent:
			return nil, fmt.Errorf("stored ACL with permissions %#x", v)
		}
	}
	for rest := stored[fakeHeader:]; len(rest) > 0; rest = rest[fakeEntry:] {
		id, v := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
		if v&^fakeUser > 7 {
			return nil, fmt.Errorf("stored ACL entry with permissions %#x", v)
		}
		a.named = append(a.named, aclNamed{isGroup: v&fakeUser == 0, perm: uint8(v & 7), id: id})
	}
	a, err := a.normal()
	if err != nil {
		return nil, err
	}
	if access {
		return a.fit(perm).kernel(), nil
	}
	return a.complete(perm).kernel(), nil
}
