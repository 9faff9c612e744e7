package receiver

import (
	"io"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/option"
)

// Bounds of a chunk.
const (
	chunkSize   = 256 << 10 // bytes of literals
	maxSegments = 4096
	maxMatched  = 8 << 20 // bytes of blocks, after which the worker is to begin
)

// segment is a part of a file: literal bytes of its chunk, or a run of blocks.
type segment struct {
	literal       int
	first, blocks int
}

// chunk is a piece of a file as it was received.
type chunk struct {
	buf      []byte
	n        int // literal bytes in buf
	segments []segment
	matched  int64

	last   bool // the file has ended: digest is the sender's
	broken bool // the stream has ended
	digest [checksum.MaxSize]byte
}

// newChunk returns a chunk with room for so many literal bytes and one more, as
// far as a chunk may have that.
func newChunk(size int64) *chunk {
	return &chunk{buf: getBuffer(min(max(size, 0), chunkSize-1) + 1)}
}

func (c *chunk) full() bool {
	return c.n == len(c.buf) || len(c.segments) >= maxSegments || c.matched >= maxMatched
}

// addLiteral adds the n bytes that were put behind the others.
func (c *chunk) addLiteral(n int) {
	c.n += n
	if k := len(c.segments); k > 0 && c.segments[k-1].blocks == 0 {
		c.segments[k-1].literal += n
		return
	}
	c.segments = append(c.segments, segment{literal: n})
}

// addRun adds a run of blocks with so many bytes.
func (c *chunk) addRun(first, blocks int, size int64) {
	c.matched += size
	if k := len(c.segments); k > 0 {
		if s := &c.segments[k-1]; s.blocks > 0 && s.first+s.blocks == first {
			s.blocks += blocks
			return
		}
	}
	c.segments = append(c.segments, segment{first: first, blocks: blocks})
}

// gather reads the tokens of a file and hands them over in chunks.
type gather struct {
	m     *run
	job   *job
	chunk *chunk
	seen  *seer
	begun bool // the worker has the job
}

// read reads to the end of the file, its digest included.
func (g *gather) read() error {
	m := g.m
	tells, at := m.params.Opt.Debugs(option.DebugDeltasum, option.DebugBlocks), g.job.skip
	for {
		if g.chunk.full() {
			if err := g.hand(); err != nil {
				return err
			}
		}
		c := g.chunk
		t, err := m.tokens.Next(c.buf[c.n:])
		if err != nil {
			return err
		}
		if t.End() {
			if err := m.r.ReadFull(m.digest()); err != nil {
				return err
			}
			c.last = true
			copy(c.digest[:], m.digest())
			return g.hand()
		}
		m.meter.begin()
		size := int64(len(t.Literal))
		if t.Blocks > 0 {
			size = runSize(g.job.head, t.First, t.Blocks)
			g.seen.run(t.First, t.Blocks)
			c.addRun(t.First, t.Blocks, size)
		} else {
			c.addLiteral(len(t.Literal))
		}
		m.meter.add(size)
		if tells {
			g.narrate(t.First, t.Blocks, len(t.Literal), at)
			at += size
		}
	}
}

// hand gives the chunk to the worker, and if it is not the last one takes a new
// one.
func (g *gather) hand() error {
	c := g.chunk
	if !g.begun {
		g.begun = true
		g.job.first = c
		if !c.last {
			g.job.more = make(chan *chunk, chunksAhead)
		}
		g.m.workers.add(g.job)
	} else {
		select {
		case g.job.more <- c:
		case <-g.m.ctx.Done():
			return g.m.ctx.Err()
		}
	}
	if g.chunk = nil; !c.last {
		g.chunk = newChunk(chunkSize)
	}
	return nil
}

// broken hands over what has come of a file that will not be complete.
func (g *gather) broken() {
	if !g.begun {
		if g.chunk.n > 0 && g.m.params.keepsPartial() {
			g.chunk.broken = true
			g.job.first = g.chunk
			g.m.workers.add(g.job)
		}
		return
	}
	if g.job.more == nil {
		return // the file is complete
	}
	if g.chunk != nil { // the worker takes all, whatever has happened
		g.chunk.broken = true
		g.job.more <- g.chunk
	}
	close(g.job.more)
}

// runSize is how many bytes a run of blocks has.
func runSize(h delta.Head, first, blocks int) int64 {
	from, _ := h.Block(first)
	to, n := h.Block(first + blocks - 1)
	return to + int64(n) - from
}

// seer shows matched blocks to a decoder that needs them for what follows.
type seer struct {
	tokens compress.Decoder
	head   delta.Head
	basis  io.ReaderAt // nil: nobody can read it
	buf    []byte
}

// seeSize is how much of a block is shown at a time.
const seeSize = 64 << 10

func newSeer(tokens compress.Decoder, head delta.Head, basis io.ReaderAt) *seer {
	return &seer{tokens: tokens, head: head, basis: basis}
}

// run shows the blocks of a run. What cannot be read is shown as zeros: the
// digest will be wrong then, and the stream can be followed all the same.
func (s *seer) run(first, blocks int) {
	if !s.tokens.Sees() {
		return
	}
	if s.buf == nil {
		s.buf = make([]byte, min(seeSize, int(s.head.BlockLen)))
	}
	for n := first; n < first+blocks; n++ {
		at, left := s.head.Block(n)
		for left > 0 {
			p := s.buf[:min(left, len(s.buf))]
			got := 0
			if s.basis != nil {
				got, _ = s.basis.ReadAt(p, at)
			}
			clear(p[got:])
			left -= len(p)
			at += int64(len(p))
			s.tokens.See(p, left == 0)
		}
	}
}
