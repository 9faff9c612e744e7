package walk

import (
	"cmp"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// UntrustedLink is the refusal of a symlink which belongs to somebody else. It
// counts as ELOOP.
type UntrustedLink struct{}

func (UntrustedLink) Error() string {
	return `refusing to follow a symlink owned by an untrusted user; use --insecure-links locally or "insecure links = yes" in a daemon module ONLY if every path component is trusted`
}

// Unwrap gives ELOOP.
func (UntrustedLink) Unwrap() error { return syscall.ELOOP }

// Operator opens what the operator of a program names. Such names lead
// anywhere, but through symlinks only that root or the effective user owns: one
// that another user placed in a directory of his leads nowhere.
type Operator struct {
	Base     *os.File // where relative names start; nil is the working directory
	Insecure bool     // follow any symlink
	Confine  string   // absolute; what lies outside is refused with EXDEV. "" and "/" confine nothing
}

// Open opens name as open(2) does with these flags and mode; symlinks at the
// end are followed, unless flags have O_NOFOLLOW.
func (o Operator) Open(name string, flags int, mode uint32) (*os.File, error) {
	var fd int
	var err error
	if o.Confine == "" || o.Confine == "/" {
		fd, err = o.open(name, flags|unix.O_CLOEXEC, mode)
	} else {
		fd, err = o.confined(name, flags|unix.O_CLOEXEC, mode)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: tree.Quote(name), Err: err}
	}
	return os.NewFile(uintptr(fd), tree.Quote(name)), nil
}

// confined is open for names that must come out within o.Confine. Where a name
// comes out is seen on the open handle; so nothing is created or cut before.
func (o Operator) confined(name string, flags int, mode uint32) (int, error) {
	fd, err := o.open(name, flags&^(unix.O_CREAT|unix.O_EXCL|unix.O_TRUNC), mode)
	switch {
	case err == syscall.ENOENT && flags&unix.O_CREAT != 0:
		dir, base := path.Split(name)
		parent, err := o.confined(cmp.Or(dir, "."), openPath&^unix.O_NOFOLLOW, 0)
		if err != nil {
			return -1, err
		}
		defer unix.Close(parent)
		return retry(func() (int, error) { return unix.Openat(parent, base, flags|unix.O_NOFOLLOW, mode) })
	case err == syscall.EACCES && o.outside(name):
		return -1, syscall.EXDEV
	case err != nil:
		return -1, err
	}
	err = o.inside(fd)
	switch {
	case err != nil:
	case flags&unix.O_EXCL != 0:
		err = syscall.EEXIST
	case flags&unix.O_TRUNC != 0:
		err = unix.Ftruncate(fd, 0)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// outside reports whether name, which may not be opened, lies outside of
// o.Confine: that says more than that it may not.
func (o Operator) outside(name string) bool {
	fd, err := o.open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return o.inside(fd) == syscall.EXDEV
}

// inside reports whether what is open as fd lies within o.Confine.
func (o Operator) inside(fd int) error {
	got, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return err
	}
	limit, err := retry(func() (int, error) { return unix.Open(o.Confine, openPath&^unix.O_NOFOLLOW, 0) })
	if err != nil {
		return err
	}
	defer unix.Close(limit)
	top, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(limit))
	if err != nil {
		return err
	}
	if got != top && !strings.HasPrefix(got, strings.TrimSuffix(top, "/")+"/") {
		return syscall.EXDEV
	}
	return nil
}

func (o Operator) base() int {
	if o.Base == nil {
		return unix.AT_FDCWD
	}
	return int(o.Base.Fd())
}

func (o Operator) open(name string, flags int, mode uint32) (int, error) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return -1, syscall.ENOENT
	}
	if strings.HasSuffix(name, "/") && flags&(unix.O_PATH|unix.O_DIRECTORY) == 0 {
		return -1, o.noFile(name)
	}
	if o.Insecure {
		return retry(func() (int, error) { return unix.Openat(o.base(), name, flags, mode) })
	}
	return openTrusted(o.base(), name, flags, mode)
}

// openTrusted opens name, which starts at base, through symlinks of root and of
// the effective user only.
func openTrusted(base int, name string, flags int, mode uint32) (int, error) {
	// Most names lead through no symlink at all.
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_SYMLINKS}
	if flags&(unix.O_CREAT|unix.O_TMPFILE) != 0 {
		how.Mode = uint64(mode)
	}
	fd, err := retry(func() (int, error) { return unix.Openat2(base, name, &how) })
	switch err {
	case syscall.ELOOP, syscall.ENOSYS, syscall.EPERM, syscall.EINVAL:
		return climb(base, name, flags, mode)
	}
	return fd, err
}

