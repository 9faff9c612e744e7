package receiver

import (
	"strings"
	"time"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// Params is what the session has agreed on.
type Params struct {
	Opt      *option.Set
	Protocol int
	Compat   wire.Compat
	Seed     int32
	Xfer     checksum.Algo
	File     checksum.Algo // of the digests in the list, with -c
	Compress compress.Method
	Server   bool

	// Batch is set with --read-batch: r is then the batch file, and Batch says
	// which of its files are wanted.
	Batch *Batch

	// Listed hears of the list of directory number dir that was read, and of nil
	// after the last, for --debug=FLIST; may be nil.
	Listed func(dir int32, l *flist.Received)

	// Interrupt makes a read of the peer's stream that waits fail. It is called
	// when ctx ends and when a file fails in a way that ends the session; without
	// it Run returns only once the peer sends something or goes away.
	Interrupt func()
}

// incremental reports whether lists come directory by directory.
func (p *Params) incremental() bool { return p.Compat.Has(wire.IncRecurse) }

// names reports whether the names of updated files are printed.
func (p *Params) names() bool {
	return p.Opt.Info[option.InfoName] > 0 || p.Opt.Itemize > 0 || strings.Contains(p.Opt.LogFormat, "%i")
}

// keepsPartial reports whether a file is of use that is not complete.
func (p *Params) keepsPartial() bool {
	return p.Opt.Partial || p.Opt.PartialDir != "" || p.Opt.Inplace || p.Opt.Append > 0
}

// Result is what a run did.
type Result struct {
	Files     output.Counts // entries of all lists
	Created   output.Counts // items that are new
	TotalSize int64         // bytes, of the files and symlinks in all lists
	ListSize  int64         // bytes that the lists took which Run has read, in frames

	Transferred     int   // files, each counted once
	TransferredSize int64 // their bytes
	Literal         int64 // bytes of file data that were sent
	Matched         int64 // bytes that were taken from a basis

	Deleted output.Counts // as a sender that is the server repeats them
	Peer    *PeerStats    // of a sender that is the server; nil otherwise
	IOError int32         // io_error bits of incremental lists
}

// PeerStats are the statistics of a sender that is the server (1.9).
type PeerStats struct {
	Read, Written, TotalSize int64         // bytes
	ListBuild, ListSend      time.Duration // from protocol 29 on
}

// Error ends a run, in rsync's words and with its exit code.
type Error struct {
	Code int
	Text string
	Err  error // the cause, if there is one
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is rsync's exit code for the error.
func (e *Error) ExitCode() int { return e.Code }

// The exit codes of Error.
const (
	codeProtocol = 2
	codeFileIO   = 11
)
