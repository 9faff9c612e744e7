package session

import (
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// debugKept is the level of --debug=FLIST that tells what has become of lists.
const debugKept = 3

// debugMapped is the level of --debug=OWN that tells what ids become here.
const debugMapped = 2

// serverWordsLeft is how many words a server has after its options: the directory
// in which names begin, and the destination.
const serverWordsLeft = 2

// listArrived hears of the entries of a list as they came.
func (e *end) listArrived(files []*flist.File) {
	e.announceArrival(len(files))
	if !e.opt.Debugs(option.DebugFlist, option.DebugListed) {
		return
	}
	e.arrived = e.arrived[:0]
	for _, f := range files {
		e.arrived = append(e.arrived, listedName(f.Path))
	}
}

// listedName is an entry in messages.
func listedName(p tree.Path) string {
	if p.IsRoot() {
		return "."
	}
	return string(p)
}

// tellLists hears of the lists that come while the transfer goes on. rsync has
// them read by two processes.
func (e *end) tellLists(dir int32, l *flist.Received) {
	for _, role := range [...]string{"receiver", "generator"} {
		if l == nil {
			e.debug(option.DebugFlist, debugKept, "[%s] flist_eof=1", role)
			continue
		}
		e.debug(option.DebugFlist, option.DebugListed, "[%s] receiving flist for dir %d", role, dir)
		e.tellList(role)
	}
	e.mapped = nil
}

// tellFirst says what a list has that decides about the destination, which one
// process reads.
func (e *end) tellFirst() {
	e.tellList(e.role)
	e.mapped = nil
}

// tellsLists reports whether anything is told of lists.
func (e *end) tellsLists() bool {
	return e.opt.Debugs(option.DebugFlist, option.DebugListed) || e.opt.Debugs(option.DebugOwn, debugMapped)
}

// idMapped hears what an id of the sender is here.
func (e *end) idMapped(kind flist.IDKind, id uint32, name string, here uint32) {
	e.mapped = append(e.mapped, fmt.Sprintf("%s %d(%s) maps to %d", kind, id, name, here))
}

// tellList says what the last list has that was read.
func (e *end) tellList(role string) {
	for _, line := range e.mapped {
		e.debug(option.DebugOwn, debugMapped, "%s", line)
	}
	for _, name := range e.arrived {
		e.debug(option.DebugFlist, option.DebugListed, "recv_file_name(%s)", name)
	}
	e.debug(option.DebugFlist, option.DebugListed, "received %d names", len(e.arrived))
	e.debug(option.DebugFlist, option.DebugListed, "recv_file_list done")
}

// debug says something for a word of --debug, if that has the level.
func (e *end) debug(word option.Debug, level uint8, format string, args ...any) {
	if e.opt.Debugs(word, level) {
		e.talk.Text(wire.CodeInfo, fmt.Sprintf(format, args...))
	}
}
