package delta

import (
	"encoding/binary"
	"errors"
	"io"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/wire"
)

// Choice says how a basis file is to be described to the sender.
type Choice struct {
	Protocol int
	Digest   int   // bytes of the transfer's strong sum
	Block    int32 // --block-size, at most MaxBlock or MaxBlockOld; 0 is the length that fits the file
	Full     bool  // strong sums of full length: in a redo
}

// Head returns the sum header for a basis file of size bytes (2.1, 2.2). ok is
// false for a file of more blocks than an int32 counts: its header is zero.
func (c Choice) Head(size int64) (h Head, ok bool) {
	block := int64(c.Block)
	if block == 0 {
		block = blockLen(size, c.Protocol)
	}
	count := (size + block - 1) / block
	if count > maxCount {
		return Head{}, false
	}
	strong := longSum
	if !c.Full {
		strong = strongLen(size, block)
	}
	if size == 0 {
		return Head{}, true
	}
	return Head{
		Count:     int32(count),
		BlockLen:  int32(block),
		S2Len:     int32(min(strong, longSum, c.Digest)),
		Remainder: int32(size % block),
	}, true
}

// Write writes the header to the peer.
func (h Head) Write(w *wire.Writer) {
	for _, v := range [...]int32{h.Count, h.BlockLen, h.S2Len, h.Remainder} {
		w.Int(v)
	}
}

// ReadHead reads a header, which is still to be checked.
func ReadHead(r *wire.Reader) (h Head, err error) {
	for _, field := range [...]*int32{&h.Count, &h.BlockLen, &h.S2Len, &h.Remainder} {
		if *field, err = r.Int(); err != nil {
			return Head{}, err
		}
	}
	return h, nil
}

// Block returns where block n lies in the basis and how long it is.
func (h Head) Block(n int) (offset int64, length int) {
	length = int(h.BlockLen)
	if n == int(h.Count)-1 && h.Remainder != 0 {
		length = int(h.Remainder)
	}
	return int64(n) * int64(h.BlockLen), length
}

// Signer computes the sums of basis files, one after the other, with the same
// buffers: 256 KiB, or one block if that is longer. The zero value is ready.
type Signer struct {
	data []byte
	sums []byte
}

// signRead is how many bytes of a basis are read at a time, about.
const signRead = 256 << 10

// Sign reads the basis that h describes from src and writes its sums, as in
// Sums, to w. A *SourceError says that src failed or ended early: zeros stand
// for what could not be read, and the sums are complete. Any other error is
// that of w.
func (s *Signer) Sign(w io.Writer, src io.Reader, h Head, strong *checksum.Blocks) error {
	block := int(h.BlockLen)
	if block == 0 {
		return nil
	}
	if need := max(signRead/block, 1) * block; cap(s.data) < need {
		s.data = make([]byte, need)
	}
	var failed error
	offset, left := int64(0), h.Size()
	for left > 0 {
		part := s.data[:min(left, int64(max(signRead/block, 1)*block))]
		if failed == nil {
			n, err := io.ReadFull(src, part)
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				failed = &SourceError{Offset: offset + int64(n), Err: err}
				clear(part[n:])
			}
		} else {
			clear(part)
		}
		offset += int64(len(part))
		left -= int64(len(part))
		s.sums = appendSums(s.sums[:0], part, h, strong)
		if _, err := w.Write(s.sums); err != nil {
			return err
		}
	}
	return failed
}

// appendSums appends the sums of the blocks in data.
func appendSums(dst, data []byte, h Head, strong *checksum.Blocks) []byte {
	for len(data) > 0 {
		n := min(int(h.BlockLen), len(data))
		dst = binary.LittleEndian.AppendUint32(dst, checksum.Sum1(data[:n]))
		end := len(dst) + int(h.S2Len)
		dst = strong.Sum(dst, data[:n])[:end]
		data = data[n:]
	}
	return dst
}
