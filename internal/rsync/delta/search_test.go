package delta_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
)

const (
	protocol = 32
	seed     = 0x12345678
)

// wireBytes reads sums from memory, as a *wire.Reader does from a connection.
type wireBytes struct{ bytes.Reader }

func (r *wireBytes) ReadFull(p []byte) error {
	_, err := io.ReadFull(&r.Reader, p)
	return err
}

func reader(p []byte) *wireBytes {
	var r wireBytes
	r.Reset(p)
	return &r
}

// encode returns the sums of basis as a peer sends them.
func encode(basis []byte, h delta.Head, strong *checksum.Blocks) []byte {
	var raw, sum2 []byte
	for len(basis) > 0 {
		n := min(int(h.BlockLen), len(basis))
		raw = binary.LittleEndian.AppendUint32(raw, checksum.Sum1(basis[:n]))
		sum2 = strong.Sum(sum2[:0], basis[:n])
		raw = append(raw, sum2[:h.S2Len]...)
		basis = basis[n:]
	}
	return raw
}

// readSums returns the sums of basis with that header.
func readSums(t testing.TB, basis []byte, h delta.Head, algo checksum.Algo) *delta.Sums {
	t.Helper()
	var s delta.Sums
	raw := encode(basis, h, algo.Blocks(seed, true))
	if err := s.Read(reader(raw), h, protocol, algo.Size()); err != nil {
		t.Fatal(err)
	}
	return &s
}

// headFor cuts basis into blocks of the given length, with full strong sums.
func headFor(basis []byte, block int) delta.Head {
	return delta.Head{
		Count:     int32((len(basis) + block - 1) / block),
		BlockLen:  int32(block),
		S2Len:     16,
		Remainder: int32(len(basis) % block),
	}
}

// rebuilder is the receiver: it builds the file out of the basis.
type rebuilder struct {
	basis  []byte
	head   delta.Head
	out    []byte
	blocks []int
	fail   error
}

func (r *rebuilder) Literal(p []byte) error {
	r.out = append(r.out, p...)
	return r.fail
}

func (r *rebuilder) Block(n int, data []byte) error {
	start := n * int(r.head.BlockLen)
	end := min(start+int(r.head.BlockLen), len(r.basis))
	if !bytes.Equal(r.basis[start:end], data) {
		return errors.New("data handed over is not the block")
	}
	r.out = append(r.out, r.basis[start:end]...)
	r.blocks = append(r.blocks, n)
	return r.fail
}

func noise(r *rand.Rand, n int) []byte {
	p := make([]byte, 0, n+8)
	for len(p) < n {
		p = binary.LittleEndian.AppendUint64(p, r.Uint64())
	}
	return p[:n]
}

// search finds basis in file and checks what is emitted and hashed.
func search(t testing.TB, basis, file []byte, sums *delta.Sums, algo checksum.Algo) (*rebuilder, error) {
	t.Helper()
	var s delta.Searcher
	return searchWith(t, &s, bytes.NewReader(file), basis, file, sums, algo)
}

// searchWith does the same with a Searcher and a source of its own, which may
// fail: then file is what it should have been with zeros.
func searchWith(t testing.TB, s *delta.Searcher, src io.Reader, basis, file []byte, sums *delta.Sums, algo checksum.Algo) (*rebuilder, error) {
	t.Helper()
	r := &rebuilder{basis: basis, head: sums.Head}
	hash := algo.New(seed)
	result, err := s.Search(src, int64(len(file)), sums, algo.Blocks(seed, true), hash, r)
	var source *delta.SourceError
	if err != nil && !errors.As(err, &source) {
		return r, err
	}
	if !bytes.Equal(r.out, file) {
		t.Fatalf("%d bytes rebuilt differ from the %d of the file", len(r.out), len(file))
	}
	want := algo.New(seed)
	want.Write(file)
	if !bytes.Equal(hash.Sum(nil), want.Sum(nil)) {
		t.Error("digest is not that of the file")
	}
	if result.Literal+result.Matched != int64(len(file)) {
		t.Errorf("%d literal and %d matched bytes of %d", result.Literal, result.Matched, len(file))
	}
	return r, err
}

