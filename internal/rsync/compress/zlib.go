package compress

import (
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflater writes raw deflate data, reset for each file, in sections that end
// with a sync flush whose last four bytes are not sent (3.3).
//
// With zlib the receiver adds the contents of matched blocks to its history. We
// cannot add to our compressor's history without output, so a section that
// follows a block begins with a compressor primed with the last 32 KiB of what
// the receiver has seen. Zlibx needs none of that: its history is the literals.
type deflater struct {
	packets packets
	insert  bool // zlib: matched blocks are history
	repeat  bool // protocol < 31: every piece of a long block is its start
	pool    *sync.Pool
	state   *deflateState

	primed bool // the compressor's history is the receiver's
}

type deflateState struct {
	w    *flate.Writer
	out  buffer
	hist history
}

// deflatePools is indexed by level.
var deflatePools [10]sync.Pool

func newDeflater(k packets, insert bool, level, protocol int) *deflater {
	d := &deflater{packets: k, insert: insert, repeat: protocol < 31, pool: &deflatePools[level]}
	d.state, _ = d.pool.Get().(*deflateState)
	if d.state == nil {
		w, err := flate.NewWriter(nil, level)
		if err != nil {
			panic("compress: flate refuses a level in range: " + err.Error())
		}
		d.state = &deflateState{w: w}
	}
	d.state.out = d.state.out[:0]
	d.state.hist.reset()
	return d
}

func (d *deflater) literal(p []byte) error {
	s := d.state
	if !d.primed {
		s.w.ResetDict(&s.out, s.hist.last())
		d.primed = true
	}
	if d.insert {
		s.hist.add(p)
	}
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	out, err := d.packets.writeFull(s.out)
	s.out = out
	return err
}

// syncTail is how many bytes of a sync flush the receiver adds itself: 00 00 ff
// ff.
const syncTail = 4

func (d *deflater) flush() error {
	s := d.state
	if err := s.w.Flush(); err != nil {
		return err
	}
	out := s.out[:len(s.out)-syncTail]
	s.out = s.out[:0]
	return d.packets.write(out)
}

// maxInsert is the longest stored block of deflate: a receiver adds longer
// blocks to its history in pieces of that length.
const maxInsert = 65535

func (d *deflater) block(data []byte) {
	if !d.insert {
		return
	}
	d.primed = false
	d.state.hist.insert(data, d.repeat)
}

func (d *deflater) end() {
	d.primed = false
	d.state.hist.reset()
}

func (d *deflater) close() {
	d.pool.Put(d.state)
	d.state = nil
}

// windowSize is deflate's: references reach that far back.
const windowSize = 32 << 10

// history keeps the last 32 KiB of a stream. The zero value is empty.
type history struct {
	buf [2 * windowSize]byte
	n   int
}

func (h *history) reset() { h.n = 0 }

// last returns the bytes kept, valid until the next add.
func (h *history) last() []byte { return h.buf[max(0, h.n-windowSize):h.n] }

// add appends p. It moves bytes only once in 32 KiB.
func (h *history) add(p []byte) {
	if len(p) > windowSize {
		p = p[len(p)-windowSize:]
	}
	if h.n+len(p) > len(h.buf) {
		h.n = copy(h.buf[:], h.last())
	}
	h.n += copy(h.buf[h.n:], p)
}

// insert adds a matched block as a receiver does. With repeat every piece of a
// block that is too long for one stored block is the start of the block.
func (h *history) insert(block []byte, repeat bool) {
	for rest := block; len(rest) > 0; {
		n := min(len(rest), maxInsert)
		if repeat {
			h.add(block[:n])
		} else {
			h.add(rest[:n])
		}
		rest = rest[n:]
	}
}
