package apply

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// object is what attributes are set on: a name in a directory, which is never
// followed, or, without a name, an open file.
type object struct {
	fd   int
	name string
}

func (o object) chown(uid, gid int) error {
	if o.name == "" {
		return unix.Fchown(o.fd, uid, gid)
	}
	return unix.Fchownat(o.fd, o.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

func (o object) chmod(perm uint16) error {
	if o.name == "" {
		return unix.Fchmod(o.fd, uint32(perm))
	}
	if !noChmodAt.Load() {
		err := unix.Fchmodat(o.fd, o.name, uint32(perm), unix.AT_SYMLINK_NOFOLLOW)
		switch err {
		default:
			return err
		case syscall.EOPNOTSUPP: // missing: x/sys says so
			noChmodAt.Store(true)
		case syscall.EPERM:
		}
	}
	return o.chmodPinned(perm)
}

// noChmodAt keeps chmod from using fchmodat2(2).
var noChmodAt atomic.Bool

// chmodPinned is chmod before Linux 6.6, which brought fchmodat2, and behind
// filters that do not know it: the object is held by a
// handle, seen not to be a symlink, and reached through /proc.
func (o object) chmodPinned(perm uint16) error {
	fd, err := unix.Openat(o.fd, o.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return syscall.EOPNOTSUPP
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(perm))
}

func (o object) setTime(mtime tree.Time) error {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: mtime.Sec, Nsec: int64(mtime.Nsec)}}
	if o.name == "" {
		return futimens(o.fd, &ts)
	}
	return unix.UtimesNanoAt(o.fd, o.name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}

// futimens is utimensat without a path, which x/sys has no way to say.
func futimens(fd int, ts *[2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// attrs are the attributes that something is to have.
type attrs struct {
	meta   tree.Meta
	xattrs []walk.Xattr
	mode   bool // set meta.Perm whatever Options say
}

// setAttrs makes o, which is as have, the way want says, as far as Options go.
// It tries everything and returns an *AttrError with what failed.
func (r *Root) setAttrs(o object, have tree.Meta, want attrs) error {
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
		if !note("owner", o.chown(uid, gid)) {
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
		note("times", o.setTime(want.meta.Mtime))
	}
	if (r.opts.Perms || want.mode) && have.Kind != tree.Symlink && (!permKnown || have.Perm != perm) {
		note("mode", o.chmod(perm))
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
	return r.with("set attributes of", p, func(at place) error {
		have, err := at.stat()
		if err != nil {
			return err
		}
		if have.Kind != meta.Kind {
			return fmt.Errorf("a %v, not a %v: %w", have.Kind, meta.Kind, ErrKind)
		}
		return r.setAttrs(at.object(), have, attrs{meta: meta, xattrs: xattrs})
	})
}

// SetTimes sets the modification time of p alone, whatever Options say: it is
// for directories whose children are done.
func (r *Root) SetTimes(p tree.Path, mtime tree.Time) error {
	return r.with("set times of", p, func(at place) error {
		have, err := at.stat()
		if err != nil || have.Mtime == mtime {
			return err
		}
		return at.object().setTime(mtime)
	})
}

// stat is the metadata of what is there, or a syscall.Errno.
func (at place) stat() (tree.Meta, error) { return walk.StatAt(at.fd, at.name) }
