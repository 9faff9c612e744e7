package flist

import (
	"errors"
	"fmt"

	"lockstep/internal/fs/tree"
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
	ACLs, Xattrs      bool // -A, -X; protocol 30 and up only, unless Local
	NumericIDs        bool // --numeric-ids: no names for ids
	Atimes, Crtimes   bool // -U, -N; Crtimes needs VarintFlistFlags
	SumLen            int  // -c: bytes of the checksum of each file, 0 without

	// Iconv says that --iconv is in use: entries are then numbered in the order
	// in which they travel (section 1.9). Convert turns a name, or a part of
	// one, from here to the wire for an Encoder, from the wire to here for a
	// Decoder; nil leaves it. Both get symlink targets too if the session has
	// SymlinkIconv. What it returns may be the slice that it was given.
	Iconv   bool
	Convert func([]byte) ([]byte, error)

	// Local says that both sides are one program: rsync then has ACLs and
	// xattrs at any protocol.
	Local bool

	// AnyXattr makes an Encoder send all attributes that an Entry has: the
	// caller has chosen them (-XX, or rules with the modifier x). Otherwise
	// those that Travels refuses are left out.
	AnyXattr bool
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
	case (o.ACLs || o.Xattrs) && o.Protocol < 30 && !o.Local:
		return fmt.Errorf("file list: ACLs and xattrs need protocol 30, the session has %d", o.Protocol)
	case o.Crtimes && !o.varintFlags():
		return fmt.Errorf("file list: creation times need varint flags, the session has %v", o.Compat)
	case o.Convert != nil && !o.Iconv:
		return errors.New("file list: a conversion of names without --iconv")
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

// hasRdev reports whether an entry of that kind carries a device number
// (section 1.7).
func (o Options) hasRdev(k tree.Kind) bool {
	return k.IsDevice() && o.Devices || k.IsSpecial() && o.Specials && o.Protocol < 31
}

// hasSum reports whether an entry of that kind carries a -c checksum: regular
// files do, at protocol 27 everything.
func (o Options) hasSum(k tree.Kind) bool {
	return o.SumLen > 0 && (k == tree.File || o.Protocol < 28)
}
