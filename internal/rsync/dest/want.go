package dest

import (
	"encoding/binary"
	"sync"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

const (
	permBits = 0o777
	execBits = 0o111
)

// Want is the metadata that f is to have where have is now, as far as owner,
// group and permissions are concerned (rsync-transfer 4.9). What can't be set
// is as in have, or as a new file gets it.
func (d *Dest) Want(f *flist.File, have *Found) tree.Meta {
	want := f.Full()
	if !d.opt.Owner || !d.Super() {
		want.UID = d.me.uid
		if have.Exists() {
			want.UID = have.UID
		}
	}
	if !d.KeepsGroup(want.GID) {
		want.GID = d.me.gid
		if have.Exists() {
			want.GID = have.GID
		}
	}
	want.Perm = d.wantPerm(f, have)
	return want
}

// Perm is the permissions that f is to have where have is now. What is in an
// alternate directory counts as nothing.
func (d *Dest) Perm(f *flist.File, have *Found) uint16 {
	if have.root != nil {
		have = &Found{}
	}
	return d.wantPerm(f, have)
}

// wantPerm is the permissions that f is to have. Where a directory is in the
// way of something else, or the reverse, that is removed first and does not
// count; anything else that is replaced hands its permissions on.
func (d *Dest) wantPerm(f *flist.File, have *Found) uint16 {
	switch {
	case d.opt.Perms:
		return f.Meta.Perm
	case !have.Exists() || have.IsDir() != f.Meta.IsDir():
		return f.Meta.Perm & d.defaultPerm(d.Path(f).Parent())
	case d.opt.Executability && f.Meta.Kind == tree.File:
		return withExec(have.Perm, f.Meta.Perm)
	}
	return have.Perm
}

// FinalPerm is the permissions that f gets if it is transferred like that.
func (d *Dest) FinalPerm(f *flist.File, how Writing) uint16 {
	if d.opt.Perms {
		return f.Meta.Perm
	}
	how.Basis = d.meant(f, how)
	like := d.basisFound(f, how)
	return d.wantPerm(f, &like)
}

// withExec is perm made executable, or not, as source is (-E).
func withExec(perm, source uint16) uint16 {
	switch {
	case source&execBits == 0:
		return perm &^ execBits
	case perm&execBits == 0:
		return perm | perm&0o444>>2
	}
	return perm
}

// sameExec reports whether both are executable by someone, or neither.
func sameExec(a, b uint16) bool { return (a&execBits == 0) == (b&execBits == 0) }

// defaultPerms keeps what new items get in directories used lately.
type defaultPerms struct {
	sync.Mutex
	of map[tree.Path]uint16
}

// keptDefaults bounds defaultPerms.
const keptDefaults = 64

// defaultPerm is the permissions that a new item may have in a directory: those
// that its default ACL gives, otherwise what the umask leaves.
func (d *Dest) defaultPerm(dir tree.Path) uint16 {
	d.defaults.Lock()
	defer d.defaults.Unlock()
	if perm, ok := d.defaults.of[dir]; ok {
		return perm
	}
	perm := permBits &^ d.umask
	if d.root != nil {
		_ = d.root.AtDir(dir, func(at apply.Place) error {
			value, err := at.Object().Xattr(defaultACL)
			if p, ok := permOfACL(value); ok && err == nil {
				perm = p
			}
			return nil
		})
	}
	if d.defaults.of == nil || len(d.defaults.of) == keptDefaults {
		d.defaults.of = make(map[tree.Path]uint16, keptDefaults)
	}
	d.defaults.of[dir] = perm
	return perm
}

// forgetDefault drops what is known of a directory that was made just now.
func (d *Dest) forgetDefault(dir tree.Path) {
	d.defaults.Lock()
	defer d.defaults.Unlock()
	delete(d.defaults.of, dir)
}

// The attributes in which the kernel keeps ACLs.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// permOfACL is the permission bits that an ACL in the kernel's form stands for:
// the mask is the group's where there is one.
func permOfACL(value []byte) (perm uint16, ok bool) {
	const header, entry = 4, 8
	if len(value) < header+entry || (len(value)-header)%entry != 0 {
		return 0, false
	}
	group, mask, masked := uint16(0), uint16(0), false
	for rest := value[header:]; len(rest) > 0; rest = rest[entry:] {
		p := binary.LittleEndian.Uint16(rest[2:]) & 7
		switch binary.LittleEndian.Uint16(rest) {
		case 0x01:
			perm |= p << 6
		case 0x04:
			group = p
		case 0x10:
			mask, masked = p, true
		case 0x20:
			perm |= p
		}
	}
	if masked {
		group = mask
	}
	return perm | group<<3, true
}

// plainACL is an access ACL that says what perm says: setting it removes any
// other entries, and sets the permissions at the same time.
func plainACL(perm uint16) []byte {
	value := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [...]struct{ tag, shift uint16 }{{0x01, 6}, {0x04, 3}, {0x20, 0}} {
		value = binary.LittleEndian.AppendUint16(value, e.tag)
		value = binary.LittleEndian.AppendUint16(value, perm>>e.shift&7)
		value = binary.LittleEndian.AppendUint32(value, 0xffffffff)
	}
	return value
}
