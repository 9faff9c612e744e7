package compress

import (
	"sync"

	"github.com/pierrec/lz4/v4"
)

// lz4Input is how many bytes go into one lz4 block. The reference takes 16383
// and halves it when the result is too long for a packet; this much fits even
// when nothing could be compressed (lz4 grows by 1/255 and 16 bytes at most).
const lz4Input = 16256

// lz4Blocks makes one packet of every 16256 bytes of literals and of what is
// left at a flush (3.5).
type lz4Blocks struct {
	packets packets
	*lz4State
}

type lz4State struct {
	compressor lz4.Compressor
	in         []byte
	out        [maxPacket]byte
}

var lz4States = sync.Pool{New: func() any {
	return &lz4State{in: make([]byte, 0, lz4Input)}
}}

func newLZ4(k packets) *lz4Blocks {
	s := lz4States.Get().(*lz4State)
	s.in = s.in[:0]
	return &lz4Blocks{packets: k, lz4State: s}
}

func (c *lz4Blocks) literal(p []byte) error {
	for len(p) > 0 {
		if len(c.in) == 0 && len(p) >= lz4Input {
			if err := c.pack(p[:lz4Input]); err != nil {
				return err
			}
			p = p[lz4Input:]
			continue
		}
		n := min(len(p), lz4Input-len(c.in))
		c.in = append(c.in, p[:n]...)
		p = p[n:]
		if len(c.in) == lz4Input {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the bytes collected. An empty packet would mean the end of the
// file, so it writes none for no bytes.
func (c *lz4Blocks) flush() error {
	if len(c.in) == 0 {
		return nil
	}
	in := c.in
	c.in = c.in[:0]
	return c.pack(in)
}

func (c *lz4Blocks) pack(in []byte) error {
	n, err := c.compressor.CompressBlock(in, c.out[:])
	if err != nil {
		return err
	}
	return c.packets.write(c.out[:n])
}

func (c *lz4Blocks) block([]byte) {}
func (c *lz4Blocks) end()         {}

func (c *lz4Blocks) close() {
	lz4States.Put(c.lz4State)
	c.lz4State = nil
}
