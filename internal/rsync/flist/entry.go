package flist

import "lockstep/internal/fs/tree"

// Entry is one object to be listed. A zero Meta (tree.Missing) is an entry of
// mode 0: the receiving side removes that name (section 3.6).
type Entry struct {
	Dir  tree.Path // the directory that holds it, as seen from the transfer root
	Name string    // its last component; "" in the directory "" is the root itself
	Meta tree.Meta

	// For directories, from protocol 30 on (section 1.3). Both together mark
	// an implied directory. Below protocol 30 only Top exists: it makes the
	// receiving side sweep this directory and the ones below it which follow.
	Top, NoContent bool

	Atime, Crtime tree.Time // with -U and -N; whole seconds travel

	Target  string  // of a symlink
	Sum     []byte  // checksum of a regular file, nil if it couldn't be read
	Access  []byte  // value of system.posix_acl_access, nil for none
	Default []byte  // value of system.posix_acl_default, nil for none
	Xattrs  []Xattr // any order; those that don't travel are left out here
}

// Xattr is one extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Path is the entry's name below the transfer root.
func (e *Entry) Path() tree.Path {
	if e.Name == "" {
		return e.Dir
	}
	return e.Dir.Join(e.Name)
}

// The bits of an entry's flags (section 1.2).
const (
	flagTop        = 0x0001 // directories
	flagSameMode   = 0x0002
	flagSameRdev27 = 0x0004 // protocol 27, devices
	flagExtended   = 0x0004 // protocol 28 and up
	flagSameUID    = 0x0008
	flagSameGID    = 0x0010
	flagSameName   = 0x0020
	flagLongName   = 0x0040
	flagSameTime   = 0x0080
	flagSameMajor  = 0x0100  // devices and specials
	flagNoContent  = 0x0100  // directories, protocol 30 and up
	flagLinked     = 0x0200  // non-directories
	flagSameDev    = 0x0400  // protocols 28 and 29, linked
	flagUserName   = 0x0400  // protocol 30 and up
	flagMinor8     = 0x0800  // protocols 28 and 29, devices and specials
	flagGroupName  = 0x0800  // protocol 30 and up
	flagLinkFirst  = 0x1000  // protocol 30 and up, linked
	flagNsec       = 0x2000  // protocol 31 and up
	flagSameAtime  = 0x4000  // non-directories, with -U
	flagCrtimeSame = 0x20000 // with -N: it is the modification time

	// flagsKnown are all of them; nobody sets others.
	flagsKnown = 0x27fff

	// flagIOErrorEnd is the two-byte terminator that carries io_error.
	flagIOErrorEnd = 0x1004
)
