package apply

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default" // directories only
)

// setXattrs makes the attributes of o those of want, within what Options and
// privileges cover: others are left as they are. changed is true if anything
// was written or removed.
func (r *Root) setXattrs(o Object, kind tree.Kind, want []walk.Xattr) (changed bool, errs []error) {
	have, err := walk.XattrsAt(o.fd, o.name)
	if err != nil {
		return false, []error{fmt.Errorf("list extended attributes: %w", err)}
	}
	note := func(name string, err error) {
		if err != nil && err != syscall.ENODATA { // removed by someone else
			errs = append(errs, fmt.Errorf("attribute %s: %w", tree.Quote(name), err))
			return
		}
		changed = true
	}
	for _, x := range have {
		if r.keeps(x.Name, kind) && !slices.ContainsFunc(want, func(w walk.Xattr) bool { return w.Name == x.Name }) {
			note(x.Name, o.Removexattr(x.Name))
		}
	}
	for _, w := range want {
		same := func(x walk.Xattr) bool { return x.Name == w.Name && bytes.Equal(x.Value, w.Value) }
		if r.keeps(w.Name, kind) && !slices.ContainsFunc(have, same) {
			note(w.Name, o.Setxattr(w.Name, w.Value))
		}
	}
	return changed, errs
}

// keeps reports whether Options cover the attribute. As root these are all
// name spaces but system, otherwise user alone.
func (r *Root) keeps(name string, kind tree.Kind) bool {
	switch {
	case name == aclAccess:
		return r.opts.ACLs && kind != tree.Symlink
	case name == aclDefault:
		return r.opts.ACLs && kind == tree.Dir
	case strings.HasPrefix(name, "system."):
		return false
	}
	return r.opts.Xattrs && (r.who.root() || strings.HasPrefix(name, "user."))
}

// xattrArgs is struct xattr_args of setxattrat(2).
type xattrArgs struct {
	value uint64 // address
	size  uint32
	flags uint32
}

// noXattrAt is set once the kernel turned out to have no setxattrat(2) and
// removexattrat(2), which came with Linux 6.13.
var noXattrAt atomic.Bool

// Setxattr sets one attribute. Where setxattrat is missing the path of the
// directory handle in /proc serves, whose last component is not followed
// either.
func (o Object) Setxattr(attr string, value []byte) error {
	switch {
	case o.name == "":
		return unix.Fsetxattr(o.fd, attr, value, 0)
	case noXattrAt.Load():
		return unix.Lsetxattr(o.procPath(), attr, value, 0)
	}
	name, a, err := o.pointers(attr)
	if err != nil {
		return err
	}
	args := xattrArgs{size: uint32(len(value))}
	var pin runtime.Pinner // args holds value's address as a number
	defer pin.Unpin()
	if len(value) > 0 {
		pin.Pin(&value[0])
		args.value = uint64(uintptr(unsafe.Pointer(&value[0])))
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETXATTRAT, uintptr(o.fd), uintptr(unsafe.Pointer(name)),
		unix.AT_SYMLINK_NOFOLLOW, uintptr(unsafe.Pointer(a)), uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
	if unknown(errno) {
		return unix.Lsetxattr(o.procPath(), attr, value, 0)
	}
	return result(errno)
}

// Removexattr removes one attribute, as Setxattr sets it.
func (o Object) Removexattr(attr string) error {
	switch {
	case o.name == "":
		return unix.Fremovexattr(o.fd, attr)
	case noXattrAt.Load():
		return unix.Lremovexattr(o.procPath(), attr)
	}
	name, a, err := o.pointers(attr)
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_REMOVEXATTRAT, uintptr(o.fd), uintptr(unsafe.Pointer(name)),
		unix.AT_SYMLINK_NOFOLLOW, uintptr(unsafe.Pointer(a)), 0, 0)
	if unknown(errno) {
		return unix.Lremovexattr(o.procPath(), attr)
	}
	return result(errno)
}

func (o Object) pointers(attr string) (name, a *byte, err error) {
	if name, err = unix.BytePtrFromString(o.name); err != nil {
		return nil, nil, err
	}
	a, err = unix.BytePtrFromString(attr)
	return name, a, err
}

// unknown reports whether a system call is not there: not in the kernel, or
// not allowed by the filter of a container that does not know it. EPERM may
// also be meant, so that is not remembered.
func unknown(errno syscall.Errno) bool {
	if errno == syscall.ENOSYS {
		noXattrAt.Store(true)
	}
	return errno == syscall.ENOSYS || errno == syscall.EPERM
}

func result(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func (o Object) procPath() string {
	return "/proc/self/fd/" + strconv.Itoa(o.fd) + "/" + o.name
}
