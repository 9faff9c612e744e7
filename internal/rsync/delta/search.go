package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"lockstep/internal/rsync/checksum"
)

// Sink takes what Search finds, in the order of the file. The slices it is
// handed are valid during the call only. An error ends the search.
type Sink interface {
	// Literal takes bytes that the basis does not have; they may come in any
	// number of pieces.
	Literal(p []byte) error
	// Block says that the next bytes of the file, which are data, are block n of
	// the basis.
	Block(n int, data []byte) error
}

// Result counts what a search has emitted, in bytes of the file, and how often
// the rolling sum of a block was met, and was so by chance.
type Result struct {
	Literal, Matched int64
	Hits, Alarms     int
}

// ErrShrank says that a file ended before the size it was listed with.
var ErrShrank = errors.New("file has become shorter while it was read")

// SourceError is a failure to read the searched file. The search has gone on
// nevertheless, with zeros in place of what could not be read, so that the
// stream is complete; the digest that follows it must be spoiled (1.5).
type SourceError struct {
	Offset int64 // of the first byte that is missing
	Err    error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("read at offset %d: %v", e.Offset, e.Err)
}

func (e *SourceError) Unwrap() error { return e.Err }

const (
	// chunk is how many bytes are read at a time: small enough to be hashed and
	// searched while they are in the processor's cache.
	chunk = 256 << 10
	// maxSearchBlock is the longest block that is searched for, which bounds the
	// window. Longer ones, which protocols before 30 allow and only an odd
	// --block-size brings about, are not found; the file is sent whole.
	maxSearchBlock = 16 << 20
	// maxCandidates is how many blocks are compared at one offset, so that a
	// basis of blocks with one rolling sum costs no more than that.
	maxCandidates = 1024
	// maxVain is how many bytes are hashed in vain, for each byte of the file,
	// because a rolling sum was right and the strong sum was not. Chance stays
	// far below it; a peer that makes up sums could otherwise have a block
	// hashed at every byte. Past it the rest of the file is sent as it is.
	maxVain = 128
)

// Searcher searches files one after the other with the same buffers. The zero
// value is ready.
type Searcher struct {
	// InPlace says that the receiver overwrites its basis while it is sent the
	// file: only blocks that are still there are used.
	InPlace bool

	buf    []byte
	index  index
	digest [checksum.MaxSize]byte
}

// Search reads size bytes from src, writes them to hash, and tells sink which
// of them are blocks of the basis that sums describes and what the rest is.
// strong must compute the sums as the peer did.
//
// A *SourceError says that src failed or ended early; everything else that
// Search does has been done nevertheless. Any other error is the sink's.
func (s *Searcher) Search(src io.Reader, size int64, sums *Sums, strong *checksum.Blocks, hash io.Writer, sink Sink) (Result, error) {
	w := search{
		src: src, hash: hash, sink: sink, sums: sums, index: &s.index, strong: strong,
		remain: size, block: int(sums.BlockLen), digest: s.digest[:0], vain: min(size, 1<<50) * maxVain,
	}
	if sums.Count == 0 || w.block > maxSearchBlock {
		w.block = 0
	} else {
		whole := sums.sum1[:sums.whole()]
		s.index.build(whole)
		defer s.index.empty(whole)
	}
	if s.InPlace {
		w.rule = &inPlace{block: int64(w.block)}
	}
	w.buf = s.window(size, w.block)
	err := w.run()
	if err == nil && w.failed != nil {
		err = w.failed
	}
	return w.result, err
}

// window returns a buffer for blocks of that length.
func (s *Searcher) window(size int64, block int) []byte {
	want := int(min(int64(block+max(chunk, block)), size))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	return s.buf[:want]
}

// search is one run. The window buf[:have] holds the file from offset base on.
type search struct {
	src    io.Reader
	hash   io.Writer
	sink   Sink
	sums   *Sums
	index  *index
	strong *checksum.Blocks
	digest []byte // scratch
	block  int    // block length; 0 if nothing is searched for

	buf    []byte
	have   int
	base   int64
	remain int64 // bytes of the file that are not in the window yet
	failed *SourceError

	pos      int   // in buf: what lies before has been matched or cannot be
	lit      int   // in buf: start of the bytes that have not been emitted, <= pos
	expected int   // the block after the last match
	vain     int64 // bytes that may still be hashed for nothing
	rule     *inPlace
	result   Result
}

func (w *search) run() error {
	if w.block == 0 {
		return w.copyRest()
	}
	for w.vain >= 0 {
		if err := w.refill(); err != nil {
			return err
		}
		if w.have-w.pos < w.block {
			return w.finish()
		}
		if err := w.searchWindow(); err != nil {
			return err
		}
	}
	return w.copyRest()
}

// copyRest emits what is left of the file as literals.
func (w *search) copyRest() error {
	for w.remain > 0 {
		w.pos = w.have
		if err := w.refill(); err != nil {
			return err
		}
	}
	w.pos = w.have
	return w.emitLiteral()
}

// refill emits the literals before pos, moves the rest of the window to its
// front and fills it up.
func (w *search) refill() error {
	if w.remain == 0 {
		return nil
	}
	if err := w.emitLiteral(); err != nil {
		return err
	}
	w.have = copy(w.buf, w.buf[w.pos:w.have])
	w.base += int64(w.pos)
	w.pos, w.lit = 0, 0

	n := int(min(w.remain, int64(len(w.buf)-w.have)))
	p := w.buf[w.have : w.have+n]
	w.read(p)
	w.have += n
	w.remain -= int64(n)
	_, err := w.hash.Write(p)
	return err
}

