package session

import (
	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/output"
)

// Host is what a daemon brings into a server's session.
type Host struct {
	// Protocol is what the greetings agreed on.
	Protocol int
	// Refused is why the session cannot take place, if that is clear by now: the
	// client hears of it after the handshake (rsync-session 2.5).
	Refused error
	// Module and Dir are the name and the place of the module; nothing leads out
	// of it. Munge is for symlinks.
	Module, Dir string
	Munge       bool
	// Guard is the module's own filter: what it hides does not exist.
	Guard *filter.Rules
	// Timeout is told to the client, in seconds; 0 is none.
	Timeout int
	// Log hears of the transfer; nil is none.
	Log output.Talk
}

// refused reports names that the module's filter keeps from being touched.
func (h *Host) refused(p tree.Path, dir bool) bool {
	return h.Guard.Scope(nil).Hidden(p, dir)
}

// accept refuses names of a list that the module's filter hides.
func (h *Host) accept(p tree.Path, isDir bool) error {
	if h.refused(p, isDir) {
		return unsupported("ERROR: daemon refused to receive %s: %s", kindWord(isDir), tree.Quote(string(p)))
	}
	return nil
}

func kindWord(isDir bool) string {
	if isDir {
		return "directory"
	}
	return "file"
}

// module is where the destination lies, nil without a daemon.
func (e *end) module() *dest.Module {
	if e.host == nil {
		return nil
	}
	return &dest.Module{Name: e.host.Module, Dir: e.host.Dir, Munge: e.host.Munge}
}
