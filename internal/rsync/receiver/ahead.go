package receiver

// Bounds of reading ahead of what is written.
const (
	aheadFrom    = 1 << 20   // bytes of blocks in a chunk, for less it does not pay
	aheadBuffer  = 512 << 10 // bytes
	aheadBuffers = 3
)

// piece is some of a file, in order: bytes of a chunk or of the basis.
type piece struct {
	data    []byte
	at      int64 // offset in the basis
	literal bool
}

// applyAhead writes while another goroutine reads the basis and computes the
// digest, which is a third of the work. In place it would not do, what is
// written being the basis.
func (b *build) applyAhead(c *chunk) error {
	if b.free == nil {
		b.free = make(chan []byte, aheadBuffers)
		for range aheadBuffers {
			b.free <- make([]byte, aheadBuffer)
		}
	}
	pieces := make(chan piece, 1)
	go func() {
		defer close(pieces)
		b.pieces(c, pieces)
	}()
	var err error
	for p := range pieces { // to the end, which is that of the goroutine
		switch {
		case err != nil:
		case p.literal:
			_, err = b.out.Write(p.data)
		default:
			err = b.out.Match(p.data, p.at)
		}
		if !p.literal {
			b.free <- p.data[:aheadBuffer]
		}
	}
	if err != nil {
		return b.writeError(err)
	}
	if b.m.ctx.Err() != nil {
		return errStopped
	}
	return nil
}

// pieces reads what a chunk stands for, until the session ends.
func (b *build) pieces(c *chunk, to chan<- piece) {
	literals := c.buf
	for _, s := range c.segments {
		if s.blocks == 0 {
			b.hash.Write(literals[:s.literal])
			to <- piece{data: literals[:s.literal], literal: true}
			literals = literals[s.literal:]
			continue
		}
		at, _ := b.job.head.Block(s.first)
		for left := runSize(b.job.head, s.first, s.blocks); left > 0 && b.m.ctx.Err() == nil; {
			p := (<-b.free)[:min(left, aheadBuffer)]
			b.readBasis(p, at)
			b.hash.Write(p)
			to <- piece{data: p, at: at}
			at += int64(len(p))
			left -= int64(len(p))
		}
	}
}
