package flist

import (
	"errors"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// What is wrong with a list, by rsync's exit codes. Errors about bytes that
// make no sense wrap wire.ErrStream (12), failures of the connection are those
// of the Reader.
var (
	// ErrProtocol is a list, or a request for an index, that breaks the rules
	// of the session: code 2.
	ErrProtocol = errors.New("file list breaks the protocol")
	// ErrUnsafe is a name that must not be used here: code 4.
	ErrUnsafe = errors.New("unsafe file list")
	// ErrMemory is a list that needs more memory than --max-alloc: code 22.
	ErrMemory = errors.New("file list exceeds --max-alloc")
	// ErrIndex is an index of no entry, or of one that is not to be touched:
	// code 2. It wraps ErrProtocol.
	ErrIndex = wrapped{"no such index", ErrProtocol}
)

// wrapped is a sentinel that is a case of another one.
type wrapped struct {
	text string
	err  error
}

func (w wrapped) Error() string { return w.text }
func (w wrapped) Unwrap() error { return w.err }

// ErrParentOnly is what Receive.Accept returns for a directory that is allowed
// only because something below it was asked for: it is taken as an implied one,
// whatever the sender says (section 9.2).
var ErrParentOnly = errors.New("allowed as a parent only")

// Receive says what a receiving side makes of the lists it reads. The zero
// value takes no mode-0 entries, refuses absolute names, and keeps ids.
type Receive struct {
	Relative      bool // --relative: one leading slash is dropped
	DeleteMissing bool // --delete-missing-args: entries of mode 0 are allowed

	// Prune is --prune-empty-dirs: directories without anything but
	// directories below them are dropped, except for those that Keep, which
	// may be nil, says a filter names. Not for incremental sessions.
	Prune bool
	Keep  func(dir tree.Path) bool

	// IDs maps owners, groups, and the ids of ACLs. nil keeps numbers.
	IDs *IDMap

	// Accept is asked about every name, the root included; nil accepts all. An
	// error ends the session: it is the filter and argument check of section
	// 9.2, or a daemon's module filter. It may return ErrParentOnly.
	Accept func(path tree.Path, isDir bool) error

	// Change may alter an entry before anything else sees it, its mode above
	// all (--chmod); nil leaves it. It is not called for symlinks and Gone.
	Change func(*File)

	// Warn hears of what is odd, but tolerated; nil ignores it. The text is in
	// rsync's words, has no line end, and names in it are not made safe to
	// print.
	Warn func(code wire.Code, text string)

	// Arrived hears of the entries of a list in the order in which they came, once
	// all of them are there and before any is dropped; nil ignores it. The slice is
	// valid during the call only.
	Arrived func(entries []*File)

	// Duplicate hears of each entry that is dropped for another one of its
	// name, with its index; nil ignores it.
	Duplicate func(path tree.Path, index int32)

	// Mapped hears of each id of the sender once, with its name there, "" if that
	// is not known, and of what it is here; nil ignores it.
	Mapped func(kind IDKind, id uint32, name string, here uint32)

	// MaxAlloc is --max-alloc in bytes, 0 is 1 GiB.
	MaxAlloc int64
}

// Received is one list, complete, sorted and cleaned of duplicates.
type Received struct {
	Number int   // 1 for the first
	Start  int32 // index of Files[0]

	// Dir is the directory that the list describes; its index in requests is
	// Start-1. For the first list of an incremental session it is the root, if
	// that is listed, otherwise nil, as it is without incremental recursion.
	// Its own File.Index is the one it has as an entry of its parent's list.
	Dir *File
	// DirNumber is the number of Dir in the directory table of an incremental
	// session.
	DirNumber int32

	// Files has every entry by index: Files[i].Index == Start+i. Those with
	// Dup set only hold their place. Order has the same in the order in which
	// they are to be processed; with --iconv it differs from Files.
	Files, Order []*File

	IOError int32 // what the sender confessed, and 1 for names that cannot be converted
	Dropped bool  // there are such names; their places come before all others
	Xattrs  *XattrSets
}

// Find is the entry with that index, which may be that of Dir; nil if the list
// does not have it.
func (r *Received) Find(index int32) *File {
	if index == r.Start-1 {
		return r.Dir
	}
	if i := int64(index) - int64(r.Start); i >= 0 && i < int64(len(r.Files)) {
		return r.Files[i]
	}
	return nil
}
