package watch

import (
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
)

// Op is a set of things that happened to one path. A kernel that is read
// slowly merges several into one record, in no known order.
type Op uint32

// The kinds. Those up to Ignored have the values of inotify(7), which are also
// those of fanotify(7).
const (
	Access       Op = 1 << 0  // read from
	Modify       Op = 1 << 1  // written to or truncated
	Attrib       Op = 1 << 2  // metadata changed
	CloseWrite   Op = 1 << 3  // closed by one who could write
	CloseNoWrite Op = 1 << 4  // closed by one who could only read
	Opened       Op = 1 << 5  // opened
	MovedFrom    Op = 1 << 6  // left the source, or went to a skipped name
	MovedTo      Op = 1 << 7  // came from outside, or from a skipped name; nobody has listed a directory's contents
	Create       Op = 1 << 8  // made
	Delete       Op = 1 << 9  // removed
	DeleteSelf   Op = 1 << 10 // a watched object was removed (reserved: not reported yet)
	MoveSelf     Op = 1 << 11 // a watched object was moved (reserved: not reported yet)
	Unmount      Op = 1 << 13 // a mount below the source is gone; Path is its mount point
	Overflow     Op = 1 << 14 // compare everything: events were lost or, with Found, polling has settled
	Ignored      Op = 1 << 15 // a watch was removed (reserved: not reported yet)
	Rename       Op = 1 << 28 // From is now called Path, both lie in the source

	// Found is no kernel event: a listing met this name in a directory that had
	// just become watched, or polling sees it for the first time.
	Found Op = 1 << 16
	// Nameless is no kernel event: what else is in Op happened to the inode in
	// Event.Inode under a name that is not, or no longer, in any directory: a
	// file opened by its handle (the kernel's NFS server does that), or made
	// with O_TMPFILE, linked, and written to after that. Path is a guess.
	Nameless Op = 1 << 17
)

// AllEvents are the kinds that change a tree, the default of Config.Events.
const AllEvents = Modify | Attrib | CloseWrite | Create | Delete | MovedFrom | MovedTo | Rename

// unasked are the kinds that are reported whatever was asked for.
const unasked = Overflow | Unmount | Found

var opNames = [...]struct {
	op   Op
	name string
}{
	{Access, "ACCESS"}, {Modify, "MODIFY"}, {Attrib, "ATTRIB"}, {CloseWrite, "CLOSE_WRITE"},
	{CloseNoWrite, "CLOSE_NOWRITE"}, {Opened, "OPEN"}, {MovedFrom, "MOVED_FROM"}, {MovedTo, "MOVED_TO"},
	{Create, "CREATE"}, {Delete, "DELETE"}, {DeleteSelf, "DELETE_SELF"}, {Unmount, "UNMOUNT"},
	{Overflow, "Q_OVERFLOW"}, {Ignored, "IGNORED"}, {MoveSelf, "MOVE_SELF"},
	{Rename, "RENAME"}, {Found, "FOUND"}, {Nameless, "NAMELESS"},
}

// String is the names of the set's members, joined by '|'.
func (o Op) String() string {
	var parts []string
	for _, n := range opNames {
		if o&n.op != 0 {
			parts = append(parts, n.name)
			o &^= n.op
		}
	}
	if o != 0 || len(parts) == 0 {
		parts = append(parts, fmt.Sprintf("%#x", uint32(o)))
	}
	return strings.Join(parts, "|")
}

// Event says where to look; what is true is on disk.
type Event struct {
	Op     Op
	Path   tree.Path  // below the source root
	From   tree.Path  // the old name, for Rename
	Dir    bool       // it is, or was, a directory
	Cookie uint32     // joins the two halves of an inotify move, 0 otherwise
	Inode  tree.Inode // for Nameless
}

// swap notices renames that undo the one before. An exchange of two names
// (renameat2 with RENAME_EXCHANGE) is told as two such renames; replaying them
// one after the other would lose one of the two.
type swap struct {
	last Event
	id   string // of the object, if the kernel tells
	left int    // records until the last rename is too old to be the first half
}

// swapWindow is how many records of other processors may come between.
const swapWindow = 64

// tick counts a record.
func (s *swap) tick() {
	if s.left > 0 {
		s.left--
	}
}

// rename appends ev, or what an exchange amounts to: both names hold objects
// whose contents nobody has listed. Without ids a rename there and back passes
// for an exchange, which costs a comparison.
func (s *swap) rename(w *Watch, out []Event, ev Event, id string) []Event {
	last := s.last
	exchange := s.left > 0 && last.From == ev.Path && last.Path == ev.From && (id == "" || id != s.id)
	s.last, s.id, s.left = ev, id, swapWindow
	if !exchange {
		return w.add(out, ev)
	}
	out = w.add(out, Event{Op: MovedFrom | MovedTo, Path: last.Path, Dir: last.Dir, Cookie: last.Cookie})
	return w.add(out, Event{Op: MovedFrom | MovedTo, Path: ev.Path, Dir: ev.Dir, Cookie: ev.Cookie})
}

// String is e for logs.
func (e Event) String() string {
	s := e.Op.String() + " "
	if e.Op&Rename != 0 {
		s += e.From.String() + " -> "
	}
	s += e.Path.String()
	if e.Dir {
		s += "/"
	}
	return s
}
