package delta_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
)

// edit makes a file of basis by a few random edits, some of them copies of other
// parts.
func edit(r *rand.Rand, basis []byte) []byte {
	file := bytes.Clone(basis)
	for range r.IntN(6) {
		at := r.IntN(len(file) + 1)
		n := min(r.IntN(2000), len(file)-at)
		switch r.IntN(4) {
		case 0:
			file = slices.Delete(file, at, at+n)
		case 1:
			file = slices.Insert(file, at, noise(r, r.IntN(2000))...)
		case 2:
			copy(file[at:at+n], noise(r, n))
		case 3:
			file = slices.Insert(file, r.IntN(len(file)+1), bytes.Clone(file[at:at+n])...)
		}
	}
	return file
}

// contents returns n bytes of which many are alike, so that blocks repeat and
// rolling sums collide.
func contents(r *rand.Rand, n int) []byte {
	p := noise(r, n)
	alphabet := 1 << r.IntN(9)
	for i := range p {
		p[i] = byte(int(p[i]) % alphabet)
	}
	return p
}

func TestWhateverTheEditsTheFileIsRebuilt(t *testing.T) {
	var s delta.Searcher
	var sums delta.Sums
	algo := checksum.XXH128
	for trial := range uint64(200) {
		r := rand.New(rand.NewPCG(trial, 3))
		size := r.IntN(20000)
		if trial%20 == 0 {
			size *= 30 // several windows
		}
		basis := contents(r, size)
		file := edit(r, basis)
		h := headFor(basis, 1+r.IntN(1+r.IntN(3000)))
		raw := encode(basis, h, algo.Blocks(seed, true))
		if err := sums.Read(reader(raw), h, protocol, algo.Size()); err != nil {
			t.Fatalf("trial %d: %v", trial, err)
		}
		var src io.Reader = bytes.NewReader(file)
		if trial%3 == 0 {
			src = iotest.HalfReader(src)
		}
		if _, err := searchWith(t, &s, src, basis, file, &sums, algo); err != nil {
			t.Fatalf("trial %d: %v", trial, err)
		}
		if t.Failed() {
			t.Fatalf("trial %d failed", trial)
		}
	}
}

func FuzzSearch(f *testing.F) {
	f.Add([]byte("the quick brown fox"), []byte("the quick red fox"), uint16(4))
	f.Add(bytes.Repeat([]byte{0}, 3000), bytes.Repeat([]byte{0}, 2999), uint16(700))
	f.Add([]byte("abcabcabcab"), []byte("xabcabcab"), uint16(3))
	f.Fuzz(func(t *testing.T, basis, file []byte, blockLen uint16) {
		h := headFor(basis, max(int(blockLen), 1))
		r, err := search(t, basis, file, readSums(t, basis, h, checksum.XXH128), checksum.XXH128)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(basis, file) && len(r.blocks) != int(h.Count) {
			t.Errorf("%d of %d blocks found in the same file", len(r.blocks), h.Count)
		}
	})
}
