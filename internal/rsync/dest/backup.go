package dest

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// openBackups opens --backup-dir, which may be made later.
func (o *opener) openBackups() error {
	d := o.d
	if !d.opt.Backup {
		return nil
	}
	d.suffix = d.opt.Suffix
	if d.opt.BackupDir == "" {
		return nil
	}
	d.backups = o.dirOf(d.opt.BackupDir, treeOptions())
	if errnoOf(d.backups.err) == syscall.ENOTDIR && o.exists(d.opt.BackupDir) == nil {
		return &Error{Code: exitSyntax, Text: "The backup-dir is not a directory: " + d.opt.BackupDir, Err: d.backups.err}
	}
	if err := o.exists(d.opt.BackupDir); errnoOf(err) == syscall.EACCES {
		return d.outOfReach(d.shown(d.opt.BackupDir), err)
	}
	if d.opt.Info[option.InfoBackup] > 0 {
		fresh := ""
		if missing(d.backups.err) {
			fresh = "(new) "
		}
		d.say(wire.CodeInfo, "%sbackup_dir is %s", fresh, d.opt.BackupDir)
	}
	return nil
}

// aside says how something gets out of the way of what is to come.
type aside uint8

const (
	toReplace aside = iota // it is linked if possible, so that its name is never missing
	toDelete               // it is renamed
	toUpdate               // it is copied: its content is about to be overwritten
	toPlace                // as toReplace, for a delayed update: failing concerns that one alone
)

// way is how it is done, as messages have it.
func (a aside) way() string {
	if a == toDelete {
		return "RENAME"
	}
	return "HLINK"
}

// BackupCopy makes the backup of regular file p, which is about to be updated in
// place: a copy (rsync-transfer 4.10). Everything else that replaces or removes
// something makes the backup itself. done is false without --backup. Trouble was
// told.
func (d *Dest) BackupCopy(p tree.Path, have tree.Meta) (done bool, err error) {
	return d.backup(p, have, toUpdate)
}

// backup puts what is at p aside. done is false if there is nothing to be done:
// without --backup, for directories, and for the deletion of what is a backup
// itself. Trouble was told; but the receiver's ends the run: it is an *Error.
func (d *Dest) backup(p tree.Path, have tree.Meta, how aside) (done bool, err error) {
	switch {
	case !d.opt.Backup || have.IsDir() || !have.Exists():
		return false, nil
	case how == toDelete && d.opt.BackupDir == "" && strings.HasSuffix(string(p), d.suffix):
		return false, nil
	}
	name := d.backupName(p)
	if !d.idle() {
		err := d.backUp(p, have, how)
		if missing(err) && d.gone(p) {
			return false, nil
		}
		if err != nil {
			return false, d.noBackup(p, name, how, err)
		}
	}
	if d.opt.Info[option.InfoBackup] > 0 {
		d.say(wire.CodeInfo, "backed up %s to %s", string(p), name)
	}
	return true, nil
}

// backupName is where the backup of p goes, in messages.
func (d *Dest) backupName(p tree.Path) string {
	name := string(p) + d.suffix
	if d.opt.BackupDir != "" {
		name = join(d.opt.BackupDir, name)
	}
	return name
}

// inTheWay is what stands where a backup goes and can't be removed, or is
// protected.
type inTheWay struct {
	kind  tree.Kind
	errno syscall.Errno // of the last call that failed, 0 if none did
}

func (w *inTheWay) Error() string { return "in the way: " + output.Strerror(w.errno) }
func (w *inTheWay) Unwrap() error { return w.errno }

// noBackup deals with the failure of a backup of p that was to be called name.
func (d *Dest) noBackup(p tree.Path, name string, how aside, err error) error {
	text := message(d.role, fmt.Sprintf(`keep_backup failed: %s -> "%s"`, d.FullName(p), name), err)
	w := new(inTheWay)
	switch {
	case errors.As(err, &w):
		text = "could not make way for backup " + kindName(w.kind) + ": " + name
	case how == toUpdate && errnoOf(err) == syscall.EISDIR:
		text = message(d.role, "unlink "+d.quoted(d.names.full(name)), syscall.EISDIR)
	}
	d.refusal(err)
	if d.role == receiving && how != toPlace {
		return &Error{Code: exitFile, Text: text, Err: err}
	}
	d.say(wire.CodeErrorXfer, "%s", text)
	return err
}

// kindName is what messages call an item of that kind.
func kindName(k tree.Kind) string {
	switch {
	case k == tree.Dir:
		return "directory"
	case k == tree.Symlink:
		return "symlink"
	case k.IsDevice():
		return "device file"
	case k.IsSpecial():
		return "special file"
	}
	return "regular file"
}