func blocksOf(t *testing.T, basis, file []byte, h delta.Head) []int {
	t.Helper()
	r, err := search(t, basis, file, readSums(t, basis, h, checksum.XXH128), checksum.XXH128)
	if err != nil {
		t.Fatal(err)
	}
	return r.blocks
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestSearchFindsTheBlocksOfTheBasis(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(1, 2)), 5000) // blocks of 700, the last of 100
	extra := noise(rand.New(rand.NewPCG(3, 4)), 90)
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	tests := []struct {
		name string
		file []byte
		want []int
	}{
		{"same file", basis, all},
		{"empty file", nil, nil},
		{"shorter than a block", basis[:300], nil},
		{"insertion, as in section 3.1", join(basis[:1400], extra, basis[1400:]), all},
		{"insertion at the front", join(extra, basis), all},
		{"deletion", join(basis[:1500], basis[1600:]), []int{0, 1, 3, 4, 5, 6, 7}},
		{"appended", join(basis, extra), []int{0, 1, 2, 3, 4, 5, 6}},
		{"cut off at a block's end", basis[:2100], []int{0, 1, 2}},
		{"cut off inside a block", basis[:2000], []int{0, 1}},
		{"moved", join(basis[2800:4200], basis[:700]), []int{4, 5, 0}},
		{"repeated", join(basis[700:1400], basis[700:1400]), []int{1, 1}},
		{"short block at the end", join(extra, basis[4900:]), []int{7}},
		{"short block alone", basis[4900:], []int{7}},
		{"short block not at the end", join(basis[4900:], extra), nil},
		{"nothing in common", noise(rand.New(rand.NewPCG(5, 6)), 5000), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := blocksOf(t, basis, test.file, headFor(basis, 700)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestEqualBlocksAreTakenInOrder(t *testing.T) {
	zeros := make([]byte, 10*700)
	if got := blocksOf(t, zeros, zeros, headFor(zeros, 700)); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("got %v", got)
	}
}

func TestAfterAnEditTheBlockAtTheSameOffsetIsPreferred(t *testing.T) {
	zeros, n := make([]byte, 700), noise(rand.New(rand.NewPCG(1, 2)), 2100)
	basis := join(zeros, n[:1400], zeros, zeros, zeros)
	file := join(zeros, n[:700], n[1400:], zeros, zeros, zeros)
	if got := blocksOf(t, basis, file, headFor(basis, 700)); !slices.Equal(got, []int{0, 1, 3, 4, 5}) {
		t.Errorf("got %v", got)
	}
}

func TestOnlySoManyBlocksOfOneRollingSumAreTried(t *testing.T) {
	// Adding 1, -2, 1 to three bytes in a row changes neither half of the sum.
	const blockLen, count = 2048, 1500
	one := bytes.Repeat([]byte{100}, blockLen)
	var basis []byte
	for i := range count {
		block := bytes.Clone(one)
		block[i]++
		block[i+1] -= 2
		block[i+2]++
		basis = append(basis, block...)
	}
	near, far := basis[1000*blockLen:1001*blockLen], basis[1400*blockLen:1401*blockLen]
	h := headFor(basis, blockLen)
	if got := blocksOf(t, basis, join([]byte("x"), near), h); !slices.Equal(got, []int{1000}) {
		t.Errorf("block 1000: got %v", got)
	}
	if got := blocksOf(t, basis, join([]byte("x"), far), h); got != nil {
		t.Errorf("block 1400: got %v", got)
	}
}

func TestLargeFilesAreSearchedThroughAllWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	basis := noise(r, 3<<20)
	file := bytes.Clone(basis)
	file = slices.Delete(file, 1<<20, 1<<20+1)
	file = slices.Insert(file, 2<<20, noise(r, 600<<10)...)
	for _, blockLen := range []int{700, 1768, 100000, 131072} {
		sums := readSums(t, basis, headFor(basis, blockLen), checksum.XXH128)
		got, err := search(t, basis, file, sums, checksum.XXH128)
		if err != nil {
			t.Fatal(err)
		}
		// Two edits spoil a block each.
		if want := int(sums.Count) - 2; len(got.blocks) != want {
			t.Errorf("block %d: %d blocks found, want %d", blockLen, len(got.blocks), want)
		}
	}
}

func TestMoreBlocksThanTheUsualMapIsMadeFor(t *testing.T) {
	const blockLen, count = 16, 1<<18 + 1000
	r := rand.New(rand.NewPCG(9, 1))
	basis := noise(r, blockLen*count)
	var file []byte
	for i := range 2000 {
		n := r.IntN(count)
		file = append(file, noise(r, i%40)...)
		file = append(file, basis[n*blockLen:(n+1)*blockLen]...)
	}
	large := readSums(t, basis, headFor(basis, blockLen), checksum.XXH128)
	small := readSums(t, basis[:5000], headFor(basis[:5000], 700), checksum.XXH128)
	var s delta.Searcher
	for range 2 {
		got, err := searchWith(t, &s, bytes.NewReader(file), basis, file, large, checksum.XXH128)
		if err != nil || len(got.blocks) < 2000 {
			t.Errorf("%d blocks found, error %v", len(got.blocks), err)
		}
		got, err = searchWith(t, &s, bytes.NewReader(basis[:5000]), basis[:5000], basis[:5000], small, checksum.XXH128)
		if err != nil || len(got.blocks) != 8 {
			t.Errorf("%d blocks found afterwards, error %v", len(got.blocks), err)
		}
	}
}

func TestBlocksTooLongForTheWindowAreNotSearched(t *testing.T) {
	basis := make([]byte, 1<<20)
	h := delta.Head{Count: 1, BlockLen: 1 << 25, S2Len: 16, Remainder: 1 << 20}
	var s delta.Sums
	if err := s.Read(reader(make([]byte, 20)), h, 29, 16); err != nil {
		t.Fatal(err)
	}
	if r, err := search(t, basis, basis, &s, checksum.MD4Old); err != nil || r.blocks != nil {
		t.Errorf("blocks %v, error %v", r.blocks, err)
	}
}

func TestEveryAlgorithmFindsBlocks(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(1, 2)), 5000)
	for algo := checksum.MD4Old; algo <= checksum.XXH128; algo++ {
		h := delta.Geometry(5000, 29, algo.Size())
		r, err := search(t, basis, basis, readSums(t, basis, h, algo), algo)
		if err != nil || len(r.blocks) != 8 {
			t.Errorf("%v: %d blocks, error %v", algo, len(r.blocks), err)
		}
	}
}

