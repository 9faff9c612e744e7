package apply

import (
	"fmt"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// attrs are the attributes that something is to have.
type attrs struct {
	meta   tree.Meta
	xattrs []walk.Xattr
	mode   bool // set meta.Perm whatever Options say
}

// setAttrs makes o, which is as have, the way want says, as far as Options go.
// It tries everything and returns an *AttrError with what failed.
func (r *Root) setAttrs(o Object, have tree.Meta, want attrs) error {
	var failed AttrError
	note := func(what string, err error) bool {
		if err != nil {
			failed.Errs = append(failed.Errs, fmt.Errorf("%s: %w", what, err))
		}
		return err == nil
	}
	perm := want.meta.Perm
	permKnown := true // that have.Perm is still so
	if uid, gid := r.owner(have, want.meta); uid >= 0 || gid >= 0 {
		if !note("owner", o.Chown(uid, gid)) {
			perm &^= unix.S_ISUID | unix.S_ISGID
		}
		permKnown = have.Perm&(unix.S_ISUID|unix.S_ISGID) == 0 // the kernel drops these
	}
	if r.opts.Xattrs || r.opts.ACLs {
		changed, errs := r.setXattrs(o, have.Kind, want.xattrs)
		failed.Errs = append(failed.Errs, errs...)
		permKnown = permKnown && !changed // an ACL contains permissions
	}
	if r.opts.Times && have.Mtime != want.meta.Mtime {
		note("times", o.SetTimes(&want.meta.Mtime, nil))
	}
	if (r.opts.Perms || want.mode) && have.Kind != tree.Symlink && (!permKnown || have.Perm != perm) {
		note("mode", o.Chmod(perm))
	}
	if len(failed.Errs) > 0 {
		return &failed
	}
	return nil
}

// owner is what to pass to chown, -1 for what stays.
func (r *Root) owner(have, want tree.Meta) (uid, gid int) {
	uid, gid = -1, -1
	if r.opts.Owner && r.who.root() && have.UID != want.UID {
		uid = int(want.UID)
	}
	may := r.who.root() || have.UID == r.who.uid && r.who.member(want.GID)
	if r.opts.Group && may && have.GID != want.GID {
		gid = int(want.GID)
	}
	return uid, gid
}

// SetMeta gives p the attributes that Options keep, as far as they differ. p
// must be of meta's kind, otherwise the error is ErrKind. xattrs are all that p
// is to have: without Options.Xattrs and ACLs they are not looked at.
func (r *Root) SetMeta(p tree.Path, meta tree.Meta, xattrs []walk.Xattr) error {
	return r.with("set attributes of", p, func(at Place) error {
		have, err := at.Object().Stat()
		if err != nil {
			return err
		}
		if have.Kind != meta.Kind {
			return fmt.Errorf("a %v, not a %v: %w", have.Kind, meta.Kind, ErrKind)
		}
		return r.setAttrs(at.Object(), have, attrs{meta: meta, xattrs: xattrs})
	})
}

// SetTimes sets the modification time of p alone, whatever Options say: it is
// for directories whose children are done.
func (r *Root) SetTimes(p tree.Path, mtime tree.Time) error {
	return r.with("set times of", p, func(at Place) error {
		have, err := at.Object().Stat()
		if err != nil || have.Mtime == mtime {
			return err
		}
		return at.Object().SetTimes(&mtime, nil)
	})
}
