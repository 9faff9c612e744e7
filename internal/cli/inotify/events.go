package inotify

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// event is one kind of event. Bits are those of inotify(7).
type event struct {
	mask    uint32
	option  string // with -e; "" is none
	printed string // in output; "" is never
	help    string // of -e; "" is not listed
}

// events are all kinds in the order in which they are printed.
var events = []event{
	{unix.IN_ACCESS, "access", "ACCESS", "file or directory contents were read"},
	{unix.IN_MODIFY, "modify", "MODIFY", "file contents were written or cut"},
	{unix.IN_ATTRIB, "attrib", "ATTRIB", "metadata changed: times, mode, owner, links, attributes"},
	{unix.IN_CLOSE_WRITE, "close_write", "CLOSE_WRITE", "a file opened for writing was closed"},
	{unix.IN_CLOSE_NOWRITE, "close_nowrite", "CLOSE_NOWRITE", "something opened for reading only was closed"},
	{unix.IN_OPEN, "open", "OPEN", "file or directory was opened"},
	{unix.IN_MOVED_FROM, "moved_from", "MOVED_FROM", "a name left a watched directory"},
	{unix.IN_MOVED_TO, "moved_to", "MOVED_TO", "a name came to a watched directory"},
	{unix.IN_CREATE, "create", "CREATE", "something was made in a watched directory"},
	{unix.IN_DELETE, "delete", "DELETE", "something was removed from a watched directory"},
	{unix.IN_DELETE_SELF, "delete_self", "DELETE_SELF", "what is watched was removed"},
	{unix.IN_UNMOUNT, "unmount", "UNMOUNT", "the file system of what is watched was unmounted"},
	{unix.IN_Q_OVERFLOW, "q_overflow", "Q_OVERFLOW", "events were lost since they came too fast"},
	{unix.IN_IGNORED, "ignored", "IGNORED", ""},
	{unix.IN_CLOSE, "close", "CLOSE", "close_write and close_nowrite"},
	{unix.IN_MOVE_SELF, "move_self", "MOVE_SELF", "what is watched was moved"},
	{unix.IN_ISDIR, "isdir", "ISDIR", ""},
	{unix.IN_ONESHOT, "oneshot", "ONESHOT", ""},
	{unix.IN_MOVE, "move", "", "moved_from and moved_to"},
	{unix.IN_ALL_EVENTS, "all_events", "", ""},
}

// allEvents are the kinds that are reported unless -e says otherwise.
const allEvents = unix.IN_ALL_EVENTS

// columns are the kinds that inotifywatch counts, in the order of its columns.
var columns = [...]struct {
	name string
	mask uint32
}{
	{"access", unix.IN_ACCESS}, {"modify", unix.IN_MODIFY}, {"attrib", unix.IN_ATTRIB},
	{"close_write", unix.IN_CLOSE_WRITE}, {"close_nowrite", unix.IN_CLOSE_NOWRITE}, {"open", unix.IN_OPEN},
	{"moved_from", unix.IN_MOVED_FROM}, {"moved_to", unix.IN_MOVED_TO}, {"move_self", unix.IN_MOVE_SELF},
	{"create", unix.IN_CREATE}, {"delete", unix.IN_DELETE}, {"delete_self", unix.IN_DELETE_SELF}, {"unmount", unix.IN_UNMOUNT},
}

func isColumn(name string) bool {
	for _, c := range columns {
		if c.name == name {
			return true
		}
	}
	return false
}

// maskOf is the bits of the event called name, in any case; 0 is none.
func maskOf(name string) uint32 {
	for _, e := range events {
		if strings.EqualFold(e.option, name) {
			return e.mask
		}
	}
	return 0
}

// addEvents adds a comma list to mask. A list with an empty element adds
// nothing.
func addEvents(mask uint32, list string) (uint32, error) {
	names := strings.Split(list, ",")
	if slices.Contains(names, "") {
		return mask, nil
	}
	for _, name := range names {
		m := maskOf(name)
		if m == 0 {
			return 0, wrong(fmt.Sprintf("'%s' is not a valid event!  Run with the '--help' option to see a list of events.", list))
		}
		mask |= m
	}
	return mask, nil
}

// printedNames are the names of the bits in mask.
func printedNames(mask uint32) []string {
	var names []string
	for _, e := range events {
		if mask&e.mask != 0 && e.printed != "" {
			names = append(names, e.printed)
		}
	}
	if names == nil {
		names = []string{fmt.Sprintf("0x%08x", mask)}
	}
	return names
}
