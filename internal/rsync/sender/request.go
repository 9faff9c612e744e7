package sender

import (
	"errors"
	"fmt"
	"io"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/wire"
)

// The item flags that shape a request (part 3, 1.3). Others are for display.
const (
	itemXattr    = 0x0100 // REPORT_XATTR
	itemBasis    = 0x0800 // BASIS_TYPE_FOLLOWS
	itemXname    = 0x1000 // XNAME_FOLLOWS
	itemNew      = 0x2000 // IS_NEW
	itemLocal    = 0x4000 // LOCAL_CHANGE
	itemTransfer = 0x8000 // TRANSFER
)

// Limits of what a request may hold.
const (
	maxXname     = 4095    // bytes, as of any path
	maxAsked     = 65536   // attributes asked for in one request: as many as a set has
	maxDelStat   = 1 << 28 // part 1, section 7
	itemFlagsMin = 29      // first protocol with item flags
)

// kind says what arrived.
type kind uint8

const (
	item      kind = iota // a report, without TRANSFER
	transfer              // file data is wanted
	done                  // NDX_DONE
	deleted               // deletion statistics
	succeeded             // an entry is in place
)

// request is one message of the other side's generator:
//
//	ndx                              protocols 27 and 28: then the sum head
//	iflags:2
//	[basis:1]                        BASIS_TYPE_FOLLOWS
//	[xname:vstring]                  XNAME_FOLLOWS
//	[{ delta:varint }* 0]            attribute values wanted, see wantsXattrs
//	[sum head:16 {sum1:4 sum2}*]     TRANSFER and not a dry run
type request struct {
	kind   kind
	ndx    int32
	iflags uint16
	basis  byte
	xname  string
	xattrs []int32 // numbers of attributes asked for
	head   delta.Head
	sums   *delta.Sums // of head's blocks; nil if there are none
	stats  DelStats
	at     tree.Inode // of what is in place, if that is known
	load   *load      // set by main, of a transfer
}

// drop gives back the request's file.
func (q *request) drop() {
	q.load.release()
	q.load = nil
}

// weight is roughly the memory a request holds, in bytes.
func (q *request) weight() int64 {
	sums := int64(0)
	if q.sums != nil {
		sums = int64(q.head.Count) * (4 + int64(q.head.S2Len) + 20)
	}
	return sums + int64(len(q.xname)) + 4*int64(len(q.xattrs))
}

// hasXattrs reports whether a request carries the list of attributes wanted,
// and its answer their values (part 2, 6.2).
func (q *request) hasXattrs(p *Params) bool {
	if p.Opt.Xattrs == 0 || p.Opt.DryRun || q.iflags&itemXattr == 0 {
		return false
	}
	const link = itemXname | itemLocal
	shortcut := p.Protocol >= 31 && !p.Compat.Has(wire.AvoidXattrOptim)
	return !shortcut || q.iflags&link != link
}

// decoder reads requests. It belongs to the reader goroutine.
type decoder struct {
	r      *wire.Reader
	params *Params
	spare  chan *delta.Sums // given back by main
	asked  map[int32]bool   // with --append: files asked for, which are sent with sums the second time
}

// next reads one request. At the end of the stream between two of them the
// error is io.EOF.
func (d *decoder) next(q *request) error {
	ndx, err := d.r.Ndx(d.params.Protocol)
	if err != nil {
		return err
	}
	*q = request{kind: item, ndx: ndx, basis: 0x80}
	if err := d.rest(q); errors.Is(err, io.EOF) {
		return fmt.Errorf("request for index %d: %w", ndx, io.ErrUnexpectedEOF)
	} else if err != nil {
		return fmt.Errorf("request for index %d: %w", ndx, err)
	}
	return nil
}

// rest reads what follows the index.
func (d *decoder) rest(q *request) error {
	p, ndx := d.params.Protocol, q.ndx
	switch {
	case ndx == wire.NDXDone:
		q.kind = done
		return nil
	case ndx == wire.NDXDelStats && p >= fourGoodbyes:
		q.kind = deleted
		return d.delStats(&q.stats)
	case ndx < 0:
		return ErrProtocol
	case p < itemFlagsMin:
		q.iflags = itemTransfer
	default:
		if err := d.header(q); err != nil {
			return err
		}
	}
	if q.iflags&itemTransfer == 0 {
		return nil
	}
	q.kind = transfer
	if d.params.Opt.DryRun {
		return nil
	}
	return d.sums(q)
}

// hasSums reports whether sums follow the head: of a file that grows there are
// none, unless it is sent again.
func (d *decoder) hasSums(q *request) bool {
	if d.params.Opt.Append == 0 || d.asked[q.ndx] {
		return true
	}
	if d.asked == nil {
		d.asked = make(map[int32]bool)
	}
	d.asked[q.ndx] = true
	return false
}

// header reads item flags and what they announce, except for sums.
func (d *decoder) header(q *request) (err error) {
	if q.iflags, err = d.r.Short(); err != nil {
		return err
	}
	if q.iflags&itemBasis != 0 {
		if q.basis, err = d.r.Byte(); err != nil {
			return err
		}
	}
	if q.iflags&itemXname != 0 {
		if q.xname, err = d.r.VString(maxXname); err != nil {
			return err
		}
	}
	if q.hasXattrs(d.params) {
		q.xattrs, err = d.xattrs()
	}
	return err
}

// xattrs reads the numbers of attributes, each as its distance from the one
// before.
func (d *decoder) xattrs() (numbers []int32, err error) {
	number := int64(0)
	for {
		diff, err := d.r.Varint()
		if err != nil || diff == 0 {
			return numbers, err
		}
		number += int64(diff)
		if number < 1 || number > maxAsked || len(numbers) == maxAsked {
			return nil, fmt.Errorf("request %d for xattr %d: %w", len(numbers)+1, number, ErrProtocol)
		}
		numbers = append(numbers, int32(number))
	}
}

// sums reads the sum head and the sums of the peer's basis file.
func (d *decoder) sums(q *request) (err error) {
	for _, field := range [...]*int32{&q.head.Count, &q.head.BlockLen, &q.head.S2Len, &q.head.Remainder} {
		if *field, err = d.r.Int(); err != nil {
			return err
		}
	}
	digest := d.params.Xfer.Size()
	if err := q.head.Validate(d.params.Protocol, digest); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if !d.hasSums(q) || q.head.Count == 0 {
		return nil
	}
	select {
	case q.sums = <-d.spare:
	default:
		q.sums = new(delta.Sums)
	}
	return q.sums.Read(d.r, q.head, d.params.Protocol, digest)
}

// delStats reads the numbers of deleted items.
func (d *decoder) delStats(s *DelStats) error {
	for _, field := range [...]*int{&s.Files, &s.Dirs, &s.Symlinks, &s.Devices, &s.Specials} {
		v, err := d.r.Varint()
		if err != nil {
			return err
		}
		if v < 0 || v > maxDelStat {
			return fmt.Errorf("deletion statistics: %d items: %w", v, ErrProtocol)
		}
		*field = int(v)
	}
	return nil
}
