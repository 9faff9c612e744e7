package delta

import (
	"encoding/binary"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

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
// buffers: 256 KiB, or one block if that is longer, twice for a large file. The
// zero value is ready.
type Signer struct {
	own, helper signing
}

const (
	// signRead is how many bytes of a basis are read at a time, about.
	signRead = 256 << 10
	// signPart is how many bytes of a large basis, about, a goroutine sums before
	// it takes the next part; one of shorter blocks has signCount of them.
	signPart  = 4 << 20
	signCount = 8 << 10
	// signAhead is how many parts may wait for those before them.
	signAhead = 2
)

// Sign reads the basis that h describes from src and writes its sums, as in
// Sums, to w. A large one is read by two goroutines, which both have ended when
// Sign returns. A *SourceError says that src failed or ended early: zeros stand
// for what could not be read, and the sums are complete. Any other error is that
// of w.
func (s *Signer) Sign(w io.Writer, src io.ReaderAt, h Head, strong *checksum.Blocks) error {
	if h.BlockLen == 0 {
		return nil
	}
	s.own.begin(src, h, strong)
	defer s.own.end()
	part := max(min(signPart/int(h.BlockLen), signCount), 1)
	var err error
	if int(h.Count) <= part || runtime.GOMAXPROCS(0) == 1 {
		err = s.alone(w)
	} else {
		s.helper.begin(src, h, strong.Another())
		defer s.helper.end()
		err = s.together(w, part)
	}
	if failed := s.failed(); err == nil && failed != nil {
		return failed
	}
	return err
}

// failed is the first failure to read the basis.
func (s *Signer) failed() *SourceError {
	first, second := s.own.failed, s.helper.failed
	if first == nil || second != nil && second.Offset < first.Offset {
		return second
	}
	return first
}

// alone signs all of the basis, a read at a time.
func (s *Signer) alone(w io.Writer) error {
	some := s.own.perRead()
	for from := 0; from < int(s.own.head.Count); from += some {
		s.own.sums = s.own.sign(s.own.sums[:0], from, some)
		if _, err := w.Write(s.own.sums); err != nil {
			return err
		}
	}
	return nil
}

// together signs the basis in parts. This goroutine and a helper take one after
// the other, as they are ready for it; the helper is ahead by a few at most.
func (s *Signer) together(w io.Writer, part int) error {
	parts := (int(s.own.head.Count) + part - 1) / part
	var taken atomic.Int64
	take := func() int { return int(taken.Add(1)) - 1 }
	theirs, used := make(chan []byte, signAhead), make(chan []byte, signAhead+2)
	stop := make(chan struct{})
	var helper sync.WaitGroup
	defer helper.Wait()
	defer close(stop)
	helper.Go(func() {
		for n := take(); n < parts; n = take() {
			var sums []byte
			select {
			case sums = <-used:
			default:
			}
			select {
			case theirs <- s.helper.sign(sums[:0], n*part, part):
			case <-stop:
				return
			}
		}
	})
	for written := 0; written < parts; written++ {
		n := min(take(), parts)
		if n < parts {
			s.own.sums = s.own.sign(s.own.sums[:0], n*part, part)
		}
		for ; written < n; written++ { // those that the helper took before
			sums := <-theirs
			if _, err := w.Write(sums); err != nil {
				return err
			}
			used <- sums
		}
		if n == parts {
			break
		}
		if _, err := w.Write(s.own.sums); err != nil {
			return err
		}
	}
	return nil
}

// signing is what one goroutine needs to sign a basis.
type signing struct {
	src    io.ReaderAt
	head   Head
	strong *checksum.Blocks
	failed *SourceError // the first
	data   []byte
	sums   []byte // for whoever calls sign
}

func (s *signing) begin(src io.ReaderAt, h Head, strong *checksum.Blocks) {
	s.src, s.head, s.strong, s.failed = src, h, strong, nil
	if need := s.perRead() * int(h.BlockLen); cap(s.data) < need {
		s.data = make([]byte, need)
	}
}

func (s *signing) end() { s.src, s.strong, s.failed = nil, nil, nil }

// perRead is how many blocks are read at a time.
func (s *signing) perRead() int { return max(signRead/int(s.head.BlockLen), 1) }

// sign appends the sums of some blocks.
func (s *signing) sign(sums []byte, from, some int) []byte {
	for to := min(from+some, int(s.head.Count)); from < to; {
		n := min(to-from, s.perRead())
		at, _ := s.head.Block(from)
		last, length := s.head.Block(from + n - 1)
		data := s.data[:last+int64(length)-at]
		s.read(data, at)
		sums = appendSums(sums, data, s.head, s.strong)
		from += n
	}
	return sums
}

// read fills p from an offset of the basis, or with zeros from the first failure
// on.
func (s *signing) read(p []byte, at int64) {
	got := 0
	if s.failed == nil {
		var err error
		if got, err = s.src.ReadAt(p, at); got < len(p) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			s.failed = &SourceError{Offset: at + int64(got), Err: err}
		}
	}
	clear(p[got:])
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
