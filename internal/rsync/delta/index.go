package delta

import "math/bits"

// index finds the blocks of a basis by their rolling sums. It is built for one
// search and holds nothing in between, so that its memory is needed once for all
// files. A short last block is not in it.
type index struct {
	known bitmap

	// heads has, by the upper bits of sum*spread, the first block with those
	// bits, next the following one; both end in -1. Blocks are in ascending
	// order.
	heads []int32
	shift uint32 // 32 - log2(len(heads))
	next  []int32
}

// spread is 2^32 / golden ratio: multiplying by it gives every bit of a sum
// weight in the upper bits.
const spread = 2654435769

// build fills an empty index with the rolling sums of blocks.
func (x *index) build(sums []uint32) {
	n := len(sums)
	x.next = resized(x.next, n)
	if n == 0 {
		return
	}
	headsLog := max(bits.Len(uint(n-1)), 1) // n <= 1 << headsLog
	x.shift = uint32(32 - headsLog)
	x.heads = resized(x.heads, 1<<headsLog)
	for i := range x.heads {
		x.heads[i] = -1
	}
	x.known.resize(n)
	for i := n - 1; i >= 0; i-- {
		x.known.add(sums[i])
		head := &x.heads[sums[i]*spread>>x.shift]
		x.next[i] = *head
		*head = int32(i)
	}
}

// empty undoes build, whose argument it needs again.
func (x *index) empty(sums []uint32) {
	x.known.empty(sums)
	x.next = x.next[:0]
}

// first returns the first block that may have that rolling sum, -1 if there is
// none; next[first] is the one after it.
func (x *index) first(sum uint32) int32 { return x.heads[sum*spread>>x.shift] }

// resized returns a slice of length n, in p's memory if that suffices.
func resized(p []int32, n int) []int32 {
	if cap(p) < n {
		return make([]int32, n)
	}
	return p[:n]
}
