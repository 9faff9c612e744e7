package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
	//lint:ignore SA1019 the protocol's default before version 30
	"golang.org/x/crypto/md4"
)

// Hash is the digest of a whole file, fed from its first byte to its last. It
// can be used again after Reset, without allocating.
type Hash struct {
	h       hash.Hash // nil for None
	seed    [4]byte
	seeded  bool // the seed is hashed before the data
	reverse bool // h writes big-endian, the wire is little-endian
}

// New returns the digest that ends a file's data (2.5). The seed matters for
// MD4Old alone, which always hashes it first, even when it is 0.
func (a Algo) New(seed int32) *Hash {
	h := &Hash{h: a.hasher(), reverse: a.reversed(), seeded: a == MD4Old}
	binary.LittleEndian.PutUint32(h.seed[:], uint32(seed))
	h.Reset()
	return h
}

// hasher returns a new unseeded hash; nil for None.
func (a Algo) hasher() hash.Hash {
	switch a {
	case MD4Old, MD4:
		return md4.New()
	case MD5:
		return md5.New()
	case SHA1:
		return sha1.New()
	case XXH64:
		return xxhash.New()
	case XXH3:
		return xxh3.New()
	case XXH128:
		return xxh3.New128()
	}
	return nil
}

// reversed tells that the wire carries the canonical digest back to front: low
// 64 bits first, each half little-endian.
func (a Algo) reversed() bool { return a >= XXH64 }

// Reset forgets all data.
func (h *Hash) Reset() {
	if h.h == nil {
		return
	}
	h.h.Reset()
	if h.seeded {
		h.h.Write(h.seed[:])
	}
}

// Write adds p to the digest. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	if h.h != nil {
		h.h.Write(p)
	}
	return len(p), nil
}

// Sum appends the digest of all data since the last Reset to dst, in the order
// of the wire, and returns the longer slice.
func (h *Hash) Sum(dst []byte) []byte {
	if h.h == nil {
		return append(dst, 0)
	}
	n := len(dst)
	dst = h.h.Sum(dst)
	if h.reverse {
		slices.Reverse(dst[n:])
	}
	return dst
}

// Blocks computes strong sums of blocks, all with the session's seed. It does
// not allocate per block.
type Blocks struct {
	algo  Algo
	xseed uint64 // for xxh*: the seed, sign-extended
	h     hash.Hash
	x64   *xxhash.Digest
	seed  []byte // the bytes to hash with each block: empty when the seed is 0
	first bool   // the seed goes before the block
}

// Blocks returns the strong sum for blocks (2.4). seedFirst tells that both
// sides hash the seed before the block with MD5: compat flag CHKSUM_SEED_FIX,
// or MD5 chosen by name. The other algorithms have one order only.
//
// None has no block sums: its Sum returns one zero byte, which proves nothing.
// A session with None transfers whole files.
func (a Algo) Blocks(seed int32, seedFirst bool) *Blocks {
	b := &Blocks{algo: a, xseed: uint64(int64(seed))}
	switch a {
	case MD4Old, MD4, MD5, SHA1:
		b.h = a.hasher()
		b.first = a == SHA1 || a == MD5 && seedFirst
		if seed != 0 {
			b.seed = binary.LittleEndian.AppendUint32(nil, uint32(seed))
		}
	case XXH64:
		b.x64 = xxhash.NewWithSeed(b.xseed)
	}
	return b
}

// Another returns a Blocks that computes the same sums, for another goroutine.
func (b *Blocks) Another() *Blocks {
	c := *b
	if b.h != nil {
		c.h = b.algo.hasher()
	}
	if b.x64 != nil {
		c.x64 = xxhash.NewWithSeed(b.xseed)
	}
	return &c
}

// Size returns the length of a full sum in bytes. Peers exchange its first
// bytes only, as many as the sum header says.
func (b *Blocks) Size() int { return b.algo.Size() }

// Sum appends the strong sum of block to dst, in the order of the wire, and
// returns the longer slice.
func (b *Blocks) Sum(dst, block []byte) []byte {
	switch b.algo {
	case XXH128:
		u := xxh3.Hash128Seed(block, b.xseed)
		dst = binary.LittleEndian.AppendUint64(dst, u.Lo)
		return binary.LittleEndian.AppendUint64(dst, u.Hi)
	case XXH3:
		return binary.LittleEndian.AppendUint64(dst, xxh3.HashSeed(block, b.xseed))
	case XXH64:
		b.x64.ResetWithSeed(b.xseed)
		b.x64.Write(block)
		return binary.LittleEndian.AppendUint64(dst, b.x64.Sum64())
	case None:
		return append(dst, 0)
	}
	b.h.Reset()
	if b.first {
		b.h.Write(b.seed)
	}
	b.h.Write(block)
	if !b.first {
		b.h.Write(b.seed)
	}
	return b.h.Sum(dst)
}