// read fills p from the file, or with zeros from the first failure on.
func (w *search) read(p []byte) {
	got := 0
	if w.failed == nil {
		var err error
		got, err = io.ReadFull(w.src, p)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrShrank
		}
		if err != nil {
			w.failed = &SourceError{Offset: w.base + int64(w.have+got), Err: err}
		}
	}
	clear(p[got:])
}

// searchWindow emits matches until less than a block is left of the window.
func (w *search) searchWindow() error {
	if len(w.index.next) == 0 { // nothing but a short last block
		w.pos = w.have - w.block + 1
		return nil
	}
	block := uint32(w.block)
	sum := checksum.Start(checksum.Sum1(w.buf[w.pos : w.pos+w.block]))
	for {
		if n := w.find(sum.Sum()); n >= 0 {
			if err := w.emitBlock(n, w.block); err != nil {
				return err
			}
			if w.have-w.pos < w.block {
				return nil
			}
			sum = checksum.Start(checksum.Sum1(w.buf[w.pos : w.pos+w.block]))
			continue
		}
		out, in := w.buf[w.pos:w.have-w.block], w.buf[w.pos+w.block:w.have]
		var rolled int
		var hit bool
		sum, rolled, hit = w.index.known.scan(sum, out, in, block)
		w.pos += rolled
		if !hit {
			w.pos++
			return nil
		}
		if w.vain < 0 {
			return nil
		}
	}
}

// find returns the block that equals the one at pos, whose rolling sum is sum;
// -1 if there is none. It prefers the block after the last match, then the block
// at the same offset of the basis, then the first; in place, the block at the
// same offset comes before all.
func (w *search) find(sum uint32) int {
	s := w.sums
	whole := len(w.index.next)
	offset := w.base + int64(w.pos)
	w.digest = w.digest[:0]
	if w.rule != nil {
		if n := w.aligned(sum, offset); n >= 0 {
			return n
		}
	}
	if n := w.expected; n < whole && s.sum1[n] == sum && w.rule.usable(n, offset) && w.equal(n) {
		w.result.Hits++
		return n
	}
	tried := 0
	n := w.index.first(sum)
	for ; n >= 0 && s.sum1[n] != sum; n = w.index.next[n] {
		if tried++; tried == maxCandidates {
			return -1
		}
	}
	if n < 0 {
		return -1
	}
	w.result.Hits++
	if n := w.aligned(sum, offset); n >= 0 {
		return n
	}
	for ; n >= 0 && tried < maxCandidates; n = w.index.next[n] {
		if s.sum1[n] == sum && w.rule.usable(int(n), offset) && w.equal(int(n)) {
			return int(n)
		}
		tried++
	}
	w.result.Alarms++
	w.vain -= int64(w.block)
	return -1
}

// aligned is the block at that offset of the basis if it equals the one at pos,
// else -1.
func (w *search) aligned(sum uint32, offset int64) int {
	n := offset / int64(w.block)
	if offset%int64(w.block) == 0 && n < int64(len(w.index.next)) && w.sums.sum1[n] == sum && w.equal(int(n)) {
		return int(n)
	}
	return -1
}

// equal compares the strong sum of the block at pos with that of block n.
func (w *search) equal(n int) bool {
	if len(w.digest) == 0 {
		w.digest = w.strong.Sum(w.digest, w.buf[w.pos:w.pos+w.block])
	}
	want := w.sums.strong(n)
	return bytes.Equal(w.digest[:len(want)], want)
}

// finish ends the search with less than a block at pos: the basis's short last
// block may match there, and only at the end of the file (3.8).
func (w *search) finish() error {
	last := int(w.sums.Count) - 1
	short := int(w.sums.Remainder)
	if last >= len(w.index.next) && w.have-short >= w.lit && w.rule.usable(last, w.base+int64(w.have-short)) {
		tail := w.have - short
		data := w.buf[tail:w.have]
		sum2 := w.strong.Sum(w.digest[:0], data)
		want := w.sums.strong(last)
		if checksum.Sum1(data) == w.sums.sum1[last] && bytes.Equal(sum2[:len(want)], want) {
			w.pos = tail
			w.result.Hits++
			return w.emitBlock(last, short)
		}
	}
	w.pos = w.have
	return w.emitLiteral()
}

// emitBlock emits the bytes before pos and the block n at pos.
func (w *search) emitBlock(n, size int) error {
	if err := w.emitLiteral(); err != nil {
		return err
	}
	data := w.buf[w.pos : w.pos+size]
	w.rule.found(n, w.base+int64(w.pos))
	w.pos += size
	w.lit = w.pos
	w.expected = n + 1
	w.result.Matched += int64(size)
	return w.sink.Block(n, data)
}

// emitLiteral emits the bytes before pos that have not been.
func (w *search) emitLiteral() error {
	if w.lit == w.pos {
		return nil
	}
	p := w.buf[w.lit:w.pos]
	w.lit = w.pos
	w.result.Literal += int64(len(p))
	return w.sink.Literal(p)
}