// gone reports whether nothing is at p.
func (d *Dest) gone(p tree.Path) bool {
	have, err := d.look(p, false)
	return err == nil && !have.Exists()
}

// backupPlace is where the backup of p goes; the directory is made.
func (d *Dest) backupPlace(p tree.Path) (*apply.Root, tree.Path, error) {
	to := p + tree.Path(d.suffix)
	if d.opt.BackupDir == "" {
		return d.root, to, nil
	}
	d.making.Lock()
	defer d.making.Unlock()
	if d.backups.root == nil {
		if _, err := d.names.mkdirs(d.opt.BackupDir, permBits); err != nil {
			return nil, "", err
		}
		d.backups = d.names.dirOf(d.opt.BackupDir, treeOptions())
		if d.backups.err != nil {
			return nil, "", d.backups.err
		}
	}
	return d.backups.root, to, d.backupParents(p.Parent())
}

// backupParents makes directory p in the backup directory, with those above
// it, each like the original.
func (d *Dest) backupParents(p tree.Path) error {
	if p == tree.Root {
		return nil
	}
	if m, err := d.backups.root.Reader().Lstat(p); err == nil && m.IsDir() {
		return nil
	}
	if err := d.backupParents(p.Parent()); err != nil {
		return err
	}
	return d.backups.root.At(p, func(at apply.Place) error {
		o := at.Object()
		err := o.Mkdir(permBits)
		if err == syscall.EEXIST {
			if m, err := o.Stat(); err != nil || m.IsDir() {
				return err
			}
			if err := o.Unlink(); err != nil {
				return err
			}
			err = o.Mkdir(permBits)
		}
		if err != nil {
			return err
		}
		return d.root.At(p, func(original apply.Place) error {
			d.likeOriginal(original.Object(), o, join(d.opt.BackupDir, string(p)), d.keepsTime(tree.Dir))
			return nil
		})
	})
}

// nanosecondsFrom is the first protocol in which times have nanoseconds; before
// it rsync has none for what it copies here either.
const nanosecondsFrom = 31

// likeOriginal gives o, a backup that is to be called name, the attributes of
// another object, as far as options say. If the owner or group can't be given that
// is told, and the rest is left as it is. Without a name it is no backup: what may
// not be given is left out, and nothing told.
func (d *Dest) likeOriginal(original, o apply.Object, name string, times bool) {
	m, err := original.Stat()
	if err != nil {
		return
	}
	if d.me.fake {
		have := Found{Meta: m}
		if d.overlay(original, &have) == nil {
			m.Perm, m.UID, m.GID = have.Perm, have.UID, have.GID
		}
	}
	if !d.ownedLike(m, o, name) {
		return
	}
	if d.opt.ACLs || d.opt.Xattrs > 0 || d.me.fake {
		attrs, _ := original.Xattrs()
		for _, x := range attrs {
			acl := x.Name == accessACL || x.Name == defaultACL
			if x.Name != walk.FakeStat && (acl && d.opt.ACLs || !acl && (d.opt.Xattrs > 0 && !m.IsDir() || d.me.fake)) {
				_ = o.Setxattr(x.Name, x.Value)
			}
		}
	}
	if times {
		mtime := m.Mtime
		if d.p.Protocol < nanosecondsFrom {
			mtime.Nsec = 0
		}
		_ = o.SetTimes(&mtime, nil)
	}
	perm := m.Perm
	if d.me.fake {
		perm = shownPerm(m)
	}
	if now, err := o.Stat(); err == nil && m.IsDir() && !d.opt.Perms {
		perm |= now.Perm & setGIDBit // inherited
	}
	if m.Kind != tree.Symlink {
		_ = o.Chmod(perm)
	}
}

// ownedLike gives o the owner and the group of m, as likeOriginal does; with
// --fake-super it notes them. It is false if that failed.
func (d *Dest) ownedLike(m tree.Meta, o apply.Object, name string) bool {
	now, err := o.Stat()
	if err != nil {
		return false
	}
	if !d.opt.Owner || !d.Super() {
		m.UID = now.UID
	}
	if !d.opt.Group || name == "" && !d.me.mayGive(m.GID) {
		m.GID = now.GID
	}
	failed := "chgrp %s failed"
	switch {
	case d.me.fake:
		failed = "failed to write xattr " + walk.FakeStat + " for %s"
		if !showsAll(now, m) {
			err = o.Setxattr(walk.FakeStat, walk.FakeOf(m).Value())
		}
	case m.UID != now.UID:
		failed = "chown %s failed"
		err = o.Chown(int(m.UID), int(m.GID))
	case m.GID != now.GID:
		err = o.Chown(-1, int(m.GID))
	}
	if err == nil || name == "" {
		return true
	}
	_ = d.told(err, failed, d.quoted(d.names.full(name)))
	return false
}

