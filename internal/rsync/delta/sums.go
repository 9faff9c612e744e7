package delta

import (
	"encoding/binary"
	"fmt"
)

// Reader is where sums come from: ReadFull fills p or fails. A *wire.Reader is
// one.
type Reader interface {
	ReadFull(p []byte) error
}

// Sums holds the sums of a basis file's blocks. The zero value is an empty basis.
//
// On the wire a block's sum is (1.4):
//
//	int    rolling sum
//	bytes  the first s2len bytes of the strong sum
type Sums struct {
	Head

	sum1 []uint32
	sum2 []byte // Count * S2Len bytes
	raw  []byte // scratch for reading
}

// Rolling is the rolling sum of block n.
func (s *Sums) Rolling(n int) uint32 { return s.sum1[n] }

// readChunk is how many bytes of sums are asked for at once: the memory taken
// never runs ahead of what has arrived by more than twice that plus the growth
// of a slice.
const readChunk = 64 << 10

// Read checks the header h, reads the sums that follow it from r and replaces
// the contents of s by them. The arguments protocol and digest are those of
// Head.Validate. After an error s is an empty basis.
func (s *Sums) Read(r Reader, h Head, protocol, digest int) error {
	s.Head, s.sum1, s.sum2 = Head{}, s.sum1[:0], s.sum2[:0]
	if err := h.Validate(protocol, digest); err != nil {
		return err
	}
	entry := 4 + int(h.S2Len)
	perChunk := readChunk / entry
	for left := int(h.Count); left > 0; {
		n := min(left, perChunk)
		if err := s.readSome(r, n, entry); err != nil {
			return fmt.Errorf("block sums: %d of %d: %w", len(s.sum1), h.Count, err)
		}
		left -= n
	}
	s.Head = h
	return nil
}

// readSome reads n sums of entry bytes each.
func (s *Sums) readSome(r Reader, n, entry int) error {
	if cap(s.raw) < n*entry {
		s.raw = make([]byte, n*entry)
	}
	raw := s.raw[:n*entry]
	if err := r.ReadFull(raw); err != nil {
		return err
	}
	for ; len(raw) > 0; raw = raw[entry:] {
		s.sum1 = append(s.sum1, binary.LittleEndian.Uint32(raw))
		s.sum2 = append(s.sum2, raw[4:entry]...)
	}
	return nil
}

// strong returns the strong sum of block n.
func (s *Sums) strong(n int) []byte {
	size := int(s.S2Len)
	return s.sum2[n*size : (n+1)*size]
}
