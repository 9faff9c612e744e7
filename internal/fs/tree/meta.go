package tree

import (
	"cmp"
	"fmt"
)

// Kind is the type of a file system object.
type Kind uint8

// The kinds. Missing is the zero value: nothing is there.
const (
	Missing Kind = iota
	File
	Dir
	Symlink
	CharDevice
	BlockDevice
	Fifo
	Socket
)

var kindNames = [...]string{"missing", "file", "dir", "symlink", "char device", "block device", "fifo", "socket"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// IsDevice reports whether k is a character or block device.
func (k Kind) IsDevice() bool { return k == CharDevice || k == BlockDevice }

// IsSpecial reports whether k is a fifo or a socket.
func (k Kind) IsSpecial() bool { return k == Fifo || k == Socket }

// The file type bits of st_mode on Linux, which are also those of the rsync
// file list (rsync-filelist 1.6).
const (
	modeFifo    = 0o010000
	modeChar    = 0o020000
	modeDir     = 0o040000
	modeBlock   = 0o060000
	modeRegular = 0o100000
	modeSymlink = 0o120000
	modeSocket  = 0o140000
	modeType    = 0o170000

	// PermMask covers the permission, setuid, setgid and sticky bits.
	PermMask = 0o7777
)

// KindOfMode is the kind in a Unix st_mode; ok is false for an unknown type.
func KindOfMode(mode uint32) (k Kind, ok bool) {
	switch mode & modeType {
	case modeRegular:
		return File, true
	case modeDir:
		return Dir, true
	case modeSymlink:
		return Symlink, true
	case modeChar:
		return CharDevice, true
	case modeBlock:
		return BlockDevice, true
	case modeFifo:
		return Fifo, true
	case modeSocket:
		return Socket, true
	}
	return Missing, false
}

// TypeBits is the st_mode type of k, 0 for Missing.
func (k Kind) TypeBits() uint32 {
	return [...]uint32{0, modeRegular, modeDir, modeSymlink, modeChar, modeBlock, modeFifo, modeSocket}[k]
}

// Time is a point in time as file systems store it: seconds since 1970, which
// may be negative, and 0 to 999999999 nanoseconds.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Compare orders times: -1, 0 or +1.
func (t Time) Compare(u Time) int {
	return cmp.Or(cmp.Compare(t.Sec, u.Sec), cmp.Compare(t.Nsec, u.Nsec))
}

// Meta is what lstat says of one object.
type Meta struct {
	Kind         Kind
	Perm         uint16 // the 12 bits of PermMask
	UID, GID     uint32
	Nlink        uint32
	Major, Minor uint32 // of a device node itself
	Size         int64  // bytes; a symlink's is its target's length
	Mtime, Ctime Time
	Dev, Ino     uint64
}

// Exists reports whether anything is there.
func (m Meta) Exists() bool { return m.Kind != Missing }

// IsDir reports whether m is a directory.
func (m Meta) IsDir() bool { return m.Kind == Dir }

// Mode is m as a Unix st_mode.
func (m Meta) Mode() uint32 { return m.Kind.TypeBits() | uint32(m.Perm) }

// Linked reports whether m has, or may have, other names: a non-directory
// with a link count above one.
func (m Meta) Linked() bool { return m.Kind != Dir && m.Nlink > 1 }

// Inode identifies one object on one machine while it exists.
type Inode struct{ Dev, Ino uint64 }

// Inode is m's identity.
func (m Meta) Inode() Inode { return Inode{m.Dev, m.Ino} }

// Entry is one object with its name: in a directory listing Name is the last
// component, see the function that returns it.
type Entry struct {
	Name string
	Meta Meta
}
