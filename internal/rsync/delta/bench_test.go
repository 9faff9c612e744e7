package delta_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
)

// discard is the sink that costs nothing.
type discard struct{}

func (discard) Literal([]byte) error    { return nil }
func (discard) Block(int, []byte) error { return nil }

func benchmark(b *testing.B, basis, file []byte) {
	h := delta.Geometry(int64(len(basis)), protocol, checksum.XXH128.Size())
	sums := readSums(b, basis, h, checksum.XXH128)
	strong := checksum.XXH128.Blocks(seed, true)
	hash := checksum.XXH128.New(0)
	var s delta.Searcher
	var src bytes.Reader
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(file)
		hash.Reset()
		if _, err := s.Search(&src, int64(len(file)), sums, strong, hash, discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

const benchSize = 64 << 20

func BenchmarkSearchIdentical(b *testing.B) {
	basis := noise(rand.New(rand.NewPCG(1, 1)), benchSize)
	benchmark(b, basis, basis)
}

func BenchmarkSearchOnePercentChanged(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	basis := noise(r, benchSize)
	file := bytes.Clone(basis)
	for range benchSize / 8192 / 100 {
		file[r.IntN(len(file))] ^= 1
	}
	benchmark(b, basis, file)
}

func BenchmarkSearchAllDifferent(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	basis, file := noise(r, benchSize), noise(r, benchSize)
	benchmark(b, basis, file)
}

func BenchmarkSign(b *testing.B) {
	basis := noise(rand.New(rand.NewPCG(1, 1)), benchSize)
	h := delta.Geometry(benchSize, protocol, checksum.XXH128.Size())
	strong := checksum.XXH128.Blocks(seed, true)
	var s delta.Signer
	var src bytes.Reader
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(basis)
		if err := s.Sign(io.Discard, &src, h, strong); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSearchManySmallFiles(b *testing.B) {
	basis := noise(rand.New(rand.NewPCG(1, 1)), 5000)
	file := bytes.Clone(basis)
	file[2500] ^= 1
	benchmark(b, basis, file)
}
