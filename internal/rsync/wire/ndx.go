package wire

import (
	"encoding/binary"
	"fmt"
)

// Index values with a meaning of their own (rsync-transfer 1.2).
const (
	NDXDone        int32 = -1   // end of a phase
	NDXFlistEOF    int32 = -2   // no more incremental file lists
	NDXDelStats    int32 = -3   // deletion statistics follow
	NDXFlistOffset int32 = -101 // -101 - d: the file list of directory number d follows
)

// Index encoding from protocol 30 on (rsync-session 5.5); before, an index is
// a plain int32.
//
//	00                    NDXDone
//	FF <value>            negative: -n, against the previous negative
//	01..FD                the previous value plus this
//	FE hi lo              the previous value plus hi<<8|lo, hi below 80
//	FE 80|b3 b0 b1 b2     the value itself
const (
	ndxPlain    = 30 // first protocol with the short form
	ndxDone     = 0x00
	ndxLong     = 0xFE
	ndxNegative = 0xFF
	ndxAbsolute = 0x80
	ndxMaxShort = 253
	ndxMaxDelta = 32767
)

// ndxState is what one direction of a connection remembers.
type ndxState struct{ positive, negative int32 }

func newNdxState() ndxState { return ndxState{positive: -1, negative: 1} }

func (s *ndxState) append(b []byte, proto int, n int32) []byte {
	if proto < ndxPlain {
		return binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	if n == NDXDone {
		return append(b, ndxDone)
	}
	prev := &s.positive
	if n < 0 {
		b = append(b, ndxNegative)
		prev = &s.negative
		n = -n
	}
	d := int64(n) - int64(*prev)
	*prev = n
	switch {
	case d >= 1 && d <= ndxMaxShort:
		return append(b, byte(d))
	case d >= 0 && d <= ndxMaxDelta:
		return append(b, ndxLong, byte(d>>8), byte(d))
	}
	return append(b, ndxLong, ndxAbsolute|byte(n>>24), byte(n), byte(n>>8), byte(n>>16))
}

// read decodes one index.
func (s *ndxState) read(r *Reader) (int32, error) {
	first, err := r.Byte()
	if err != nil {
		return 0, err
	}
	if first == ndxDone {
		return NDXDone, nil
	}
	if first != ndxNegative {
		return s.value(&s.positive, first, r)
	}
	first, err = r.Byte()
	if err != nil {
		return 0, unexpected(err)
	}
	if first == ndxDone || first == ndxNegative {
		return 0, fmt.Errorf("index byte %#x after a sign: %w", first, ErrStream)
	}
	v, err := s.value(&s.negative, first, r)
	if err == nil && v < 2 {
		return 0, fmt.Errorf("negative index of size %d: %w", v, ErrStream)
	}
	return -v, err
}

// value decodes the part after a sign and remembers it in prev.
func (s *ndxState) value(prev *int32, first byte, r *Reader) (int32, error) {
	v := int64(*prev) + int64(first)
	if first == ndxLong {
		b, err := r.bytes(2)
		if err != nil {
			return 0, unexpected(err)
		}
		high, low := int64(b[0]), int64(b[1])
		if high&ndxAbsolute == 0 {
			v = int64(*prev) + high<<8 + low
		} else {
			if b, err = r.bytes(2); err != nil {
				return 0, unexpected(err)
			}
			v = high&^ndxAbsolute<<24 | int64(b[1])<<16 | int64(b[0])<<8 | low
		}
	}
	if v < 0 || v > 0x7FFFFFFF {
		return 0, fmt.Errorf("index %d is out of range: %w", v, ErrStream)
	}
	*prev = int32(v)
	return int32(v), nil
}
