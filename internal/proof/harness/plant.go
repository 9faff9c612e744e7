package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Plant makes the objects of a layout in the empty directory root.
func Plant(root, layout string) error {
	objects, err := parseLayout(layout)
	if err != nil {
		return err
	}
	made := map[string]*layoutObject{}
	for i := range objects {
		o := &objects[i]
		if err := parents(root, o.name, made); err != nil {
			return fmt.Errorf("plant %q: %w", o.name, err)
		}
		if err := o.make(root); err != nil {
			return fmt.Errorf("plant %q: %w", o.name, err)
		}
		made[o.name] = o
	}
	// What is deepest comes first: a directory's time is set after what is in
	// it, and its mode last keeps nobody out.
	names := make([]string, 0, len(made))
	for name := range made {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := strings.Count(names[i], "/"), strings.Count(names[j], "/")
		return a > b || a == b && names[i] < names[j]
	})
	for _, name := range names {
		if err := made[name].attributes(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("plant %q: %w", name, err)
		}
	}
	return nil
}

func parents(root, name string, made map[string]*layoutObject) error {
	for i := strings.IndexByte(name, '/'); i >= 0 && i < len(name); {
		dir := name[:i]
		if made[dir] == nil {
			o := &layoutObject{name: dir, kind: 'd', mode: 0o755, mtime: defaultTime, uid: -1, gid: -1}
			if err := o.make(root); err != nil {
				return err
			}
			made[dir] = o
		}
		next := strings.IndexByte(name[i+1:], '/')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return nil
}

func (o *layoutObject) make(root string) error {
	at := filepath.Join(root, o.name)
	switch o.kind {
	case 'd':
		if err := os.Mkdir(at, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	case 'l':
		return os.Symlink(o.target, at)
	case 'h':
		return os.Link(filepath.Join(root, o.target), at)
	case 'p':
		return unix.Mkfifo(at, 0o600)
	case 's':
		return makeSocket(at)
	case 'c', 'b':
		kind := uint32(unix.S_IFCHR)
		if o.kind == 'b' {
			kind = unix.S_IFBLK
		}
		return unix.Mknod(at, kind|0o600, int(unix.Mkdev(o.major, o.minor)))
	}
	return o.file(at)
}

func (o *layoutObject) file(at string) error {
	f, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	offset := int64(0)
	for _, p := range o.pieces {
		if !p.zero && err == nil {
			_, err = f.WriteAt(p.appendBytes(nil), offset)
		}
		offset += p.size
	}
	return errors.Join(err, f.Truncate(offset), f.Close())
}

// makeSocket binds in the socket's own directory: the path of a test's
// directory is too long for an address.
func makeSocket(at string) error {
	dir, err := os.Open(filepath.Dir(at))
	if err != nil {
		return err
	}
	defer dir.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(at)))
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l.Close()
}

func (o *layoutObject) attributes(at string) error {
	if o.kind == 'h' {
		return nil
	}
	if o.uid >= 0 || o.gid >= 0 {
		if err := os.Lchown(at, o.uid, o.gid); err != nil {
			return err
		}
	}
	for _, x := range o.xattrs {
		if err := unix.Lsetxattr(at, x.name, []byte(x.value), 0); err != nil {
			return fmt.Errorf("set %s: %w", x.name, err)
		}
	}
	if o.kind != 'l' {
		if err := unix.Chmod(at, o.mode); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"access": o.acl, "default": o.dacl} {
		if err := setACL(at, name, text); err != nil {
			return err
		}
	}
	atime := o.atime
	if atime == "" {
		atime = o.mtime
	}
	times := [2]unix.Timespec{}
	for i, text := range []string{atime, o.mtime} {
		t, err := parseStamp(text)
		if err != nil {
			return err
		}
		times[i] = unix.NsecToTimespec(t.UnixNano())
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, at, times[:], unix.AT_SYMLINK_NOFOLLOW)
}

func parseStamp(text string) (time.Time, error) {
	whole, part, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", text, err)
	}
	nsec, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	return time.Unix(sec, nsec), err
}

// Tags of entries in the kernel's form of an ACL, linux/posix_acl_xattr.h.
var aclTags = map[string]uint16{"u": 0x01, "U": 0x02, "g": 0x04, "G": 0x08, "m": 0x10, "o": 0x20}

// setACL writes a whole ACL in setfacl's form, such as
// u::rwx,u:1:r--,g::r-x,m::rwx,o::---, in which all must be there in this order.
func setACL(at, name, text string) error {
	if text == "" {
		return nil
	}
	value := binary.LittleEndian.AppendUint32(nil, 2)
	for entry := range strings.SplitSeq(text, ",") {
		parts := strings.Split(entry, ":")
		if len(parts) != 3 {
			return fmt.Errorf("acl entry %q", entry)
		}
		id, tag := uint32(math.MaxUint32), parts[0]
		if parts[1] != "" {
			n, err := strconv.ParseUint(parts[1], 10, 32)
			if err != nil {
				return fmt.Errorf("acl entry %q: %w", entry, err)
			}
			id, tag = uint32(n), strings.ToUpper(tag)
		}
		perm := uint16(0)
		for i, c := range "xwr" {
			if strings.ContainsRune(parts[2], c) {
				perm |= 1 << i
			}
		}
		value = binary.LittleEndian.AppendUint16(value, aclTags[tag])
		value = binary.LittleEndian.AppendUint16(value, perm)
		value = binary.LittleEndian.AppendUint32(value, id)
	}
	if err := unix.Setxattr(at, "system.posix_acl_"+name, value, 0); err != nil {
		return fmt.Errorf("set the %s ACL: %w", name, err)
	}
	return nil
}
