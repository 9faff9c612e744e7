package dest

import (
	"bytes"
	"io"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// SameTime compares modification times within --modify-window.
func (d *Dest) SameTime(a, b tree.Time) bool {
	switch w := d.opt.ModifyWindow; {
	case w < 0:
		return a == b
	case w == 0:
		return a.Sec == b.Sec
	default:
		return a.Sec-b.Sec <= int64(w) && b.Sec-a.Sec <= int64(w)
	}
}

// keepsTime reports whether modification times are kept for that kind.
func (d *Dest) keepsTime(k tree.Kind) bool {
	switch k {
	case tree.Dir:
		return d.opt.Times && !d.opt.OmitDirTimes
	case tree.Symlink:
		return d.opt.Times && !d.opt.OmitLinkTimes
	}
	return d.opt.Times
}

// Differs gives the bits of an item report that tell what of f is not as in
// have (rsync-transfer 5.2): ItemNew if nothing, or something of another kind,
// is there. flags are the bits known so far; they decide about ItemTime where
// times are not kept. linked is set for a report about a hard link that was
// there already.
func (d *Dest) Differs(f *flist.File, have *Found, flags wire.Item, linked bool) wire.Item {
	if have.Kind != f.Meta.Kind && !d.writable(f, have) {
		bits := wire.ItemNew
		if len(d.wantedXattrs(f)) > 0 && d.keepsXattrs(f.Meta.Kind) {
			bits |= wire.ItemXattr
		}
		return bits
	}
	var bits wire.Item
	if f.Meta.Kind == tree.File && f.Meta.Size != have.Size {
		bits |= wire.ItemSize
	}
	switch {
	case d.keepsTime(f.Meta.Kind):
		if !d.SameTime(f.Meta.Mtime(), have.Mtime) {
			bits |= wire.ItemTime
		}
	case flags&(wire.ItemTransfer|wire.ItemLocalChange) != 0 && flags&wire.ItemMatchedAlt == 0 && !linked:
		bits |= wire.ItemTime
	}
	if d.opt.Atimes > 0 && f.Meta.Kind != tree.Dir && f.Meta.Kind != tree.Symlink && f.Extra().Atime.Sec != have.Atime.Sec {
		bits |= wire.ItemAtime
	}
	want := d.Want(f, have)
	if f.Meta.Kind != tree.Symlink && d.permDiffers(f, want, have) {
		bits |= wire.ItemPerms
	}
	if d.opt.Owner && d.Super() && want.UID != have.UID {
		bits |= wire.ItemOwner
	}
	if d.opt.Group && want.GID != have.GID {
		bits |= wire.ItemGroup
	}
	return bits | d.extraDiffers(f, have)
}

// writable reports whether have is a device to which the content of f is
// written (--write-devices).
func (d *Dest) writable(f *flist.File, have *Found) bool {
	return d.opt.WriteDevices && f.Meta.Kind == tree.File && have.Kind.IsDevice()
}

func (d *Dest) permDiffers(f *flist.File, want tree.Meta, have *Found) bool {
	if d.opt.Perms {
		return want.Perm != have.Perm
	}
	if !d.opt.Executability {
		return false
	}
	perm := f.Meta.Perm
	if f.Meta.Kind != tree.File || have.root != nil {
		perm = d.Perm(f, have)
	}
	return !sameExec(perm, have.Perm)
}

// extraDiffers is Differs for ACLs and attributes, which must be read for it.
func (d *Dest) extraDiffers(f *flist.File, have *Found) (bits wire.Item) {
	acls, attrs := d.opt.ACLs && f.Meta.Kind != tree.Symlink, d.keepsXattrs(f.Meta.Kind)
	if !acls && !attrs {
		return 0
	}
	here, err := d.xattrs(d.Path(f), have)
	if err != nil {
		return 0
	}
	if acls && !d.sameACLs(f, have, here) {
		bits |= wire.ItemACL
	}
	if attrs {
		if set, gone := d.diffXattrs(d.wantedXattrs(f), here); len(set)+len(gone) > 0 {
			bits |= wire.ItemXattr
		}
	}
	return bits
}

// aclOf is an ACL among the attributes that are here, in the kernel's form.
func (d *Dest) aclOf(here []walk.Xattr, name string, perm uint16) []byte {
	if !d.me.fake {
		return valueOf(here, name)
	}
	fake := walk.FakeAccess
	if name == defaultACL {
		fake = walk.FakeDefault
	}
	value := valueOf(here, fake)
	if value == nil {
		return nil
	}
	acl, err := flist.FromFakeACL(value, name == accessACL, perm)
	if err != nil {
		return nil
	}
	return acl
}

// sameACLs compares access ACLs but for what the modes say, and default ACLs.
func (d *Dest) sameACLs(f *flist.File, have *Found, here []walk.Xattr) bool {
	return flist.SameACL(f.Extra().Access, d.aclOf(here, accessACL, have.Perm)) &&
		(f.Meta.Kind != tree.Dir || bytes.Equal(f.Extra().Default, d.aclOf(here, defaultACL, 0)))
}

// QuickCheck reports whether the content of regular file have is taken to be
// that of f (rsync-transfer 4.2). Trouble with reading it counts as a
// difference.
func (d *Dest) QuickCheck(f *flist.File, have *Found) (same bool, err error) {
	switch {
	case have.Kind != tree.File || have.Size != f.Meta.Size:
		return false, nil
	case d.opt.Checksum:
		return d.sameSum(f, have)
	case d.opt.SizeOnly:
		return true, nil
	case d.opt.IgnoreTimes:
		return false, nil
	}
	return d.SameTime(f.Meta.Mtime(), have.Mtime), nil
}

// sumBuffer is how much is read at a time for a digest, in bytes.
const sumBuffer = 256 << 10

func (d *Dest) sameSum(f *flist.File, have *Found) (bool, error) {
	root, p := d.root, d.Path(f)
	if have.root != nil {
		root, p = have.root, have.path
	}
	if root == nil {
		return false, nil
	}
	file, err := root.Reader().Open(p)
	if err != nil {
		return false, err
	}
	defer file.Close()
	sum := d.p.File.New(0)
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{file}, make([]byte, min(sumBuffer, max(f.Meta.Size, 1)))); err != nil {
		return false, err
	}
	return bytes.Equal(sum.Sum(nil), f.Extra().Sum), nil
}
