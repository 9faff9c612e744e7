package session

import (
	"os"
	"path"
	"strings"
	"syscall"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
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
	// Readable hides what the user of this process cannot read, in directories
	// that are listed (ignore nonreadable).
	Readable bool
	// Names knows users and groups; nil is the system. Numeric says that ids go by
	// number even so, unlike --numeric-ids without a word to the client: lists of
	// names are sent, and have none.
	Names   flist.Directory
	Numeric bool
	// Agreed is called when the handshake is done; may be nil.
	Agreed func()
	// Timeout is told to the client, in seconds; 0 is none.
	Timeout int
	// Log hears of the transfer; nil is none. LogsModes is set if it shows the
	// modes of what is deleted.
	Log       output.Talk
	LogsModes bool
}

// refusedBelow reports names below a directory of the module that the module's
// filter keeps from being touched.
func (h *Host) refusedBelow(dir string) func(p tree.Path, isDir bool) bool {
	scope := h.Guard.Scope(nil)
	top := tree.Path(strings.Trim(path.Clean("/"+dir), "/"))
	return func(p tree.Path, isDir bool) bool {
		at := top
		if !p.IsRoot() {
			at = top.Join(string(p))
		}
		return !at.IsRoot() && scope.Hidden(at, isDir)
	}
}

// openFile opens a file of the module that a client names.
func (h *Host) openFile(name string) (*os.File, error) {
	at := tree.Path(strings.Trim(path.Clean("/"+name), "/"))
	if h.Guard.Scope(nil).Hidden(at, false) {
		return nil, syscall.ENOENT
	}
	place, err := walk.OpenModule(h.Dir)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	root, err := place.Root(string(at.Parent()))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(tree.Path(at.Base()))
}

// known are the names of users and groups that the client is told.
func (h *Host) known() flist.Directory {
	if h.Numeric {
		return flist.Nameless{}
	}
	return h.Names
}

// module is where the destination lies, nil without a daemon.
func (e *end) module() *dest.Module {
	if e.host == nil {
		return nil
	}
	return &dest.Module{
		Name: e.host.Module, Dir: e.host.Dir, Munge: e.host.Munge, Tame: !e.host.Munge && e.host.Dir != "/",
		Hidden: e.host.Guard.Scope(nil).Hidden,
	}
}