// noFile is why a name that ends in a slash cannot be opened as a file.
func (o Operator) noFile(name string) error {
	fd, err := o.open(name, openPath&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	_ = unix.Close(fd)
	return syscall.EISDIR
}

func retry(open func() (int, error)) (fd int, err error) {
	for {
		if fd, err = open(); err != syscall.EINTR {
			return fd, err
		}
	}
}

// climb resolves name component by component. Each directory is held while the
// next is looked up, so that nothing that was checked can be exchanged.
func climb(base int, name string, flags int, mode uint32) (int, error) {
	c := climber{at: -1, flags: flags, mode: mode}
	defer func() { c.move(-1) }()
	for {
		if strings.HasPrefix(name, "/") {
			fd, err := retry(func() (int, error) { return unix.Open("/", openPath, 0) })
			if err != nil {
				return -1, err
			}
			c.move(fd)
		}
		from := c.at
		if from < 0 {
			from = base
		}
		rest, fd, err := c.step(from, name)
		if err != nil || rest == "" {
			return fd, err
		}
		name = rest
	}
}

// climber is a climb under way.
type climber struct {
	at    int // the directory reached; -1 is where it began
	links int // symlinks followed
	flags int
	mode  uint32
}

func (c *climber) move(fd int) {
	if c.at >= 0 {
		_ = unix.Close(c.at)
	}
	c.at = fd
}

// step looks up the first component of name in directory from. It gives the name
// that remains, or, if that is empty, what was opened in the end.
func (c *climber) step(from int, name string) (remains string, fd int, err error) {
	part, rest := firstOf(name)
	end := func(flags int) (string, int, error) {
		fd, err := retry(func() (int, error) { return unix.Openat(from, part, flags|unix.O_NOFOLLOW, c.mode) })
		return "", fd, err
	}
	last := strings.Trim(rest, "/") == ""
	if last && rest == "" && c.flags&unix.O_NOFOLLOW != 0 {
		return end(c.flags)
	}
	fd, err = retry(func() (int, error) {
		return unix.Openat(from, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	switch {
	case err == syscall.ENOENT && last && c.flags&unix.O_CREAT != 0:
		return end(c.flags)
	case err != nil:
		return "", -1, err
	}
	target, err := trustedLink(fd)
	if err == nil && target == "" && !last {
		c.move(fd)
		return rest, -1, nil
	}
	proc := target != "" && onProc(fd)
	_ = unix.Close(fd)
	switch {
	case err != nil:
		return "", -1, err
	case proc && last:
		if rest != "" {
			c.flags |= unix.O_DIRECTORY
		}
		fd, err = retry(func() (int, error) { return unix.Openat(from, part, c.flags, c.mode) })
		return "", fd, err
	case proc:
		fd, err = retry(func() (int, error) { return unix.Openat(from, part, unix.O_PATH|unix.O_CLOEXEC, 0) })
		if err == nil {
			c.move(fd)
		}
		return rest, -1, err
	case target == "":
		if rest != "" {
			c.flags |= unix.O_DIRECTORY
		}
		return end(c.flags)
	}
	if c.links++; c.links > maxLinks {
		return "", -1, syscall.ELOOP
	}
	if rest != "" {
		target += "/" + rest
	}
	return target, -1, nil
}

// onProc tells if a symlink belongs to the proc file system, where the kernel knows
// better than the text where one leads: /dev/fd/63 of a shell's <(command) is a
// symlink to "pipe:[4711]". What root or this user has there nobody else can exchange.
func onProc(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type == unix.PROC_SUPER_MAGIC
}

// firstOf cuts name after its first component; "." stands for none. rest is
// "/" if nothing but slashes follows.
func firstOf(name string) (part, rest string) {
	name = strings.TrimLeft(name, "/")
	if name == "" {
		return ".", ""
	}
	part, rest, more := strings.Cut(name, "/")
	rest = strings.TrimLeft(rest, "/")
	if more && rest == "" {
		rest = "/"
	}
	return part, rest
}

// trustedLink is where the symlink open as fd leads, "" if it is none.
func trustedLink(fd int) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return "", UntrustedLink{}
	}
	target, err := readlink(fd, "")
	if err == nil && target == "" {
		err = syscall.ENOENT
	}
	return target, err
}
