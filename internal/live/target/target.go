// Package target is where changes go: a local directory, an rsync daemon, an
// rsync started over a remote shell. Whatever it is, it takes a full pass once
// and batches afterwards, and answers with what it did.
//
// A Target is driven by one goroutine at a time. It reads the source itself,
// when it takes a batch: what is sent is what is on disk then. It never
// deletes anything without having seen, through a handle on the pinned source
// root, that the path is gone.
package target

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/hours"
	"lockstep/internal/rsync/secure"
)

// Target is one place that must hold what the source holds.
type Target interface {
	// Full brings everything in step, deletions included.
	Full(ctx context.Context, progress func(Progress)) (Report, error)
	// Apply carries out one batch. An error means that nothing can be said to
	// have been acknowledged; failures of single paths are in the report.
	Apply(ctx context.Context, b change.Batch) (Report, error)
	// Close ends what is held open between batches.
	Close() error
}

// Progress is how far a full pass has come.
type Progress struct {
	Files   int64 // sent
	Bytes   int64 // of content read at the source
	Checked int64 // entries of the source that are done with
	Total   int64 // entries of the source, 0 if not known yet
}

// Report is what a target did.
type Report struct {
	Outcome change.Outcome
	Files   int   // regular files whose content was sent or copied
	Deleted int   // entries removed
	Bytes   int64 // of content sent or copied
	Wire    int64 // bytes on the wire, both directions; 0 for a directory
	Entries int   // of the source, counted by a full pass
	Holds   int   // entries of the target, counted by a dry pass

	Writing []tree.Path // files that a full pass left alone, because they are being written
}

// add adds up what two passes over different parts did.
func (r *Report) add(o Report) {
	maps.Copy(r.Outcome.Failed, o.Outcome.Failed)
	r.Outcome.Vanished = append(r.Outcome.Vanished, o.Outcome.Vanished...)
	r.Writing = append(r.Writing, o.Writing...)
	r.Files += o.Files
	r.Deleted += o.Deleted
	r.Bytes += o.Bytes
	r.Wire += o.Wire
	r.Entries += o.Entries
	r.Holds += o.Holds
}

// plan tells what a dry run has found.
func (o *Options) plan(removed bool, p tree.Path) {
	if o.Planned != nil {
		o.Planned(removed, p)
	}
}

// Options shape what is mirrored, the same for all targets of a mirror.
type Options struct {
	Delete     bool
	MaxDelete  change.Limit // what a full pass may remove
	DryRun     bool
	Backups    Backups
	Checksum   bool
	HardLinks  bool
	ACLs       bool
	Xattrs     bool
	NumericIDs bool
	Hold       bool // leave the old file when one changes while it is read
	Rules      *filter.Rules

	// Planned hears in a dry run of each file that would be sent, and of each
	// name that would be removed. It may be called from several goroutines.
	Planned func(removed bool, p tree.Path)

	Compress     bool
	BwLimit      hours.Rates // nil = no limit
	Shell        string      // remote shell command; "" = ssh
	RsyncPath    string
	Protocol     int // highest to offer; 0 = 32
	PasswordFile string

	TLS      bool          // with daemons, whatever their URL begins with
	TLSFiles secure.Client // for those that TLS is spoken with
}

// Source is the pinned tree that targets read.
type Source struct {
	Dir   string
	Pin   tree.Inode
	Scope *filter.Scope

	Away    *Away    // nil: nothing is ever out of sight
	Writing *Writing // nil: full passes read files that are being written
}

// scope is what is left out now: by the rules, or because it is out of sight.
func (s Source) scope() *filter.Scope {
	if away := s.Away.Rules(); away != nil {
		return s.Scope.Behind(away)
	}
	return s.Scope
}

// ErrSourceGone says that the source's path no longer leads to the directory
// that was there at the start.
var ErrSourceGone = errors.New("the source directory is gone or was replaced")

// Open opens the source's root for one piece of work. No handle is kept
// longer than that: an open handle would keep the file system from being
// unmounted.
func (s Source) Open() (*walk.Root, error) {
	r, err := walk.OpenRoot(s.Dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", tree.Quote(s.Dir), ErrSourceGone)
		}
		return nil, err
	}
	if r.Inode() != s.Pin {
		r.Close()
		return nil, fmt.Errorf("%s: %w", tree.Quote(s.Dir), ErrSourceGone)
	}
	return r, nil
}

// Error is a failure of a target as a whole.
type Error struct {
	Err       error
	Permanent bool   // trying again cannot help
	Restart   bool   // what the target holds is unknown: a full pass is due
	Hint      string // what the operator can do, "" if nothing is known
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// tooMuch judges what a dry run has counted, before a full pass.
func (o *Options) tooMuch(rep Report) error {
	if !o.MaxDelete.Exceeded(rep.Deleted, rep.Holds) {
		return nil
	}
	err := fmt.Errorf("%d entries would be deleted: %w", rep.Deleted, ErrMaxDelete)
	if o.MaxDelete.Share > 0 {
		err = fmt.Errorf("%d of %d entries would be deleted: %w", rep.Deleted, rep.Holds, ErrMaxDelete)
	}
	return &Error{Err: err, Permanent: true, Hint: fmt.Sprintf("if they are meant, start again with --max-delete %d", rep.Deleted)}
}

// ErrMaxDelete says that a pass would remove more than --max-delete allows.
var ErrMaxDelete = errors.New("more deletions than --max-delete allows")

// ErrChanged says that a file changed while it was read; it is still dirty.
var ErrChanged = errors.New("changed while it was being read")
