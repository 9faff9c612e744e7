package walk

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Xattr is one extended attribute: its full name with the namespace, and its
// raw value.
type Xattr struct {
	Name  string
	Value []byte
}

// xattrArgs is struct xattr_args of getxattrat(2).
type xattrArgs struct {
	value uint64 // address
	size  uint32
	flags uint32
}

// noXattrAt is set once the kernel turned out to have no listxattrat(2) and
// getxattrat(2), which came with Linux 6.13.
var noXattrAt atomic.Bool

// XattrsAt reads the attributes of name in the directory open as fd, or, if
// name is empty, those of the open file fd itself, sorted by name. An attribute
// that vanishes meanwhile is left out, and so is the form in which XFS stores
// ACLs and shows them to root a second time.
func XattrsAt(fd int, name string) ([]Xattr, error) {
	return xattrsOf(attributes{
		list: func(buf []byte) (int, error) { return listxattr(fd, name, buf) },
		get:  func(attr string, buf []byte) (int, error) { return getxattr(fd, name, attr, buf) },
	})
}

// XattrAt is the value of one attribute of what XattrsAt reads, nil if there is
// none of that name.
func XattrAt(fd int, name, attr string) ([]byte, error) {
	value, err := grow(func(buf []byte) (int, error) { return getxattr(fd, name, attr, buf) })
	if err == syscall.ENODATA || err == syscall.EOPNOTSUPP {
		return nil, nil
	}
	return value, err
}

// attributes are the system calls that read those of one object.
type attributes struct {
	list func(buf []byte) (int, error)
	get  func(attr string, buf []byte) (int, error)
}

func xattrsOf(of attributes) ([]Xattr, error) {
	all, err := grow(of.list)
	if err == syscall.EOPNOTSUPP {
		return nil, nil
	}
	if err != nil || len(all) == 0 {
		return nil, err
	}
	var attrs []Xattr
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(all), "\x00"), "\x00") {
		if strings.HasPrefix(attr, "trusted.SGI_ACL_") {
			continue
		}
		value, err := grow(func(buf []byte) (int, error) { return of.get(attr, buf) })
		switch err {
		case nil:
			attrs = append(attrs, Xattr{Name: attr, Value: value})
		case syscall.ENODATA:
		default:
			return nil, err
		}
	}
	slices.SortFunc(attrs, func(a, b Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return attrs, nil
}

// grow reads something whose size is not known. The kernel bounds lists and
// values by 64 KiB.
func grow(read func([]byte) (int, error)) ([]byte, error) {
	for size := 512; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		if err == syscall.ERANGE && size < 1<<20 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n:n], nil
	}
}

// listxattr lists the attributes of what name is in directory fd. Where
// listxattrat is missing the path of the handle in /proc serves, whose last
// component is not followed either.
func listxattr(fd int, name string, buf []byte) (int, error) {
	if name == "" {
		return unix.Flistxattr(fd, buf)
	}
	if !noXattrAt.Load() {
		p, err := unix.BytePtrFromString(name)
		if err != nil {
			return 0, err
		}
		n, _, errno := unix.Syscall6(unix.SYS_LISTXATTRAT, uintptr(fd), uintptr(unsafe.Pointer(p)),
			unix.AT_SYMLINK_NOFOLLOW, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
		if !unknown(errno) {
			return result(n, errno)
		}
	}
	return unix.Llistxattr(procPath(fd, name), buf)
}

// getxattr reads the value of an attribute, as listxattr does the names.
func getxattr(fd int, name, attr string, buf []byte) (int, error) {
	if name == "" {
		return unix.Fgetxattr(fd, attr, buf)
	}
	if noXattrAt.Load() {
		return unix.Lgetxattr(procPath(fd, name), attr, buf)
	}
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	a, err := unix.BytePtrFromString(attr)
	if err != nil {
		return 0, err
	}
	var pin runtime.Pinner // args holds buf's address as a number
	pin.Pin(&buf[0])
	defer pin.Unpin()
	args := xattrArgs{value: uint64(uintptr(unsafe.Pointer(&buf[0]))), size: uint32(len(buf))}
	n, _, errno := unix.Syscall6(unix.SYS_GETXATTRAT, uintptr(fd), uintptr(unsafe.Pointer(p)),
		unix.AT_SYMLINK_NOFOLLOW, uintptr(unsafe.Pointer(a)), uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
	if unknown(errno) {
		return unix.Lgetxattr(procPath(fd, name), attr, buf)
	}
	return result(n, errno)
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

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func procPath(fd int, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + name
}
