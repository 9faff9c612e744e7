package dest

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// step is a failed step of something, in the words of its message. It was not
// told yet.
type step struct {
	text string
	err  error
}

func (s *step) Error() string { return s.text + ": " + s.err.Error() }
func (s *step) Unwrap() error { return s.err }

// stepped names the step in which err happened.
func stepped(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &step{fmt.Sprintf(format, args...), err}
}

// tellStep tells err, under the name of the step that failed or of the whole.
func (d *Dest) tellStep(err error, whole string) error {
	var s *step
	switch {
	case err == nil || errors.As(err, new(*Error)):
	case errors.As(err, &s):
		d.Tell(s.text, s.err)
	default:
		d.Tell(whole, err)
	}
	return err
}

// Mkdir makes directory f, which SetAttrs then completes. Trouble was told.
func (d *Dest) Mkdir(f *flist.File) error {
	p := d.Path(f)
	if d.idle() || d.root == nil {
		return nil
	}
	if p == tree.Root {
		d.made.Store(false)
		return nil
	}
	perm := uint32(d.wantPerm(f, &Found{})) & permBits
	if want := d.Want(f, &Found{}); want.UID != d.me.uid || want.GID != d.me.gid {
		perm &= ownerBits // until the owner is right
	}
	if !d.me.root() || d.me.fake {
		perm |= ownerBits
	}
	err := d.root.At(p, func(at apply.Place) error { return at.Object().Mkdir(perm) })
	d.forgetDefault(p)
	return d.told(err, "recv_generator: mkdir %s failed", d.FullName(p))
}

// MkdirParents makes the directories above p that are missing (-R with
// --no-implied-dirs). Trouble is not told.
func (d *Dest) MkdirParents(p tree.Path) error {
	if d.idle() || d.root == nil || p == tree.Root {
		return nil
	}
	dir := p.Parent()
	if dir == tree.Root {
		return nil
	}
	mkdir := func() error {
		return d.root.At(dir, func(at apply.Place) error { return at.Object().Mkdir(permBits) })
	}
	err := mkdir()
	if missing(err) {
		if err := d.MkdirParents(dir); err != nil {
			return err
		}
		err = mkdir()
	}
	if err == syscall.EEXIST {
		err = nil
	}
	return err
}

// mungePrefix makes symlinks lead nowhere (rsync-filelist 9.3).
const mungePrefix = "/rsyncd-munged/"

// Target is where symlink f points to here.
func (d *Dest) Target(f *flist.File) string {
	if d.munges() {
		return mungePrefix + f.Extra().Target
	}
	if m := d.p.Module; m != nil && m.Tame {
		return tame(f.Extra().Target, d.Path(f).Depth()-1)
	}
	return f.Extra().Target
}

// tame is a symlink's target that stays below the destination: a leading slash
// is dropped, and so is each ".." that would climb higher than depth
// directories. It is cleaned besides, as rsync does it.
func tame(target string, depth int) string {
	var up, down []string
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "" || part == ".":
		case part != "..":
			down = append(down, part)
		case len(down) > 0:
			down = down[:len(down)-1]
		case len(up) < depth:
			up = append(up, part)
		}
	}
	kept := strings.Join(append(up, down...), "/")
	switch {
	case kept == "":
		return "."
	case strings.HasSuffix(target, "/") && len(down) > 0:
		return kept + "/"
	}
	return kept
}

func (d *Dest) munges() bool {
	if d.p.Module != nil {
		return d.p.Module.Munge
	}
	return d.opt.MungeLinks
}

// Unsafe reports whether --safe-links leaves symlink f out: one that is
// absolute, empty, or climbs out of the tree, or that has ".." after a name.
func (d *Dest) Unsafe(f *flist.File) bool {
	return d.opt.SafeLinks && unsafeTarget(d.Target(f), f.Path)
}

func unsafeTarget(target string, from tree.Path) bool {
	if target == "" || target[0] == '/' {
		return true
	}
	depth, named := from.Depth()-1, false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || named {
				return true
			}
		default:
			named = true
		}
	}
	return false
}

// SameNode reports whether have is the symlink, device or special file that f
// is.
func (d *Dest) SameNode(f *flist.File, have *Found) bool {
	if have.Kind != f.Meta.Kind || d.me.fake && have.real.Kind == tree.Symlink {
		return false // a pretended symlink is a file
	}
	if have.Kind != tree.Symlink {
		return !have.Kind.IsDevice() || have.Major == f.Extra().Major && have.Minor == f.Extra().Minor
	}
	target := ""
	read := func(at apply.Place) (err error) {
		target, err = d.targetAt(at, have)
		return err
	}
	var err error
	if have.root != nil {
		err = have.root.At(have.path, read)
	} else {
		err = d.root.At(d.Path(f), read)
	}
	return err == nil && target == d.Target(f)
}

