package compress

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"lockstep/internal/rsync/wire"
)

// errSync is what a section is that does not end at a sync flush.
var errSync = fmt.Errorf("decompressor lost sync: %w", wire.ErrStream)

// sectionTail follows every section of deflate data: what the sender took away
// from the sync flush, and an empty last block. With the latter an inflater
// which did not come to the border of a block at the end of the section shows.
const sectionTail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// inflater reads what deflater writes. A new inflater begins every section,
// primed with the history, which is 32 KiB to copy.
type inflater struct {
	in     *section
	insert bool // zlib: matched blocks are history
	repeat bool // protocol < 31: every piece of a long block is its start
	open   bool // a section is being read
	tail   int  // bytes of sectionTail used
	state  *inflateState
}

type inflateState struct {
	z    io.ReadCloser
	buf  *bufio.Reader
	hist history

	// Of the block that is being seen, with repeat.
	head []byte // its first maxInsert bytes
	seen int    // bytes so far
}

// inflateBuffer is the size of an inflater's input buffer in bytes.
const inflateBuffer = 16 << 10

var inflateStates = sync.Pool{New: func() any {
	s := &inflateState{buf: bufio.NewReaderSize(nil, inflateBuffer)}
	s.z = flate.NewReader(s.buf)
	return s
}}

func newInflater(in *section, insert bool, protocol int) *inflater {
	return &inflater{in: in, insert: insert, repeat: protocol < 31, state: inflateStates.Get().(*inflateState)}
}

func (f *inflater) start() {
	f.open = false
	f.state.hist.reset()
	f.state.head, f.state.seen = f.state.head[:0], 0
}

func (f *inflater) read(p []byte) (int, error) {
	s := f.state
	if !f.open {
		f.open, f.tail = true, 0
		s.buf.Reset(inflaterInput{f})
		if err := s.z.(flate.Resetter).Reset(s.buf, s.hist.last()); err != nil {
			return 0, err
		}
	}
	for {
		n, err := s.z.Read(p)
		if n > 0 {
			s.hist.add(p[:n])
			return n, nil
		}
		if err != nil {
			f.open = false
			return 0, f.ended(err)
		}
	}
}

// ended judges how the inflater came to an end: io.EOF after exactly the
// section and its tail.
func (f *inflater) ended(err error) error {
	spent := f.tail == len(sectionTail) && f.state.buf.Buffered() == 0
	switch {
	case err == io.EOF && spent:
		return io.EOF
	case err == io.EOF, err == io.ErrUnexpectedEOF && spent:
		return errSync
	}
	return f.in.blame("inflate", err)
}

// inflaterInput is a section with its tail.
type inflaterInput struct{ f *inflater }

func (i inflaterInput) Read(p []byte) (int, error) {
	n, err := i.f.in.Read(p)
	if err != io.EOF {
		return n, err
	}
	n = copy(p, sectionTail[i.f.tail:])
	i.f.tail += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *inflater) see(p []byte, end bool) {
	s := f.state
	if !f.insert {
		return
	}
	if !f.repeat {
		s.hist.add(p)
		return
	}
	s.seen += len(p)
	s.head = append(s.head, p[:min(len(p), maxInsert-len(s.head))]...)
	if !end {
		return
	}
	for s.seen > 0 {
		n := min(s.seen, maxInsert)
		s.hist.add(s.head[:n])
		s.seen -= n
	}
	s.head = s.head[:0]
}

func (f *inflater) close() {
	f.state.buf.Reset(nil)
	inflateStates.Put(f.state)
	f.state = nil
}
