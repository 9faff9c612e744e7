package sender

import (
	"errors"
	"fmt"
	"io"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// ErrProtocol is wrapped by errors about a peer that asks for what the protocol
// does not allow: rsync's exit code 2.
var ErrProtocol = errors.New("peer broke the rsync protocol")

// Params is what both sides agreed on before the file list.
type Params struct {
	// Opt is what was asked for: it shapes the list and the answers. Only read.
	Opt *option.Set

	Protocol   int
	Compat     wire.Compat
	Seed       int32
	Xfer, File checksum.Algo   // for blocks and whole files; for -c
	Compress   compress.Method // zero value: plain
	Level      int             // of the compression

	// Names caches user and group names, nil for a cache of this run only.
	Names *flist.Names

	// Iconv says that names are converted on the wire, Convert how; see
	// flist.Options.
	Iconv   bool
	Convert func([]byte) ([]byte, error)

	// Chmod changes the permissions that are listed; nil leaves them.
	Chmod *option.Chmod

	// Talk is where everything is said. nil says nothing: a Job of the mirror
	// has functions of its own.
	Talk output.Talk

	// Server says that the peer is the client: it is sent statistics, and shows
	// what is to be shown. Module is the name of a daemon's module, for
	// messages; Daemon says that there is one.
	Server, Daemon bool
	Module         string

	// Local says that the peer is in this process.
	Local bool

	// Succeeded hears what the peer has put in place, for
	// --remove-source-files.
	Succeeded *Succeeded

	// Only, if not nil, is sent the data of files instead of the peer, for
	// --only-write-batch. It is flushed after each file.
	Only *wire.Writer

	// Record, if not nil, gets the statistics block that a server would send, at
	// its place among what is written to the peer: for batch files.
	Record io.Writer

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

	// Alone says that what stands above this path is not to go with it: if a
	// directory on the way is gone, or is one no more, nothing is listed, and
	// OnError hears ErrChanged.
	Alone bool

	// There says that the path is not to go either: if nothing is there, nothing
	// is listed, and OnError hears ErrChanged.
	There bool

	// From is another name that the peer has for this file, as it was before
	// it was renamed: both are listed as names of one file, so that a peer
	// whose old file is the same links it instead of fetching it. It needs a
	// session with hard links; the old name's directory must still be there.
	From tree.Path
}

// Job is what to send: Sources, as the command line of rsync names them, or
// Whole or List of one directory, which is how the mirror asks.
type Job struct {
	Sources *Sources

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

	// OnSent hears of each path, relative to the transfer root, whose data is
	// sent, or would be but for a dry run. May be nil.
	OnSent func(p tree.Path)

	// OnHashed hears of each piece of content, in bytes, that was read for the
	// checksums in the list, from several goroutines; it may wait, which slows
	// the reading down. May be nil.
	OnHashed func(n int)

	// OnMessage and OnDeleted are not called here: they wait for what the
	// session's message handler hears while this job is running.
	OnMessage func(code wire.Code, text string)
	OnDeleted func(name string, dir bool)
}

// Sources is what to send in the words of rsync's command line: section 3.5 of
// part 2 says what becomes of them. What goes wrong with one path goes to
// Params.Talk, and the rest goes on.
type Sources struct {
	// Place is where relative paths begin, and Name how messages call it: an
	// absolute path, "" for the root of a daemon's module.
	Place *walk.Place
	Name  string

	// Args are the source arguments. With Names it is one: the directory that
	// the names are relative to.
	Args []string

	// Names gives one name of --files-from at a time, and io.EOF at the end. It
	// is called before the first list is complete, by the goroutine that calls
	// Run, which reads the stream from the peer only afterwards: the names may
	// come from there.
	Names func() (string, error)

	// Rules hides names. Guard is a daemon module's own list: what it hides
	// does not exist; its paths are relative to the module.
	Rules *filter.Rules
	Guard *filter.Scope

	// Readable leaves out what this process cannot read, where a directory is
	// listed (ignore nonreadable of a daemon).
	Readable bool
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
	New         int   // entries that the peer did not have; of others than files it says so only if it is to report items

	// What only Sources count: entries by kind, those that the peer created,
	// the sizes of the files that were sent, the bytes of the lists and how
	// long it took to make and to send them.
	Counts, Created     output.Counts
	TransferredSize     int64
	Removed             int // source files
	ListSize            int64
	ListBuild, ListSend time.Duration

	// Empty says that a server had nothing to list: it ends the session without
	// another word (part 2, 2.6).
	Empty bool

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
	case p.Opt == nil:
		return errors.New("sender: parameters without options")
	case j.Sources != nil:
		return p.validateSources(j)
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

func (p *Params) validateSources(j *Job) error {
	switch {
	case j.Root != nil || j.Whole || j.List != nil || j.Scope != nil || j.Steady != nil:
		return errors.New("sender: a job of sources has no root, list, scope or steadiness of its own")
	case j.Sources.Place == nil:
		return errors.New("sender: sources without a place")
	case j.Sources.Names != nil && len(j.Sources.Args) != 1:
		return fmt.Errorf("sender: names relative to %d directories", len(j.Sources.Args))
	case p.Compat.Has(wire.IncRecurse) && !p.Opt.Recurse:
		return errors.New("sender: incremental recursion without recursion")
	case p.removes() && p.Succeeded == nil:
		return errors.New("sender: nothing tells which source files may be removed")
	}
	return nil
}

// removes reports whether files are removed once they have arrived.
func (p *Params) removes() bool { return p.Opt.RemoveSourceFiles || p.Opt.RemoveSentFiles }

// listOptions are p as the file list's encoder wants them.
func (p *Params) listOptions(anyXattr bool) flist.Options {
	opt := p.Opt
	o := flist.Options{
		Protocol: p.Protocol, Compat: p.Compat,
		Owner: opt.Owner, Group: opt.Group, Links: opt.Links, Devices: opt.Devices, Specials: opt.Specials,
		HardLinks: opt.HardLinks, ACLs: opt.ACLs, Xattrs: opt.Xattrs > 0, NumericIDs: opt.NumericIDs,
		Atimes: opt.Atimes > 0, Crtimes: opt.Crtimes, Iconv: p.Iconv, Convert: p.Convert, AnyXattr: anyXattr, Local: p.Local,
	}
	if opt.Checksum {
		o.SumLen = p.File.Size()
	}
	return o
}