// targetAt is the target of a symlink that was found; a pretended one is a file
// with the target as its content.
func (d *Dest) targetAt(at apply.Place, have *Found) (string, error) {
	if have.real.Kind == tree.Symlink {
		return at.Object().Readlink()
	}
	file, err := at.Object().Open(syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	buf := make([]byte, tree.MaxPath+1)
	n, err := file.ReadAt(buf, 0)
	if n == len(buf) {
		return "", syscall.ENAMETOOLONG
	}
	if n == 0 {
		return "", err
	}
	return string(buf[:n]), nil
}

// Symlink makes f a symlink with its attributes. A non-directory that is there,
// have, is replaced in one step, with a backup if that is wanted. Trouble was
// told, but for an *Error.
func (d *Dest) Symlink(f *flist.File, have *Found) error {
	target := d.Target(f)
	create := func(o apply.Object) error { return o.Symlink(target) }
	if d.me.fake {
		create = func(o apply.Object) error { return writeFile(o, target) }
	}
	return d.install(f, have, create, func(name string) string {
		return fmt.Sprintf(`symlink %s -> "%s" failed`, name, target)
	})
}

// Mknod makes f a device or special file, as Symlink does.
func (d *Dest) Mknod(f *flist.File, have *Found) error {
	perm := uint32(0o600)
	create := func(o apply.Object) error { return o.Mknod(f.Full(), perm) }
	if d.me.fake {
		create = func(o apply.Object) error { return writeFile(o, "") }
	}
	return d.install(f, have, create, func(name string) string { return "mknod " + name + " failed" })
}

// writeFile makes a file that pretends to be something else.
func writeFile(o apply.Object, content string) error {
	file, err := o.Open(syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Close())
}

// install puts what create makes at the place of f, with f's attributes.
// failed words the failure of create.
func (d *Dest) install(f *flist.File, have *Found, create func(apply.Object) error, failed func(name string) string) error {
	if d.idle() || d.root == nil {
		_, err := d.backup(d.Path(f), have.Meta, toReplace)
		return err
	}
	p := d.Path(f)
	if _, err := d.backup(p, have.real, toReplace); err != nil {
		return err
	}
	if have.Kind == tree.Symlink {
		d.forget(p)
	}
	err := d.root.At(p, func(at apply.Place) error {
		if !have.Exists() {
			err := create(at.Object())
			if err == nil {
				d.dressNew(f, have, at.Object(), p)
			}
			if err != syscall.EEXIST {
				return stepped(err, "%s", failed(d.FullName(p)))
			}
		}
		temp, err := at.Fresh(create)
		shown := p.Parent().Join(temp.Name())
		if err != nil {
			return stepped(err, "%s", failed(d.FullName(shown)))
		}
		d.dressNew(f, have, temp, shown)
		if err := temp.RenameTo(at.Object()); err != nil {
			_ = temp.Unlink()
			return stepped(err, `rename %s -> "%s" failed`, d.FullName(shown), d.FullName(p))
		}
		return nil
	})
	return d.tellStep(err, failed(d.FullName(p)))
}

// dressNew gives a new object the attributes of f. have is what it replaces, p
// where it is.
func (d *Dest) dressNew(f *flist.File, have *Found, o apply.Object, p tree.Path) {
	m, err := o.Stat()
	if err != nil {
		return
	}
	now := fresh(m)
	want := d.wantFresh(f, now)
	if have.Exists() {
		want.Perm = d.wantPerm(f, have)
	}
	s := &setter{d: d, f: f, o: o, named: subject{d: d, at: p}, have: now, want: want, waits: true}
	s.run()
}

// Link makes f another name of leader, a path of this destination, as Symlink
// does; the attributes are the leader's.
func (d *Dest) Link(leader tree.Path, f *flist.File, have *Found) error {
	if d.idle() || d.root == nil {
		_, err := d.backup(d.Path(f), have.Meta, toReplace)
		return err
	}
	if _, err := d.backup(d.Path(f), have.real, toReplace); err != nil {
		return err
	}
	return d.tellStep(d.linkFrom(d.root, leader, f, have), fmt.Sprintf("link %s => %s failed", d.FullName(d.Path(f)), string(leader)))
}

// linkFrom makes f another name of a file that may be beneath another Root.
func (d *Dest) linkFrom(root *apply.Root, leader tree.Path, f *flist.File, have *Found) error {
	p := d.Path(f)
	do := func(from, at apply.Place) error {
		if !have.Exists() {
			if err := from.Object().LinkTo(at.Object()); err != syscall.EEXIST {
				return stepped(err, "link %s => %s failed", d.FullName(p), string(leader))
			}
		}
		temp, err := at.Fresh(func(temp apply.Object) error { return from.Object().LinkTo(temp) })
		shown := d.FullName(p.Parent().Join(temp.Name()))
		if err != nil {
			return stepped(err, "link %s => %s failed", shown, string(leader))
		}
		err = temp.RenameTo(at.Object())
		// Between two names of one file the kernel does nothing.
		if gone := temp.Unlink(); err == nil && gone != nil && gone != syscall.ENOENT {
			err = gone
		}
		return stepped(err, `rename %s -> "%s" failed`, shown, d.FullName(p))
	}
	if root == d.root {
		return root.Both(leader, p, do)
	}
	return root.At(leader, func(from apply.Place) error {
		return d.root.At(p, func(at apply.Place) error { return do(from, at) })
	})
}