func TestMadeUpSumsCannotMakeTheSearchSlow(t *testing.T) {
	// A file of zeros has the rolling sum 0 everywhere; without a limit a block
	// of 128 KiB would be hashed for each of its bytes.
	const size = 16 << 20
	h := delta.Head{Count: 100, BlockLen: 1 << 17, S2Len: 16}
	var sums delta.Sums
	if err := sums.Read(reader(make([]byte, 100*20)), h, protocol, 16); err != nil {
		t.Fatal(err)
	}
	var s delta.Searcher
	start := time.Now()
	res, err := s.Search(bytes.NewReader(make([]byte, size)), size, &sums, checksum.XXH128.Blocks(seed, true), io.Discard, discard{})
	if err != nil || res.Literal != size {
		t.Errorf("%d bytes sent, error %v", res.Literal, err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("the search took %v", d)
	}
}

func TestFileThatShrinksIsCompletedWithZeros(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(1, 2)), 700<<10)
	sums := readSums(t, basis, headFor(basis, 7000), checksum.MD5)
	for _, left := range []int{0, 1, 6999, 7000, 300 << 10, 700<<10 - 1} {
		padded := make([]byte, len(basis))
		copy(padded, basis[:left])
		var s delta.Searcher
		_, err := searchWith(t, &s, bytes.NewReader(basis[:left]), basis, padded, sums, checksum.MD5)
		var source *delta.SourceError
		if !errors.As(err, &source) || source.Offset != int64(left) || !errors.Is(err, delta.ErrShrank) {
			t.Errorf("%d bytes left: error %v", left, err)
		}
	}
}

func TestReadErrorIsReportedAfterTheFileIsComplete(t *testing.T) {
	broken := errors.New("input/output error")
	file := noise(rand.New(rand.NewPCG(1, 2)), 1<<20)
	padded := make([]byte, len(file))
	copy(padded, file[:500000])
	src := io.MultiReader(bytes.NewReader(file[:500000]), iotest.ErrReader(broken))
	var s delta.Searcher
	_, err := searchWith(t, &s, src, nil, padded, &delta.Sums{}, checksum.MD5)
	var source *delta.SourceError
	if !errors.As(err, &source) || source.Offset != 500000 || !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if want := "read at offset 500000: input/output error"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestErrorsOfTheSinkEndTheSearch(t *testing.T) {
	gone := errors.New("connection is gone")
	basis := noise(rand.New(rand.NewPCG(1, 2)), 5000)
	sums := readSums(t, basis, headFor(basis, 700), checksum.MD5)
	for _, file := range [][]byte{basis, basis[1:]} {
		var s delta.Searcher
		r := &rebuilder{basis: basis, head: sums.Head, fail: gone}
		_, err := s.Search(bytes.NewReader(file), int64(len(file)), sums, checksum.MD5.Blocks(seed, true), io.Discard, r)
		if !errors.Is(err, gone) || len(r.out) > 700 {
			t.Errorf("error %v after %d bytes", err, len(r.out))
		}
	}
}

func TestSmallFilesDoNotAllocate(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(1, 2)), 5000)
	file := bytes.Clone(basis)
	file[2500] ^= 1
	h := headFor(basis, 700)
	strong, hash := checksum.XXH128.Blocks(seed, true), checksum.XXH128.New(seed)
	raw := encode(basis, h, strong)
	var s delta.Searcher
	var sums delta.Sums
	var in wireBytes
	var src bytes.Reader
	n := testing.AllocsPerRun(100, func() {
		in.Reset(raw)
		src.Reset(file)
		hash.Reset()
		if err := sums.Read(&in, h, protocol, 16); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Search(&src, int64(len(file)), &sums, strong, hash, discard{}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations per file", n)
	}
}
