package compress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"lockstep/internal/rsync/wire"
)

// Token is one step of a file: literal bytes, or a run of blocks of the basis.
// The zero Token ends the file.
type Token struct {
	// Literal is in the buffer that was passed to Next.
	Literal []byte
	// First and Blocks are a run of blocks: First, First+1, … Blocks of them.
	First, Blocks int
}

// End reports whether t ends the file's tokens.
func (t Token) End() bool { return t.Literal == nil && t.Blocks == 0 }

// Decoder reads the token streams of a session's files, one after the other: per
// file a Start, then Next until the zero Token. Every number has been checked:
// blocks are those of the basis, and a literal is never longer than the buffer
// passed, however much it grows when unpacked. Errors wrap wire.ErrStream, are a
// *BlockError, or are the stream's. After one the Decoder is only good for Close.
type Decoder interface {
	// Start begins a file whose basis has so many blocks.
	Start(blocks int)
	// Next returns what comes next. A literal is delivered in pieces of 1 to
	// len(buf) bytes.
	Next(buf []byte) (Token, error)
	// See takes the contents of a block, in one piece or several; end tells the
	// last one. It is to be called for every block of a run, in order, before
	// the next Next, if Sees says so. Blocks whose contents nobody has may be any
	// bytes of the same number, if the file's contents do not matter.
	See(p []byte, end bool)
	// Sees tells whether blocks need to be shown to the Decoder.
	Sees() bool
	// Taken is how many bytes of the stream belonged to the file so far.
	Taken() int64
	// Close gives the memory back.
	Close()
}

// BlockError says that a token stood for a block that the basis does not have.
type BlockError struct {
	Index int64
	Count int
}

func (e *BlockError) Error() string {
	return fmt.Sprintf("Invalid block index %d (count=%d)", e.Index, e.Count)
}

// NewDecoder returns a Decoder that reads from r. Of o it needs no Level.
func NewDecoder(r *wire.Reader, o Options) (Decoder, error) {
	switch o.Method {
	case None:
		return &unplain{source: &source{r: r}}, nil
	case Zlib, Zlibx, Zstd, LZ4:
		return newUnpacker(&source{r: r}, o)
	}
	return nil, fmt.Errorf("compress: unknown method %d", o.Method)
}

// run checks a run of blocks.
func run(first, blocks int64, count int) (Token, error) {
	if first < 0 || first >= int64(count) {
		return Token{}, &BlockError{Index: first, Count: count}
	}
	if last := first + blocks - 1; last >= int64(count) {
		return Token{}, &BlockError{Index: last, Count: count}
	}
	return Token{First: int(first), Blocks: int(blocks)}, nil
}

// source is the stream. All that is read from it belongs to a file: its end is
// never expected.
type source struct {
	r     *wire.Reader
	taken int64 // bytes of the file under way
}

func (s *source) Taken() int64 { return s.taken }

func (s *source) byte() (byte, error) {
	s.taken++
	b, err := s.r.Byte()
	return b, cut(err)
}

func (s *source) full(p []byte) error {
	s.taken += int64(len(p))
	return cut(s.r.ReadFull(p))
}

// cut is the error of a stream that ends within a file.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unplain reads tokens that are not compressed; see plain for their form.
type unplain struct {
	*source
	count   int
	left    int32 // bytes of the literal run that were not delivered
	scratch [4]byte
}

func (d *unplain) Start(blocks int) { d.count, d.left, d.taken = blocks, 0, 0 }

func (d *unplain) Next(buf []byte) (Token, error) {
	if d.left == 0 {
		if err := d.full(d.scratch[:]); err != nil {
			return Token{}, err
		}
		v := int32(binary.LittleEndian.Uint32(d.scratch[:]))
		if v == 0 {
			return Token{}, nil
		}
		if v < 0 {
			return run(-(int64(v) + 1), 1, d.count)
		}
		d.left = v
	}
	n := min(int(d.left), len(buf))
	if err := d.full(buf[:n]); err != nil {
		return Token{}, err
	}
	d.left -= int32(n)
	return Token{Literal: buf[:n]}, nil
}

func (d *unplain) See([]byte, bool) {}

func (d *unplain) Sees() bool { return false }

func (d *unplain) Close() {}
