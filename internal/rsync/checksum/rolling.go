package checksum

import (
	"encoding/binary"
)

// Rolling is the weak sum of a window of bytes x_1..x_n, which can be moved
// along by a byte at low cost (2.3):
//
//	s1 = sum of x_i                 mod 2^16
//	s2 = sum of (n - i + 1) * x_i   mod 2^16
//
// Bytes count as signed. Only the lowest 16 bits of both fields mean anything;
// cutting off the rest is left to Sum, since rolling is needed more often.
type Rolling struct {
	S1, S2 uint32
}

// Sum returns the sum as it is on the wire: s1 in the low half, s2 in the high.
func (r Rolling) Sum() uint32 { return r.S1&0xffff | r.S2<<16 }

// Roll moves a window of n bytes: out leaves at its front and in enters at its
// end.
func (r Rolling) Roll(out, in byte, n uint32) Rolling {
	o := uint32(int8(out))
	s1 := r.S1 - o + uint32(int8(in))
	return Rolling{S1: s1, S2: r.S2 - n*o + s1}
}

// Start returns the rolling state of sum, the sum of a whole window.
func Start(sum uint32) Rolling { return Rolling{S1: sum & 0xffff, S2: sum >> 16} }

// Constants for eight bytes in a word. A chunk of 16 words keeps every 16-bit
// lane of the running totals below 2^16: 255 * (1 + 2 + ... + 16) = 34,680.
const (
	chunkWords = 16
	chunkBytes = chunkWords * 8

	signs = 0x8080808080808080 // turns a signed byte x into the unsigned x + 128
	lanes = 0x00ff00ff00ff00ff // every second byte, as four lanes of 16 bits
	pairs = 0x0000ffff0000ffff // every second lane, as two lanes of 32 bits
	ones  = 0x0001000100010001 // times four lanes: their total in the top lane
	// times four lanes l0..l3: 1*l1 + 2*l2 + 3*l3 in the top lane.
	weights = 0x0000000100020003
)

// sumWords is Sum1 by eight bytes at a time, some three bytes per clock cycle.
func sumWords(block []byte) uint32 {
	var s1, s2 uint32 // of bytes with 128 added
	p := block
	for len(p) >= chunkBytes {
		c1, c2 := sumChunk((*[chunkBytes]byte)(p))
		s2 += chunkBytes*s1 + c2
		s1 += c1
		p = p[chunkBytes:]
	}
	for _, b := range p {
		s1 += uint32(b ^ 0x80)
		s2 += s1
	}
	n := uint32(len(block))
	s1 -= 128 * n
	// 128 * n*(n+1)/2, of which only the low 16 bits matter: the product may wrap.
	s2 -= 64 * n * (n + 1)
	return s1&0xffff | s2<<16
}

// sumChunk returns both sums of a chunk whose bytes had 128 added.
//
// sum collects the words' bytes by column; runs collects sum after every word,
// so that word t of 16 counts 17 - t times in it. Byte j of word t has the
// weight 8 * (17 - t) - j in s2.
func sumChunk(p *[chunkBytes]byte) (s1, s2 uint32) {
	var evenSum, oddSum, evenRuns, oddRuns uint64
	for i := 0; i < chunkBytes; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:i+8]) ^ signs
		evenSum += w & lanes
		oddSum += w >> 8 & lanes
		evenRuns += evenSum
		oddRuns += oddSum
	}
	s1 = uint32((evenSum + oddSum) * ones >> 48)
	byColumn := 2*((evenSum+oddSum)*weights>>48) + oddSum*ones>>48
	runs := evenRuns&pairs + evenRuns>>16&pairs + oddRuns&pairs + oddRuns>>16&pairs
	s2 = 8*(uint32(runs)+uint32(runs>>32)) - uint32(byColumn)
	return s1, s2
}
