package sender

import (
	"errors"
	"fmt"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// ErrProtocol is wrapped by errors about a peer that asks for what the protocol
// does not allow: rsync's exit code 2.
var ErrProtocol = errors.New("peer broke the rsync protocol")

// Params is what both sides agreed on before the file list.
type Params struct {
	Protocol   int
	Compat     wire.Compat
	Seed       int32
	Xfer, File checksum.Algo   // for blocks and whole files; for -c
	Compress   compress.Method // zero value: plain
	Level      int             // of the compression

	// What the receiving side was told to preserve: it shapes the list.
	Owner, Group, Links, Devices, Specials, HardLinks, ACLs, Xattrs, NumericIDs bool

	Checksum      bool // -c: digests in the list
	DryRun        bool // -n: no data either way
	DeleteMissing bool // --delete-missing-args: mode-0 entries are allowed

	// Names caches user and group names, nil for a cache of this run only.
	Names *flist.Names

	// Interrupt makes a Read of the stream that is blocked, and every later
	// one, return an error soon. It is called when ctx ends or the run fails
	// while its reader may be waiting for the peer. If it is nil, the reader
	// of a failed run lives on until the owner closes the connection. A Write
	// that is blocked when ctx ends is for the owner to end; so are
	// keep-alives, which the Writer takes from any goroutine.
	Interrupt func()
}

// Item is one path of an explicit list, as the peer shall see it: relative to
// Job.Dir.
type Item struct {
	Path tree.Path

	// Tree sends a directory with everything below it; with --delete the
	// receiving side removes what is not there. What is listed below a Tree
	// goes with it.
	Tree bool

	// Children sends a directory with its direct children, so that with
	// --delete the receiving side removes other ones. It serves peers below
	// protocol 31, which don't know of missing entries.
	Children bool

	// NoDir says that there was no directory here a moment ago. One that is
	// there now is not listed: of what it held at the peer nobody knows. OnError
	// hears ErrChanged.
	NoDir bool

	// From is another name that the peer has for this file, as it was before
	// it was renamed: both are listed as names of one file, so that a peer
	// whose old file is the same links it instead of fetching it. It needs a
	// session with hard links; the old name's directory must still be there.
	From tree.Path
}

// Job is what to send.
type Job struct {
	Root *walk.Root
	Dir  tree.Path // the transfer root, relative to Root

	// Either everything below Dir, "." first, or an explicit list in the
	// shape of --relative --files-from (section 3.7): the parents of each item
	// are added as implied directories, directories come without contents,
	// and a path that is not there becomes an entry of mode 0, which removes
	// it at the other end. An explicit list needs a session without
	// incremental recursion and with --relative.
	Whole bool
	List  []Item

	// Scope hides paths, which are relative to Root; nil hides nothing. A
	// hidden path is not sent and nothing is said about it.
	Scope *filter.Scope

	// Steady keeps files that are being written from being sent; nil sends
	// what is there.
	Steady *Steady

	// OnError hears of each path, relative to Root, that cannot be sent or not
	// completely; the rest goes on. A file that is gone gives an error that
	// wraps fs.ErrNotExist. nil ignores them; Result.Missing has the paths.
	OnError func(p tree.Path, err error)

	// OnProgress hears of progress a few times a second. May be nil.
	OnProgress func(Progress)

	// OnMessage and OnDeleted are not called here: they wait for what the
	// session's message handler hears while this job is running.
	OnMessage func(code wire.Code, text string)
	OnDeleted func(name string, dir bool)
}

// Progress is how far a run has come.
type Progress struct {
	Listed      int   // entries sent in file lists so far
	ListedAll   bool  // no more will come
	Checked     int   // entries that the peer has gone past, as far as we can tell
	Transferred int   // files whose data was sent
	Bytes       int64 // of their contents
	TotalSize   int64 // of the regular files and symlinks listed
}

// Result is what a run did. It is filled as far as the run came.
type Result struct {
	Files       int   // entries listed
	Transferred int   // regular files whose data was sent
	Literal     int64 // bytes of file data sent as they are
	Matched     int64 // bytes that the peer had
	Read        int64 // raw bytes of the connection, frames included
	Written     int64
	TotalSize   int64 // of the regular files and symlinks listed

	Deleted  int // sum of DelStats
	DelStats DelStats

	// Missing are the paths, relative to Root, that were not delivered for a
	// reason on this side; OnError was told the reason.
	Missing []tree.Path

	// IOError has rsync's io_error bits of this side, for the exit code.
	IOError int
}

// DelStats is what the receiving side says it deleted (protocol 31 and up).
type DelStats struct{ Files, Dirs, Symlinks, Devices, Specials int }

// The io_error bits of this side (part 1, 6.4).
const (
	IOErrorGeneral  = 1
	IOErrorVanished = 2
)

// validate reports a job or parameters that cannot be run.
func (p *Params) validate(j *Job) error {
	incremental := p.Compat.Has(wire.IncRecurse)
	switch {
	case j.Root == nil:
		return errors.New("sender: job without a root")
	case j.Whole == (j.List != nil):
		return errors.New("sender: a job is either whole or a list")
	case j.List != nil && incremental:
		return errors.New("sender: an explicit list needs a session without incremental recursion")
	case j.Dir != "" && !j.Dir.Valid():
		return fmt.Errorf("sender: transfer root %s is not a clean path", j.Dir)
	}
	for _, item := range j.List {
		if !item.Path.Valid() {
			return fmt.Errorf("sender: listed path %s is not a clean path", tree.Quote(string(item.Path)))
		}
	}
	return nil
}

// listOptions are p as the file list's encoder wants them.
func (p *Params) listOptions() flist.Options {
	o := flist.Options{
		Protocol: p.Protocol, Compat: p.Compat,
		Owner: p.Owner, Group: p.Group, Links: p.Links, Devices: p.Devices, Specials: p.Specials,
		HardLinks: p.HardLinks, ACLs: p.ACLs, Xattrs: p.Xattrs, NumericIDs: p.NumericIDs,
	}
	if p.Checksum {
		o.SumLen = p.File.Size()
	}
	return o
}
