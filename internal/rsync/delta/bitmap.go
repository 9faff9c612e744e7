package delta

import (
	"math/bits"

	"lockstep/internal/rsync/checksum"
)

// bitmap answers whether a block with some rolling sum may exist. It is asked at
// every byte of a file, so it is sparse, that it says "no" nearly always, and
// small enough to stay in the processor's cache. Only after a "yes" the index is
// asked, which is slower.
//
// The word is chosen by s2, the better mixed half of a sum, and by the bits of
// s1 above the lowest five if there are more words than s2 has values; the bit
// by the lowest five of s1.
type bitmap struct {
	words []uint32 // a power of two, at least cacheWords
	high  uint32   // mask of the index bits that come from s1
}

const (
	// cacheWords are 256 KiB. Up to 2^18 blocks they say "yes" in vain for at
	// most one byte of eight.
	cacheWords = 1 << 16
	// blocksPerWord is the density of larger maps, which otherwise would have
	// every bit set.
	blocksPerWord = 4
	// s1Shift brings bit 5 of s1 to bit 16, where an index by s2 ends.
	s1Shift = 16 - 5
)

// resize makes an empty map fit for n > 0 blocks. MaxMemory keeps n below 2^26,
// for which the bits of a sum suffice.
func (m *bitmap) resize(n int) {
	size := max(cacheWords, 1<<bits.Len(uint(n-1))/blocksPerWord)
	if cap(m.words) < size {
		m.words = make([]uint32, size)
	}
	m.words = m.words[:size]
	m.high = uint32(size-1) &^ (cacheWords - 1)
}

func (m *bitmap) index(sum checksum.Rolling) uint32 {
	return sum.S2&(cacheWords-1) | sum.S1<<s1Shift&m.high
}

func (m *bitmap) add(sum1 uint32) {
	sum := checksum.Start(sum1)
	m.words[m.index(sum)] |= 1 << (sum.S1 & 31)
}

// empty removes everything. The sums that were added are given so that the work
// depends on their number: most files are small.
func (m *bitmap) empty(sums []uint32) {
	if len(sums) > len(m.words)/8 {
		clear(m.words)
		return
	}
	for _, sum1 := range sums {
		m.words[m.index(checksum.Start(sum1))] = 0
	}
}

// scan rolls sum along a window of n bytes, of which out[0], out[1] ... leave
// and in[0], in[1] ... enter, until the map has the sum or the bytes end. It
// returns the sum, how many bytes it rolled and whether the map has the sum.
func (m *bitmap) scan(sum checksum.Rolling, out, in []byte, n uint32) (checksum.Rolling, int, bool) {
	done, hit := 0, false
	if len(m.words) == cacheWords {
		sum, done, hit = scanEight((*[cacheWords]uint32)(m.words), sum, out, in, n)
		if hit {
			return sum, done, true
		}
	}
	out, in = out[done:], in[done:]
	in = in[:len(out)]
	for i, o := range out {
		sum = sum.Roll(o, in[i], n)
		if m.words[m.index(sum)]>>(sum.S1&31)&1 != 0 {
			return sum, done + i + 1, true
		}
	}
	return sum, done + len(out), false
}

// scanEight is scan for a map of the usual size and for as many bytes as are a
// multiple of eight. A changed file spends its time here: eight steps of
// Rolling.Roll are written out because that runs 1.4 times as fast as a loop.
func scanEight(words *[cacheWords]uint32, sum checksum.Rolling, out, in []byte, n uint32) (checksum.Rolling, int, bool) {
	s1, s2 := sum.S1, sum.S2
	total := len(out)
	for len(out) >= 8 && len(in) >= 8 {
		var x uint32
		x = uint32(int8(out[0]))
		s1 += uint32(int8(in[0])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 1, true
		}
		x = uint32(int8(out[1]))
		s1 += uint32(int8(in[1])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 2, true
		}
		x = uint32(int8(out[2]))
		s1 += uint32(int8(in[2])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 3, true
		}
		x = uint32(int8(out[3]))
		s1 += uint32(int8(in[3])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 4, true
		}
		x = uint32(int8(out[4]))
		s1 += uint32(int8(in[4])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 5, true
		}
		x = uint32(int8(out[5]))
		s1 += uint32(int8(in[5])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 6, true
		}
		x = uint32(int8(out[6]))
		s1 += uint32(int8(in[6])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 7, true
		}
		x = uint32(int8(out[7]))
		s1 += uint32(int8(in[7])) - x
		s2 += s1 - n*x
		if words[uint16(s2)]>>(s1&31)&1 != 0 {
			return checksum.Rolling{S1: s1, S2: s2}, total - len(out) + 8, true
		}
		out, in = out[8:], in[8:]
	}
	return checksum.Rolling{S1: s1, S2: s2}, total - len(out), false
}
