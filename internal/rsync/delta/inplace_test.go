package delta_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
)

// overwriter is a receiver that updates its basis in place.
type overwriter struct {
	t     *testing.T
	file  []byte // the basis, being overwritten
	block int
	at    int
	used  int // blocks
}

func (o *overwriter) Literal(p []byte) error {
	o.put(p)
	return nil
}

func (o *overwriter) Block(n int, data []byte) error {
	from := n * o.block
	if from+len(data) > len(o.file) || !bytes.Equal(o.file[from:from+len(data)], data) {
		o.t.Fatalf("block %d is not there any more at offset %d", n, o.at)
	}
	o.used++
	o.put(bytes.Clone(o.file[from : from+len(data)]))
	return nil
}

func (o *overwriter) put(p []byte) {
	o.file = append(o.file[:o.at], append(bytes.Clone(p), o.file[min(len(o.file), o.at+len(p)):]...)...)
	o.at += len(p)
}

func TestInPlaceUsesOnlyWhatIsStillThere(t *testing.T) {
	const block = 700
	const algo = checksum.XXH128
	noise := noise(rand.New(rand.NewPCG(1, 2)), 40*block)
	zeros := make([]byte, 30*block)
	moved := append(bytes.Clone(noise[20*block:]), noise[:20*block]...)
	shifted := append([]byte("in front"), noise...)
	patched := bytes.Clone(zeros)
	copy(patched[5*block+1:], "a change")
	for _, c := range []struct {
		name       string
		basis, now []byte
		least      int // blocks that must be found
	}{
		{"nothing changed", noise, noise, 40},
		{"the second half came first", noise, moved, 20},
		{"something was put in front", noise, shifted, 0},
		{"equal blocks around a change", zeros, patched, 28},
		{"something was cut off in front", noise, noise[3*block:], 37},
	} {
		sums := readSums(t, c.basis, headFor(c.basis, block), algo)
		s := delta.Searcher{InPlace: true}
		o := &overwriter{t: t, file: bytes.Clone(c.basis), block: block}
		if _, err := s.Search(bytes.NewReader(c.now), int64(len(c.now)), sums, algo.Blocks(seed, true), algo.New(0), o); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(o.file[:o.at], c.now) {
			t.Errorf("%s: the file is not what was sent", c.name)
		}
		if o.used < c.least {
			t.Errorf("%s: %d blocks used, want %d", c.name, o.used, c.least)
		}
	}
}
