package checksum

import "golang.org/x/sys/cpu"

// vectors tells that the processor adds up 32 bytes at a time.
var vectors = cpu.X86.HasAVX2

// sumAVX2 returns both sums of p without its last len(p) % 32 bytes. Only the
// lowest 16 bits of each mean anything. It may be called if vectors is set.
//
//go:noescape
func sumAVX2(p []byte) (s1, s2 uint32)

// Sum1 returns the rolling sum of a block. With AVX2 it takes as long as
// reading the block from the processor's second cache.
func Sum1(block []byte) uint32 {
	if !vectors {
		return sumWords(block)
	}
	s1, s2 := sumAVX2(block)
	for _, b := range block[len(block)&^31:] {
		s1 += uint32(int8(b))
		s2 += s1
	}
	return s1&0xffff | s2<<16
}