// backUp makes the backup of p.
func (d *Dest) backUp(p tree.Path, have tree.Meta, how aside) error {
	root, to, err := d.backupPlace(p)
	if err != nil {
		return err
	}
	do := func(from, at apply.Place) error {
		if how == toUpdate && have.Kind == tree.File {
			return d.copyAside(p, from, at, have, how)
		}
		err := putAside(from.Object(), at.Object(), how)
		if err == syscall.EISDIR || err == syscall.ENOTEMPTY || err == syscall.EEXIST {
			if err := d.clearBackup(root, to); err != nil {
				return err
			}
			err = putAside(from.Object(), at.Object(), how)
		}
		switch err {
		case syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.EOPNOTSUPP, syscall.ENOSYS:
			return d.copyAside(p, from, at, have, how)
		}
		if err == nil {
			d.backedUp(p, how.way())
		}
		return err
	}
	if root == d.root {
		return root.Both(p, to, do)
	}
	return d.root.At(p, func(from apply.Place) error {
		return root.At(to, func(at apply.Place) error { return do(from, at) })
	})
}

// putAside renames or links an object.
func putAside(from, to apply.Object, how aside) error {
	if how != toDelete {
		return from.LinkTo(to)
	}
	if err := from.RenameTo(to); err != nil {
		return err
	}
	// Between two names of one file the kernel does nothing, and calls it done.
	if err := from.Unlink(); err != nil && err != syscall.ENOENT {
		return err
	}
	return nil
}

// clearBackup removes what stands where a backup goes.
func (d *Dest) clearBackup(root *apply.Root, p tree.Path) error {
	m, err := root.Reader().Lstat(p)
	if err != nil {
		if errors.Is(err, syscall.ENOENT) {
			err = nil
		}
		return err
	}
	prefix := ""
	if root != d.root {
		prefix = strings.TrimSuffix(d.opt.BackupDir, "/") + "/"
	}
	how := Removal{MakeRoom: "backup"}
	if d.kept != nil {
		how.Keep = func(p tree.Path, dir bool) bool { return d.kept(tree.Path(path.Clean(prefix+string(p))), dir) }
	}
	r := &remover{d: d, root: root, prefix: prefix, top: p, how: how, all: true, final: true}
	r.prepare()
	r.add(p, m)
	if _, err := r.end(); err != nil {
		return &inTheWay{m.Kind, r.errno}
	}
	return nil
}

// copyAside makes a backup of p where a link or a rename is not possible.
func (d *Dest) copyAside(p tree.Path, from, to apply.Place, have tree.Meta, how aside) error {
	way := "COPY"
	switch {
	case have.Kind == tree.File:
		if err := d.copyFile(from, to, d.backupName(p)); err != nil {
			return err
		}
	case how != toDelete && from.Object().RenameTo(to.Object()) == nil:
		d.backedUp(p, toDelete.way())
		return nil
	default:
		var err error
		way = "DEVICE"
		if have.Kind == tree.Symlink {
			way = "SYMLINK"
			target, readErr := from.Object().Readlink()
			if readErr != nil {
				return readErr
			}
			err = to.Object().Symlink(target)
		} else {
			err = to.Object().Mknod(have, 0o600)
		}
		if err != nil {
			return err
		}
		d.likeOriginal(from.Object(), to.Object(), d.backupName(p), true)
	}
	d.backedUp(p, way)
	if how == toDelete {
		return from.Object().Unlink()
	}
	return nil
}

// copyFile makes a copy of a regular file, with its attributes; name is as for
// likeOriginal.
func (d *Dest) copyFile(from, to apply.Place, name string) error {
	src, err := from.Object().Open(syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	if m, err := walk.StatFile(src); err != nil || m.Kind != tree.File {
		return errors.Join(err, walk.ErrNotRegular)
	}
	s, err := to.Stage(apply.Staging{Mode: 0o600, Replaces: true})
	if err != nil {
		return err
	}
	if err := s.CopyFrom(src); err != nil {
		s.Discard()
		return err
	}
	d.likeOriginal(from.Object(), s.Object(), name, d.opt.Times)
	if err := s.Publish(); err != nil {
		s.Discard()
		return err
	}
	return nil
}
