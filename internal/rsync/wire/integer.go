package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Varint (rsync-session 5.5): the number of leading 1-bits of the first byte
// is the number of bytes that follow; what is left of the first byte below
// the ending 0-bit are the most significant bits; the rest is little-endian.
// A varlong has min-1 bytes that always follow and which the 1-bits don't
// count; a varint is a varlong with min 1 and 32 bits.
const (
	varintExtra = 4 // extra bytes of a varint; more is an error
	varlongMax  = 9 // bytes of the longest varlong, the first included
)

// AppendVarint appends v as a varint.
func AppendVarint(b []byte, v int32) []byte {
	return appendVar(b, uint64(uint32(v)), 1)
}

// AppendVarlong appends v as a varlong of at least minimum bytes: 3 for
// sizes, 4 for times. Below 3 not every value has a form.
func AppendVarlong(b []byte, v int64, minimum int) []byte {
	return appendVar(b, uint64(v), minimum)
}

func appendVar(b []byte, v uint64, minimum int) []byte {
	n := max((bits.Len64(v)+7)/8, minimum)
	extra := n - minimum
	top := byte(v >> (8 * (n - 1)))
	if extra <= 6 && int(top) < 1<<(7-extra) {
		b = append(b, marker(extra)|top)
		n--
	} else {
		b = append(b, marker(extra+1))
	}
	for ; n > 0; n-- {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}

// marker is a byte that begins with extra 1-bits.
func marker(extra int) byte { return ^byte(0xFF >> extra) }

// varExtra is the number of extra bytes that first announces; 6 is the most.
func varExtra(first byte) int {
	return min(bits.LeadingZeros8(^first), 6)
}

// joinVar is the value of a variable integer with the given first byte and
// the bytes that followed it. A value beyond width bytes is an error.
func joinVar(first byte, rest []byte, width int) (uint64, error) {
	var v uint64
	for i, b := range rest {
		v |= uint64(b) << (8 * i)
	}
	extra := varExtra(first)
	top := first &^ marker(extra)
	if top == 0 {
		return v, nil
	}
	if len(rest) >= width || int(top) >= 1<<(7-extra) {
		return 0, fmt.Errorf("integer beyond %d bits: %w", 8*width, ErrStream)
	}
	return v | uint64(top)<<(8*len(rest)), nil
}

// AppendLongint appends v as protocols before 30 write sizes: four bytes if v
// fits in 31 bits, else FF FF FF FF and eight bytes.
func AppendLongint(b []byte, v int64) []byte {
	if v >= 0 && v <= 0x7FFFFFFF {
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	b = append(b, 0xFF, 0xFF, 0xFF, 0xFF)
	return binary.LittleEndian.AppendUint64(b, uint64(v))
}

// VStringMax is the longest string that a vstring can hold.
const VStringMax = 0x7FFF

// AppendVString appends s after its length: one byte below 128, else two
// bytes, 0x80 + length/256 and length%256 (rsync-session 4.2).
func AppendVString(b []byte, s string) ([]byte, error) {
	switch n := len(s); {
	case n > VStringMax:
		return b, fmt.Errorf("string of %d bytes, at most %d fit", n, VStringMax)
	case n >= 0x80:
		b = append(b, 0x80|byte(n>>8), byte(n))
	default:
		b = append(b, byte(n))
	}
	return append(b, s...), nil
}
