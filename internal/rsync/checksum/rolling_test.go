package checksum_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"lockstep/internal/rsync/checksum"
)

// plainSum1 is the definition of section 2.3, word by word.
func plainSum1(block []byte) uint32 {
	var s1, s2 uint16
	n := len(block)
	for i, b := range block {
		x := uint16(int16(int8(b)))
		s1 += x
		s2 += uint16(n-i) * x
	}
	return uint32(s1) | uint32(s2)<<16
}

func TestSum1HasTheValuesOfTheSpecification(t *testing.T) {
	ascending := make([]byte, 256)
	for i := range ascending {
		ascending[i] = byte(i)
	}
	tests := []struct {
		name  string
		block []byte
		want  uint32
	}{
		{"nothing", nil, 0},
		{"abc", []byte("abc"), 0x024a0126},
		{"700 times A", bytes.Repeat([]byte("A"), 700), 0x57e6b1bc},
		{"all byte values", ascending, 0x6a80ff80},
		{"700 times 0xff", bytes.Repeat([]byte{0xff}, 700), 0x419afd44},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := checksum.Sum1(test.block); got != test.want {
				t.Errorf("got %#08x, want %#08x", got, test.want)
			}
			if got := plainSum1(test.block); got != test.want {
				t.Errorf("the definition gives %#08x, want %#08x", got, test.want)
			}
		})
	}
}

// sums are the ways to compute a rolling sum: which of them Sum1 is depends on
// the processor.
var sums = map[string]func([]byte) uint32{"Sum1": checksum.Sum1, "words": checksum.SumWords}

func TestSum1OfEveryLengthFollowsTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	noise := make([]byte, 1<<17)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	blocks := [][]byte{noise}
	for n := range 700 {
		blocks = append(blocks, noise[n:2*n]) // of every alignment
	}
	for _, fill := range []byte{0, 1, 0x7f, 0x80, 0xff} {
		blocks = append(blocks, bytes.Repeat([]byte{fill}, 1<<17))
	}
	for _, block := range blocks {
		want := plainSum1(block)
		for name, sum := range sums {
			if got := sum(block); got != want {
				t.Fatalf("%s of %d bytes, the last %#x: got %#08x, want %#08x", name, len(block), block[max(len(block)-1, 0):], got, want)
			}
		}
	}
}

func TestRollingAlongAFileGivesTheSumsOfItsWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	file := make([]byte, 5000)
	for i := range file {
		file[i] = byte(r.Uint32())
	}
	for _, n := range []int{1, 2, 7, 700, 4999} {
		sum := checksum.Start(checksum.Sum1(file[:n]))
		for i := 0; ; i++ {
			if got, want := sum.Sum(), plainSum1(file[i:i+n]); got != want {
				t.Fatalf("window of %d at %d: got %#08x, want %#08x", n, i, got, want)
			}
			if i+n == len(file) {
				break
			}
			sum = sum.Roll(file[i], file[i+n], uint32(n))
		}
	}
}

func FuzzSum1(f *testing.F) {
	f.Add([]byte("abc"))
	f.Add(bytes.Repeat([]byte{0x80, 0x7f}, 300))
	f.Fuzz(func(t *testing.T, block []byte) {
		if got, want := checksum.Sum1(block), plainSum1(block); got != want {
			t.Errorf("got %#08x, want %#08x", got, want)
		}
	})
}
