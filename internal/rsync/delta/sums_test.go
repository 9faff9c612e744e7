package delta_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
)

func TestSumsThatEndEarlyLeaveAnEmptyBasis(t *testing.T) {
	basis := bytes.Repeat([]byte("0123456789"), 100)
	h := headFor(basis, 100)
	raw := encode(basis, h, checksum.MD5.Blocks(seed, true))
	var s delta.Sums
	if err := s.Read(reader(raw), h, protocol, 16); err != nil || s.Count != 10 {
		t.Fatalf("count %d, error %v", s.Count, err)
	}
	err := s.Read(reader(raw[:len(raw)-1]), h, protocol, 16)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	if s.Head != (delta.Head{}) {
		t.Errorf("header %+v is left", s.Head)
	}
	if _, err := search(t, basis, basis, &s, checksum.MD5); err != nil {
		t.Error(err)
	}
}

func TestBadHeaderIsRefusedBeforeReading(t *testing.T) {
	var s delta.Sums
	r := reader(make([]byte, 100))
	if err := s.Read(r, delta.Head{Count: 1, BlockLen: 0, S2Len: 2}, protocol, 16); err == nil {
		t.Error("no error")
	}
	if r.Len() != 100 {
		t.Errorf("%d bytes were read", 100-r.Len())
	}
}

func TestMemoryGrowsWithWhatArrivesNotWithWhatIsAnnounced(t *testing.T) {
	h := delta.Head{Count: 20 << 20, BlockLen: 1 << 17, S2Len: 16}
	raw := make([]byte, 200<<10)
	var s delta.Sums
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := s.Read(reader(raw), h, protocol, 16)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "of 20971520") {
		t.Errorf("error %v", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d bytes were allocated for %d received", got, len(raw))
	}
}

func FuzzSums(f *testing.F) {
	f.Add([]byte("head and sums and a file"), int32(2), int32(700), int32(2), int32(100), true)
	f.Add(bytes.Repeat([]byte{0}, 100), int32(3), int32(8), int32(0), int32(0), false)
	f.Add(bytes.Repeat([]byte{1}, 400), int32(9), int32(1), int32(16), int32(1), true)
	f.Fuzz(func(t *testing.T, data []byte, count, blockLen, s2len, remainder int32, modern bool) {
		p := 29
		if modern {
			p = 32
		}
		h := delta.Head{Count: count, BlockLen: blockLen, S2Len: s2len, Remainder: remainder}
		var s delta.Sums
		if err := s.Read(reader(data), h, p, 16); err != nil {
			if s.Head != (delta.Head{}) {
				t.Fatalf("header %+v is left after %v", s.Head, err)
			}
			return
		}
		if s.Head != h || h.Validate(p, 16) != nil {
			t.Fatalf("header %+v was accepted as %+v", h, s.Head)
		}
		// Sums that are nobody's: only the order and the amount can be checked.
		var file [5000]byte
		for i := range file {
			if len(data) > 0 {
				file[i] = data[i%len(data)]
			}
		}
		binary.LittleEndian.PutUint32(file[:], uint32(count))
		checkMadeUp(t, file[:], &s)
	})
}

// collector takes the file without knowing a basis.
type collector struct {
	out   []byte
	count int
	bad   bool
}

func (c *collector) Literal(p []byte) error {
	c.out = append(c.out, p...)
	return nil
}

func (c *collector) Block(n int, data []byte) error {
	c.out = append(c.out, data...)
	c.bad = c.bad || n < 0 || n >= c.count
	return nil
}

// checkMadeUp searches a file for sums that may be anything.
func checkMadeUp(t *testing.T, file []byte, sums *delta.Sums) {
	t.Helper()
	c := &collector{count: int(sums.Count)}
	var s delta.Searcher
	_, err := s.Search(bytes.NewReader(file), int64(len(file)), sums, checksum.XXH128.Blocks(seed, true), io.Discard, c)
	if err != nil {
		t.Fatal(err)
	}
	if c.bad || !bytes.Equal(c.out, file) {
		t.Fatalf("the file was not emitted, or blocks beyond the basis (%v)", c.bad)
	}
}
