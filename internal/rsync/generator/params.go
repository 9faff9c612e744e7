package generator

import (
	"errors"
	"fmt"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// ErrProtocol is wrapped by errors about a sender that breaks the protocol:
// rsync's exit code 2.
var ErrProtocol = errors.New("protocol incompatibility")

// Error is what ends a run, in rsync's words.
type Error struct {
	Code int // rsync's exit code
	Text string
	Err  error // the sentinel or cause, may be nil
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is rsync's exit code.
func (e *Error) ExitCode() int { return e.Code }

// The io_error bits (rsync-transfer 1.6).
const (
	ioGeneral     = 1
	ioDeleteLimit = 4
)

// Batch hears what is wanted of a batch file (--read-batch).
type Batch interface {
	Ask(index int32) // the data of this file is wanted
	Passed(list int) // the list with this number was gone through: the rest of it is not
}

// Params is what both sides agreed on, and what this side was given.
type Params struct {
	Opt      *option.Set
	Protocol int
	Compat   wire.Compat
	Seed     int32
	Xfer     checksum.Algo // of blocks and whole files

	Server bool // the peer is the client: below protocol 29 it is told what happens in text
	Local  bool // both roles are in one process: whole files unless asked otherwise

	// Scope has the filter rules of this side: what deletion leaves alone. Its
	// paths are below the destination directory. nil protects nothing.
	Scope *filter.Scope

	// Refused is a daemon's module filter: names that it must not touch. May be
	// nil.
	Refused func(p tree.Path, dir bool) bool

	// Readable keeps what this process cannot read from being deleted.
	Readable bool

	// Batch is set for --read-batch. Nothing is signed then.
	Batch Batch

	// Succeeded is told which source files may be removed, with the identity of
	// the file here, in a purely local copy. If it is nil the sender is sent a
	// message.
	Succeeded func(index int32, at tree.Inode)
}

func (p *Params) validate() error {
	switch {
	case p.Opt == nil:
		return errors.New("generator: Params.Opt is nil")
	case p.Protocol < 27 || p.Protocol > 32:
		return fmt.Errorf("generator: Params.Protocol is %d, not 27 to 32", p.Protocol)
	case p.Compat.Has(wire.IncRecurse) && p.Protocol < 30:
		return fmt.Errorf("generator: incremental lists in protocol %d", p.Protocol)
	}
	return nil
}

// perish reports whether perishable rules do not count in a directory that is
// removed. Before protocol 30 those of -C are not perishable.
func (p *Params) perish() bool { return p.Protocol >= 30 || !p.Opt.CVSExclude }

// Kept reports whether the removal of a directory leaves alone what is at path at
// in it, which may lead out of the destination (dest.Protect). It may be called
// from several goroutines.
func (p *Params) Kept(at tree.Path, dir bool) bool {
	return p.Scope.ChildProtected(at.Parent(), p.perish())(at.Base(), dir) ||
		p.Refused != nil && at.Valid() && p.Refused(at, dir)
}

// Result is what a run did.
type Result struct {
	Requested int           // files whose data was asked for, redos not counted
	Deleted   output.Counts // items removed at the destination
	IOError   int           // io_error bits, those of the lists and the limit of deletions
}
