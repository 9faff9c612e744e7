package dest

import (
	"bytes"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

const (
	setIDBits  = 0o6000
	setGIDBit  = 0o2000
	ownerBits  = 0o700
	ownerWrite = 0o200
)

// setter gives one object the attributes of an entry, in rsync's order
// (rsync-transfer 4.9): owner and group, what --fake-super keeps, extended
// attributes, times, ACLs, mode. When owner or times can't be set it stops.
type setter struct {
	d     *Dest
	f     *flist.File
	o     apply.Object
	named subject   // o in messages
	have  *Found    // kept up to date as far as rsync looks again
	want  tree.Meta // owner, group and permissions of it

	exact   bool // times are compared exactly, whatever --modify-window is: after -c, and once attributes were set
	fresh   bool // it was made just now: a time in this second is to be right as well
	noMtime bool // the modification time is left alone
	keepDir bool // a directory that must stay open to its owner for now
	waits   bool // long attributes that are not known yet come later

	perm    uint16 // what the object has now
	changed bool
	err     error // the first trouble
}

// wouldSet are the differences that SetAttrs does away with.
const wouldSet = wire.ItemTime | wire.ItemAtime | wire.ItemPerms | wire.ItemOwner | wire.ItemGroup | wire.ItemACL | wire.ItemXattr

// SetAttrs gives what stands at f its attributes, as far as they differ from
// have. have is then what rsync believes to be there (5.2), so that Differs
// reports the same. If have is empty f was made just now. A directory keeps the
// permissions that its owner needs until TouchUp. Long extended attributes that
// are not known yet are left to SetXattrs. Trouble was told.
func (d *Dest) SetAttrs(f *flist.File, have *Found) (changed bool, err error) {
	if d.settled(f, have) {
		return false, nil
	}
	if d.idle() || d.root == nil {
		return have.Exists() && d.Differs(f, have, 0, false)&wouldSet != 0, nil
	}
	p := d.Path(f)
	if have.outside {
		if d.Differs(f, have, 0, false)&wouldSet == 0 {
			return false, nil
		}
		return false, d.told(syscall.ELOOP, "failed to set permissions on %s", d.FullName(p))
	}
	var failed error
	err = d.at(p, have, func(at apply.Place) error {
		s := &setter{d: d, f: f, o: at.Object(), named: subject{d: d, at: p}, have: have,
			exact: d.opt.Checksum && f.Meta.Kind == tree.File, keepDir: f.Meta.IsDir(), waits: true}
		if have.Exists() {
			s.want = d.Want(f, have)
		} else {
			s.fresh = true
			now, err := d.lookAt(at, f.Meta.IsDir())
			if err != nil {
				return err
			}
			s.have, s.want = &now, d.wantFresh(f, &now)
		}
		s.run()
		changed, failed = s.changed, s.err
		return nil
	})
	if err != nil {
		return false, d.told(err, "failed to set attributes on %s", d.FullName(p))
	}
	return changed, failed
}

// settled reports whether f has all its attributes as far as that can be told
// from have alone.
func (d *Dest) settled(f *flist.File, have *Found) bool {
	kind := f.Meta.Kind
	if have.Kind != kind || have.outside || d.opt.ACLs || d.opt.Xattrs > 0 || d.opt.Atimes > 0 || d.me.fake {
		return false
	}
	want := d.Want(f, have)
	closed := kind == tree.Dir && !d.me.root() && want.Perm&ownerBits != ownerBits
	if want.UID != have.UID || want.GID != have.GID || closed || want.Perm != have.Perm && kind != tree.Symlink {
		return false
	}
	if !d.keepsTime(kind) {
		return true
	}
	if d.opt.Checksum && kind == tree.File {
		return f.Meta.Mtime() == have.Mtime
	}
	return d.SameTime(f.Meta.Mtime(), have.Mtime)
}

// SetXattrs sets the extended attributes of what stands at f, after the sender
// has answered what was asked for them. Trouble was told.
func (d *Dest) SetXattrs(f *flist.File) error {
	if d.idle() || d.root == nil || !d.keepsXattrs(f.Meta.Kind) {
		return nil
	}
	p := d.Path(f)
	have, err := d.Stat(f)
	if err != nil || have.Kind != f.Meta.Kind {
		return err
	}
	var failed error
	err = d.at(p, &have, func(at apply.Place) error {
		s := &setter{d: d, f: f, o: at.Object(), named: subject{d: d, at: p}, have: &have, perm: have.real.Perm}
		if s.xattrs(); s.changed {
			s.times()
		}
		if s.perm != have.real.Perm { // it was made writable for that
			s.failedOn(s.o.Chmod(have.real.Perm), "failed to set permissions on ", "")
		}
		failed = s.err
		return nil
	})
	if err != nil {
		return d.told(err, "failed to set attributes on %s", d.FullName(p))
	}
	return failed
}

// wantFresh is Want for something that was made just now, and is as now.
func (d *Dest) wantFresh(f *flist.File, now *Found) tree.Meta {
	want := d.Want(f, now)
	want.Perm = d.wantPerm(f, &Found{})
	if !d.opt.Perms && f.Meta.IsDir() {
		want.Perm |= now.Perm & setGIDBit // inherited
	}
	return want
}

func (s *setter) run() {
	s.perm = s.have.real.Perm
	if !s.owner() {
		return
	}
	if s.d.me.fake {
		s.fakeStat()
	}
	s.xattrs()
	if !s.times() {
		return
	}
	if s.d.opt.ACLs && s.f.Meta.Kind != tree.Symlink {
		s.acls()
	}
	s.mode()
}

// failed notes and tells trouble, if there is any.
func (s *setter) failed(err error, text string) bool {
	if err == nil {
		return false
	}
	s.d.Tell(text, err)
	if s.err == nil {
		s.err = err
	}
	return true
}

// failedOn is failed for a text that names the object between two parts.
func (s *setter) failedOn(err error, before, after string) bool {
	return err != nil && s.failed(err, before+s.named.full()+after)
}

func (s *setter) owner() bool {
	if s.d.me.fake || s.want.UID == s.have.UID && s.want.GID == s.have.GID {
		return true
	}
	uid, gid := -1, -1
	if s.want.UID != s.have.UID {
		uid = int(s.want.UID)
	}
	if s.want.GID != s.have.GID {
		gid = int(s.want.GID)
	}
	s.tellOwners()
	what := "chown "
	if uid < 0 {
		what = "chgrp "
	}
	if s.failedOn(s.o.Chown(uid, gid), what, " failed") {
		return false
	}
	s.changed = true
	if s.have.Perm&setIDBits != 0 { // the kernel may have dropped them
		if m, err := s.o.Stat(); err == nil {
			s.have.Meta, s.have.real, s.perm = m, m, m.Perm
		}
	}
	return true
}

// shownPerm is the permissions of the real file with --fake-super: no bits that
// need privileges, and nothing that locks its owner out.
func shownPerm(m tree.Meta) uint16 {
	if m.IsDir() {
		return m.Perm&permBits | ownerBits
	}
	return m.Perm&permBits | 0o600
}

// showsAll reports whether an object that is really as given can show all of what
// is wanted, so that --fake-super needs nothing more.
func showsAll(real, want tree.Meta) bool {
	return want.Kind == real.Kind && want.Perm == shownPerm(want) && want.UID == real.UID && want.GID == real.GID
}

// fakeStat keeps what the real object can't show.
func (s *setter) fakeStat() {
	value := walk.FakeOf(s.want)
	real := s.have.real
	plain := showsAll(real, s.want)
	switch {
	case plain && s.have.faked:
		s.changed = true
		s.failedOn(s.o.Removexattr(walk.FakeStat), "failed to remove xattr "+walk.FakeStat+" of ", "")
	case !plain && (!s.have.faked || value != walk.FakeOf(s.have.Meta)):
		s.changed = true
		s.failedOn(s.writable(func() error { return s.o.Setxattr(walk.FakeStat, value.Value()) }),
			"failed to write xattr "+walk.FakeStat+" for ", "")
	}
}

// writable does f, and if that is not allowed once more with the object made
// writable for its owner: attributes of users need that.
func (s *setter) writable(f func() error) error {
	err := f()
	if err != syscall.EACCES || s.perm&ownerWrite != 0 || s.f.Meta.Kind == tree.Symlink {
		return err
	}
	if s.o.Chmod(s.perm|ownerWrite) != nil {
		return err
	}
	s.perm |= ownerWrite
	return f()
}

// call is the name of a system call as rsync would have used it.
func (s *setter) call(what string) string {
	if k := s.f.Meta.Kind; k == tree.File || k == tree.Dir {
		return "f" + what
	}
	return "l" + what
}

func (s *setter) xattrs() {
	d := s.d
	if !d.keepsXattrs(s.f.Meta.Kind) {
		return
	}
	have, err := s.here()
	if s.failedOn(err, "get_xattr_names: llistxattr(", ") failed") {
		return
	}
	set, gone := d.diffXattrs(d.wantedXattrs(s.f), have)
	for _, w := range set {
		if w.Long && !w.Known {
			if s.waits {
				continue
			}
			d.say(wire.CodeErrorXfer, "Missing abbreviated xattr value, %s, for %s", w.Name, s.named.full())
			continue
		}
		err := s.writable(func() error { return s.o.Setxattr(w.local, w.Value) })
		if !s.failedOn(err, "rsync_xal_set: "+s.call("setxattr")+"(", ",\""+w.local+"\") failed") {
			s.changed, s.exact = true, true
		}
	}
	for _, name := range gone {
		err := s.writable(func() error { return s.o.Removexattr(name) })
		if err == syscall.ENODATA { // someone else did it
			err = nil
		}
		if !s.failedOn(err, "rsync_xal_clear: "+s.call("removexattr")+"(", ",\""+name+"\") failed") {
			s.changed, s.exact = true, true
		}
	}
}

// here is the attributes that the object has, ACLs included.
func (s *setter) here() ([]walk.Xattr, error) {
	if !s.have.known {
		attrs, err := s.o.Xattrs()
		if err != nil {
			return nil, err
		}
		s.have.attrs, s.have.known = attrs, true
	}
	return s.have.attrs, nil
}

func (s *setter) times() bool {
	var mtime, atime *tree.Time
	kind, listed := s.have.Kind, s.f.Meta.Mtime() // a new symlink is a file so far with --fake-super
	differs := !s.d.SameTime(listed, s.have.Mtime)
	if s.exact {
		differs = listed != s.have.Mtime
	}
	if !s.noMtime && s.d.keepsTime(kind) && differs {
		mtime = &listed
	}
	if s.d.opt.Atimes > 0 && kind != tree.Dir && (kind != tree.Symlink || !s.d.opt.OmitLinkTimes) && s.f.Extra().Atime.Sec != s.have.Atime.Sec {
		atime = &s.f.Extra().Atime
	}
	if s.fresh && mtime == nil && atime == nil && !s.noMtime && s.d.keepsTime(kind) && listed != s.have.Mtime {
		_ = s.o.SetTimes(&listed, nil)
	}
	if mtime == nil && atime == nil {
		return true
	}
	err := s.o.SetTimes(mtime, atime)
	if kind == tree.Symlink && (err == syscall.ENOSYS || err == syscall.EOPNOTSUPP) {
		return true
	}
	if s.failedOn(err, "failed to set times on ", "") {
		return false
	}
	s.changed = true
	return true
}

func (s *setter) acls() {
	here, err := s.here()
	if err != nil {
		return
	}
	d := s.d
	if !flist.SameACL(s.f.Extra().Access, d.aclOf(here, accessACL, s.have.Perm)) {
		s.setACL(accessACL, walk.FakeAccess, "ACL_TYPE_ACCESS", flist.FitACL(s.f.Extra().Access, s.want.Perm))
	}
	if s.f.Meta.IsDir() && !bytes.Equal(s.f.Extra().Default, d.aclOf(here, defaultACL, 0)) {
		s.setACL(defaultACL, walk.FakeDefault, "ACL_TYPE_DEFAULT", s.f.Extra().Default)
	}
}

func (s *setter) setACL(attr, fakeAttr, kind string, value []byte) {
	isDefault := attr == defaultACL
	var err error
	switch {
	case s.d.me.fake && value == nil && isDefault:
		err = s.o.Removexattr(fakeAttr)
	case s.d.me.fake:
		var fake []byte
		if fake, err = flist.FakeACL(value, !isDefault); err == nil {
			err = s.writable(func() error { return s.o.Setxattr(fakeAttr, fake) })
		}
	case value == nil && isDefault:
		if err = s.o.Removexattr(attr); err == syscall.ENODATA {
			err = nil
		}
	default:
		if value == nil {
			value = plainACL(s.want.Perm)
		}
		if err = s.o.Setxattr(attr, value); err == nil && !isDefault {
			perm, _ := permOfACL(value)
			s.perm = s.perm&^permBits | perm
			s.have.Perm = s.perm // and so PERMS is not reported
		}
	}
	if !s.failed(err, "set_acl: xacl_set("+s.named.short()+", "+kind+")") {
		s.changed = true
	}
}

func (s *setter) mode() {
	if s.have.real.Kind == tree.Symlink {
		return
	}
	want := s.want.Perm
	if s.d.me.fake {
		want = shownPerm(s.want)
	}
	closed := s.keepDir && !s.d.me.root() && want&ownerBits != ownerBits
	if closed {
		s.d.keepOpen(s.named.at, want)
		want |= ownerBits
	}
	if s.perm == want || s.failedOn(s.o.Chmod(want), "failed to set permissions on ", "") {
		return
	}
	s.perm = want
	if !closed || s.have.Perm != s.want.Perm {
		s.changed = true
	}
}
