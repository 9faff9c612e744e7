package flist

import (
	"fmt"

	"lockstep/internal/rsync/wire"
)

// Options say which fields travel. Both sides must hold the same view of them,
// or the stream is misread. The zero value of each switch is "not sent".
type Options struct {
	Protocol int         // 27 to 32
	Compat   wire.Compat // flags of the session, 0 below protocol 30

	Owner, Group      bool // uid and gid
	Links             bool // symlink targets
	Devices, Specials bool // device numbers; Specials: fifos and sockets
	HardLinks         bool // -H
	ACLs, Xattrs      bool // -A, -X; protocol 30 and up only
	NumericIDs        bool // --numeric-ids: no names for ids
	SumLen            int  // -c: bytes of the checksum of each file, 0 without
}

// Limits of the protocols that this package speaks, and the longest digest.
const (
	minProtocol = 27
	maxProtocol = 32
	maxSumLen   = 20 // SHA-1
)

// Validate reports options that no session can have.
func (o Options) Validate() error {
	switch {
	case o.Protocol < minProtocol || o.Protocol > maxProtocol:
		return fmt.Errorf("file list: protocol %d is not %d to %d", o.Protocol, minProtocol, maxProtocol)
	case o.SumLen < 0 || o.SumLen > maxSumLen:
		return fmt.Errorf("file list: checksum length %d is not 0 to %d", o.SumLen, maxSumLen)
	case (o.ACLs || o.Xattrs) && o.Protocol < 30:
		return fmt.Errorf("file list: ACLs and xattrs need protocol 30, the session has %d", o.Protocol)
	case o.Compat != 0 && o.Protocol < 30:
		return fmt.Errorf("file list: compatibility flags %#x at protocol %d", uint32(o.Compat), o.Protocol)
	}
	return nil
}

// Incremental reports whether lists are sent directory by directory.
func (o Options) Incremental() bool { return o.Compat&wire.IncRecurse != 0 }

// varintFlags reports whether the flags of an entry are one varint.
func (o Options) varintFlags() bool { return o.Compat&wire.VarintFlistFlags != 0 }

// safeLists reports whether a terminator can carry io_error (section 1.8).
func (o Options) safeLists() bool { return o.Protocol >= 31 || o.Compat&wire.SafeFlist != 0 }

// inlineNames reports whether a name travels with the first use of its id
// (section 4.1); listNames whether names follow the list (4.2).
func (o Options) inlineNames() bool { return !o.NumericIDs && o.Incremental() }
func (o Options) listNames() bool   { return !o.NumericIDs && !o.Incremental() }
