package compress

import (
	"encoding/binary"
	"io"
)

// The flag bytes of the compressed framing (3.2):
//
//	0x00                     end of file
//	0x40 | len>>8, byte len  compressed data, 1..16383 bytes follow
//	0x80 | rel               block previous + rel, rel in 0..63
//	0xc0 | rel, short r      block previous + rel and r more
//	0x20, int n              block n
//	0x21, int n, short r     block n and r more
//
// previous is the last block written for this file, 0 at its start.
const (
	flagEnd     = 0x00
	flagLong    = 0x20
	flagLongRun = 0x21
	flagData    = 0x40
	flagRel     = 0x80
	flagRelRun  = 0xc0
	flagMask    = 0xc0 // of the flags that have a number in their lower bits

	maxRel    = 63
	maxRun    = 65536 // blocks
	maxPacket = 16383 // bytes of compressed data

	// maxPiece is how much is compressed before the result is written: it
	// bounds the buffers for results.
	maxPiece = 64 << 10
)

// compressor is what the methods differ in. Its output is a stream of bytes that
// it appends to the packer's out; drain may cut it anywhere.
type compressor interface {
	// literal compresses p, at most maxPiece bytes. Some of the output may be
	// kept back.
	literal(p []byte) error
	// flush puts out what was kept back: after it the receiver can decode all
	// literals so far. It is called only after literal.
	flush() error
	// block says that the receiver was told of a block with these contents.
	block(data []byte)
	// end says that a file has ended.
	end()
	// close gives the memory back.
	close()
}

// packer is the Encoder of all compressed methods.
type packer struct {
	w io.Writer
	c compressor

	open     bool // literals were compressed and not flushed
	runStart int
	runLen   int // blocks in the run not written yet; 0 if there is none
	previous int

	scratch [7]byte
}

func newPacker(w io.Writer, o Options) *packer {
	p := &packer{w: w}
	level := o.Method.Level(o.Level)
	switch o.Method {
	case Zlib, Zlibx:
		p.c = newDeflater(packets{p}, o.Method == Zlib, level, o.Protocol)
	case Zstd:
		p.c = newZstd(packets{p}, level)
	case LZ4:
		p.c = newLZ4(packets{p})
	}
	return p
}

func (p *packer) Literal(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if err := p.writeRun(); err != nil {
		return err
	}
	p.open = true
	for len(data) > 0 {
		n := min(len(data), maxPiece)
		if err := p.c.literal(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (p *packer) Block(n int, data []byte) error {
	if err := p.flush(); err != nil {
		return err
	}
	if p.runLen == maxRun || n != p.runStart+p.runLen {
		if err := p.writeRun(); err != nil {
			return err
		}
	}
	if p.runLen == 0 {
		p.runStart = n
	}
	p.runLen++
	p.c.block(data)
	return nil
}

func (p *packer) End() error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.writeRun(); err != nil {
		return err
	}
	p.previous = 0
	p.c.end()
	p.scratch[0] = flagEnd
	_, err := p.w.Write(p.scratch[:1])
	return err
}

func (p *packer) Close() { p.c.close() }

// flush makes the receiver see all literals.
func (p *packer) flush() error {
	if !p.open {
		return nil
	}
	p.open = false
	return p.c.flush()
}

// writeRun writes the run of blocks that is pending.
func (p *packer) writeRun() error {
	if p.runLen == 0 {
		return nil
	}
	more := p.runLen - 1
	rel := p.runStart - p.previous
	b := p.scratch[:0]
	switch near := rel >= 0 && rel <= maxRel; {
	case near && more == 0:
		b = append(b, flagRel|byte(rel))
	case near:
		b = append(b, flagRelRun|byte(rel))
	case more == 0:
		b = append(b, flagLong)
	default:
		b = append(b, flagLongRun)
	}
	if rel < 0 || rel > maxRel {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.runStart))
	}
	if more > 0 {
		b = binary.LittleEndian.AppendUint16(b, uint16(more))
	}
	p.previous = p.runStart + more
	p.runLen = 0
	_, err := p.w.Write(b)
	return err
}

// packets writes compressed bytes as data packets.
type packets struct{ p *packer }

// write writes data, which may be of any length, as one packet or several.
func (k packets) write(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxPacket)
		h := k.p.scratch[:2]
		h[0], h[1] = flagData|byte(n>>8), byte(n)
		if _, err := k.p.w.Write(h); err != nil {
			return err
		}
		if _, err := k.p.w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// writeFull writes the full packets at the front of data and returns the rest,
// moved to the front.
func (k packets) writeFull(data []byte) ([]byte, error) {
	full := len(data) / maxPacket * maxPacket
	if full == 0 {
		return data, nil
	}
	if err := k.write(data[:full]); err != nil {
		return data, err
	}
	return data[:copy(data, data[full:])], nil
}
