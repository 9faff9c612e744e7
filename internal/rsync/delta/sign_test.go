package delta_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/wire"
)

func TestHeadersFollowTheOptions(t *testing.T) {
	tests := []struct {
		name   string
		choice delta.Choice
		size   int64
		want   delta.Head
		ok     bool
	}{
		{"normal pass", delta.Choice{Protocol: 31, Digest: 16}, 5000, delta.Head{Count: 8, BlockLen: 700, S2Len: 2, Remainder: 100}, true},
		{"redo", delta.Choice{Protocol: 31, Digest: 16, Full: true}, 1410, delta.Head{Count: 3, BlockLen: 700, S2Len: 16, Remainder: 10}, true},
		{"redo with a short digest", delta.Choice{Protocol: 31, Digest: 8, Full: true}, 700, delta.Head{Count: 1, BlockLen: 700, S2Len: 8}, true},
		{"redo with sha1", delta.Choice{Protocol: 31, Digest: 20, Full: true}, 700, delta.Head{Count: 1, BlockLen: 700, S2Len: 16}, true},
		{"block size", delta.Choice{Protocol: 31, Digest: 16, Block: 1000}, 2500, delta.Head{Count: 3, BlockLen: 1000, S2Len: 2, Remainder: 500}, true},
		{"short blocks of a large file", delta.Choice{Protocol: 31, Digest: 16, Block: 100}, 1 << 30, delta.Head{Count: 10737419, BlockLen: 100, S2Len: 5, Remainder: 24}, true},
		{"nothing in the file", delta.Choice{Protocol: 31, Digest: 16, Full: true}, 0, delta.Head{}, true},
		{"blocks of a byte, too many", delta.Choice{Protocol: 31, Digest: 16, Block: 1}, math.MaxInt32 + 1, delta.Head{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if h, ok := test.choice.Head(test.size); h != test.want || ok != test.ok {
				t.Errorf("got %+v %v", h, ok)
			}
		})
	}
}

// The request of section 3.6b: head and sums of 700 x A, 700 x B, 10 x C.
func TestSumsAreThoseOfTheTranscript(t *testing.T) {
	basis := []byte(strings.Repeat("A", 700) + strings.Repeat("B", 700) + strings.Repeat("C", 10))
	h, _ := delta.Choice{Protocol: 31, Digest: 16}.Head(int64(len(basis)))
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	h.Write(w)
	var s delta.Signer
	if err := s.Sign(w, bytes.NewReader(basis), h, checksum.MD5.Blocks(1, true)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "03000000bc020000020000000a000000" + "bcb1e65723ee" + "78b44c16687f" + "9e02650ec92a"
	if got := hex.EncodeToString(out.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back, err := delta.ReadHead(wire.NewReader(&out))
	if err != nil || back != h {
		t.Errorf("header read back is %+v, error %v", back, err)
	}
}

func TestSignedBasesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, size := range []int{1, 699, 700, 701, 5000, 300000, 1 << 20} {
		for _, block := range []int32{0, 1000, 131072, 300000} {
			basis := noise(r, size)
			h, _ := delta.Choice{Protocol: 29, Digest: 16, Block: block}.Head(int64(size))
			var out bytes.Buffer
			var s delta.Signer
			if err := s.Sign(&out, bytes.NewReader(basis), h, checksum.MD5.Blocks(seed, true)); err != nil {
				t.Fatal(err)
			}
			if want := encode(basis, h, checksum.MD5.Blocks(seed, true)); !bytes.Equal(out.Bytes(), want) {
				t.Errorf("sums of %d bytes in blocks of %d differ", size, h.BlockLen)
			}
		}
	}
}

func TestBasisThatEndsEarlyIsSignedWithZeros(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(7, 7)), 1000000)
	h := delta.Geometry(int64(len(basis)), 31, 16)
	strong := checksum.MD5.Blocks(seed, true)
	tests := []struct {
		name string
		src  io.ReaderAt
		at   int
		err  error
	}{
		{"shorter", bytes.NewReader(basis[:300000]), 300000, io.ErrUnexpectedEOF},
		{"empty", bytes.NewReader(nil), 0, io.ErrUnexpectedEOF},
		{"unreadable", failing{basis, 800000}, 800000, io.ErrNoProgress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			var s delta.Signer
			var source *delta.SourceError
			err := s.Sign(&out, test.src, h, strong)
			if !errors.As(err, &source) || source.Offset != int64(test.at) || !errors.Is(err, test.err) {
				t.Errorf("error %v", err)
			}
			padded := bytes.Clone(basis)
			clear(padded[test.at:])
			if !bytes.Equal(out.Bytes(), encode(padded, h, strong)) {
				t.Error("sums differ")
			}
		})
	}
}

// failing cannot be read from an offset on.
type failing struct {
	data []byte
	from int64
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if n := copy(p, f.data[min(at, f.from):f.from]); n < len(p) {
		return n, io.ErrNoProgress
	}
	return len(p), nil
}

// Two goroutines sign a large basis: their sums must come in order, with the
// first failure of both.
func TestLargeBasesAreSignedInOrder(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(8, 7)), 37<<20+5)
	for _, block := range []int32{0, 700, 131072} {
		h, _ := delta.Choice{Protocol: 31, Digest: 16, Block: block}.Head(int64(len(basis)))
		strong := checksum.XXH64.Blocks(seed, true)
		var out bytes.Buffer
		var s delta.Signer
		if err := s.Sign(&out, bytes.NewReader(basis), h, strong); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), encode(basis, h, strong)) {
			t.Errorf("sums in blocks of %d differ", h.BlockLen)
		}
		var source *delta.SourceError
		const from = 21 << 20
		err := s.Sign(io.Discard, failing{basis, from}, h, strong)
		if !errors.As(err, &source) || source.Offset != from {
			t.Errorf("blocks of %d: error %v, want one at %d", h.BlockLen, err, from)
		}
		if err := s.Sign(broken{}, bytes.NewReader(basis), h, strong); err != io.ErrClosedPipe {
			t.Errorf("blocks of %d: error %v from a connection that has ended", h.BlockLen, err)
		}
	}
}

// broken takes nothing.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestSigningStopsWithTheConnection(t *testing.T) {
	basis := make([]byte, 1000)
	var s delta.Signer
	if err := s.Sign(broken{}, bytes.NewReader(basis), headFor(basis, 100), checksum.MD5.Blocks(seed, true)); err != io.ErrClosedPipe {
		t.Errorf("error %v", err)
	}
}

func TestBlocksOfAHeadCoverTheBasis(t *testing.T) {
	for _, size := range []int64{1, 700, 701, 490001, 1000000} {
		h := delta.Geometry(size, 31, 16)
		at := int64(0)
		for n := range int(h.Count) {
			offset, length := h.Block(n)
			if offset != at {
				t.Fatalf("block %d of %d bytes is at %d, want %d", n, size, offset, at)
			}
			at += int64(length)
		}
		if at != size {
			t.Errorf("blocks cover %d of %d bytes", at, size)
		}
	}
}
