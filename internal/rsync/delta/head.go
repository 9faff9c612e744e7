package delta

import (
	"fmt"
	"math"
)

// Limits of a sum header (1.4).
const (
	// MaxBlock is the longest block from protocol 30 on.
	MaxBlock = 1 << 17
	// MaxBlockOld is the longest block of protocols 27 to 29.
	MaxBlockOld = 1 << 29
	// MaxMemory bounds the bytes that the sums of one file may take, with their
	// index. It is the reference's default ceiling for one allocation, and
	// enough for a basis of 3.8 TiB in blocks of 128 KiB with full sums.
	MaxMemory = 1 << 30
)

// Head is the sum header, four 4-byte integers on the wire in this order:
//
//	count      blocks of the basis file; 0 if there is no basis
//	block_len  bytes in a block
//	s2len      bytes sent of each strong sum
//	remainder  bytes in the last block, if that one is shorter; else 0
//
// The zero Head says "no basis, send everything".
type Head struct {
	Count, BlockLen, S2Len, Remainder int32
}

// Validate checks a header that a peer sent with sums that are to be searched
// for, where digest is the length of the transfer's strong sum in bytes.
func (h Head) Validate(protocol, digest int) error {
	if err := h.Check(protocol, digest); err != nil {
		return err
	}
	if need := h.memory(); need > MaxMemory {
		return fmt.Errorf("sum header: %d blocks need %d bytes of memory, more than %d", h.Count, need, int64(MaxMemory))
	}
	return nil
}

// Check is Validate for a header that no sums follow: what a sender answers with.
func (h Head) Check(protocol, digest int) error {
	maxBlock := int32(MaxBlock)
	if protocol < 30 {
		maxBlock = MaxBlockOld
	}
	switch {
	case h.Count < 0:
		return fmt.Errorf("sum header: block count %d is negative", h.Count)
	case h.BlockLen < 0 || h.BlockLen > maxBlock:
		return fmt.Errorf("sum header: block length %d is not in 0..%d", h.BlockLen, maxBlock)
	case h.BlockLen == 0 && h.Count != 0:
		return fmt.Errorf("sum header: block length is 0 for %d blocks", h.Count)
	case h.S2Len < 0 || int(h.S2Len) > digest:
		return fmt.Errorf("sum header: strong sum length %d is not in 0..%d", h.S2Len, digest)
	case h.Remainder < 0 || h.Remainder > h.BlockLen:
		return fmt.Errorf("sum header: remainder %d is not in 0..%d", h.Remainder, h.BlockLen)
	}
	return nil
}

// memory returns the bytes that a search for these sums takes: per block both
// sums, a chain link, up to two table entries of 4 bytes and 16 bits of the
// bitmap.
func (h Head) memory() int64 {
	return int64(h.Count) * (4 + int64(h.S2Len) + 4 + 8 + 2)
}

// Size returns the length of the basis file in bytes.
func (h Head) Size() int64 {
	size := int64(h.Count) * int64(h.BlockLen)
	if h.Count > 0 && h.Remainder != 0 {
		size -= int64(h.BlockLen - h.Remainder)
	}
	return size
}

// whole returns how many blocks have the full block length; the one that may
// follow them is shorter.
func (h Head) whole() int {
	if h.Count > 0 && h.Remainder != 0 && h.Remainder != h.BlockLen {
		return int(h.Count) - 1
	}
	return int(h.Count)
}

// Numbers of the reference's block geometry (2.1, 2.2).
const (
	minBlock      = 700
	shortSum      = 2  // bytes of a strong sum, at least
	longSum       = 16 // bytes of a strong sum, at most
	sumBias       = 10 // bits of safety beyond the number of comparisons
	weakSumBits   = 32
	blockMultiple = 8
)

// maxCount is the most blocks that a header can count.
const maxCount = math.MaxInt32

// Geometry returns the header that the reference sends for a basis file of size
// bytes in the normal pass, where digest is the length of the transfer's strong
// sum. A file of more blocks than an int32 counts is treated as no basis.
func Geometry(size int64, protocol, digest int) Head {
	h, _ := Choice{Protocol: protocol, Digest: digest}.Head(size)
	return h
}

// blockLen returns the root of size, rounded down to a multiple of 8, within
// its limits (2.1).
func blockLen(size int64, protocol int) int64 {
	if size <= minBlock*minBlock {
		return minBlock
	}
	limit := int64(MaxBlock)
	if protocol < 30 {
		limit = MaxBlockOld
	}
	c := int64(1)
	for m := size >> 2; m != 0; m >>= 2 {
		c <<= 1
	}
	if c >= limit {
		return limit
	}
	b := int64(0)
	for ; c >= blockMultiple; c >>= 1 {
		if next := b | c; next*next <= size {
			b = next
		}
	}
	return max(b, minBlock)
}

// strongLen returns the bytes of strong sum that make a false match unlikely,
// given the number of comparisons that a file of this size needs (2.2).
func strongLen(size, block int64) int {
	bits := sumBias
	for m := size >> 1; m != 0; m >>= 1 {
		bits += 2
	}
	for c := block >> 1; c != 0 && bits != 0; c >>= 1 {
		bits--
	}
	return max((bits+1-weakSumBits+7)/8, shortSum)
}
