package compress

import (
	"encoding/binary"
	"fmt"
	"io"

	"lockstep/internal/rsync/wire"
)

// decompressor is what the methods differ in. It takes its input from the
// unpacker's section.
type decompressor interface {
	// read unpacks at least one byte into p. After the last byte that can be
	// unpacked from the section it returns io.EOF, and after that it is called
	// for the next section.
	read(p []byte) (int, error)
	// see is See of Decoder.
	see(p []byte, end bool)
	// start says that a file begins.
	start()
	// close gives the memory back.
	close()
}

// unpacker is the Decoder of all compressed methods. The framing is packer's.
type unpacker struct {
	*source
	in      *section
	c       decompressor
	sees    bool
	count   int
	literal bool // a section is being read
	// previous is the last block of the last token of this file.
	previous int64
	scratch  [4]byte
}

func newUnpacker(src *source, o Options) (*unpacker, error) {
	u := &unpacker{source: src, in: &section{source: src}, sees: o.Method == Zlib}
	var err error
	switch o.Method {
	case Zlib, Zlibx:
		u.c = newInflater(u.in, o.Method == Zlib, o.Protocol)
	case Zstd:
		u.c, err = newUnzstd(u.in)
	case LZ4:
		u.c = newUnLZ4(u.in)
	}
	return u, err
}

func (u *unpacker) Start(blocks int) {
	u.count, u.previous, u.literal, u.taken = blocks, 0, false, 0
	u.c.start()
}

func (u *unpacker) Next(buf []byte) (Token, error) {
	flag := u.in.flag
	if !u.literal {
		var err error
		if flag, err = u.byte(); err != nil {
			return Token{}, err
		}
		if flag&flagMask == flagData {
			if err := u.in.begin(flag); err != nil {
				return Token{}, err
			}
			u.literal = true
		}
	}
	if u.literal {
		n, err := u.c.read(buf)
		if err == nil {
			return Token{Literal: buf[:n]}, nil
		}
		if err != io.EOF {
			return Token{}, err
		}
		u.literal = false
		flag = u.in.flag
	}
	return u.token(flag)
}

// token reads the rest of what begins with flag and is not data.
func (u *unpacker) token(flag byte) (Token, error) {
	first := u.previous + int64(flag&maxRel)
	long := flag&flagMask == flagRelRun
	switch {
	case flag == flagEnd:
		return Token{}, nil
	case flag == flagLong || flag == flagLongRun:
		if err := u.full(u.scratch[:4]); err != nil {
			return Token{}, err
		}
		first = int64(int32(binary.LittleEndian.Uint32(u.scratch[:])))
		long = flag == flagLongRun
	case flag&flagRel == 0:
		return Token{}, fmt.Errorf("token flag %#x: %w", flag, wire.ErrStream)
	}
	blocks := int64(1)
	if long {
		if err := u.full(u.scratch[:2]); err != nil {
			return Token{}, err
		}
		more := binary.LittleEndian.Uint16(u.scratch[:])
		if more == 0 {
			return Token{}, fmt.Errorf("run of no more blocks: %w", wire.ErrStream)
		}
		blocks += int64(more)
	}
	u.previous = first + blocks - 1
	return run(first, blocks, u.count)
}

func (u *unpacker) See(p []byte, end bool) { u.c.see(p, end) }

func (u *unpacker) Sees() bool { return u.sees }

func (u *unpacker) Close() { u.c.close() }

// section is the compressed data up to the next flag byte of another kind. Its
// packets are read as they are asked for.
type section struct {
	*source
	left int  // bytes of the packet at hand that were not read
	flag byte // what ended the section
	end  bool
	err  error // of the stream
}

// begin begins a section with the first packet's flag byte.
func (s *section) begin(flag byte) error {
	s.end = false
	return s.open(flag)
}

// open reads the rest of a packet's header.
func (s *section) open(flag byte) error {
	low, err := s.byte()
	if err != nil {
		return s.fail(err)
	}
	if s.left = int(flag&maxRel)<<8 | int(low); s.left == 0 {
		return s.fail(fmt.Errorf("empty packet of compressed data: %w", wire.ErrStream))
	}
	return nil
}

// next makes sure that there are bytes left; io.EOF is the section's end.
func (s *section) next() error {
	if s.left > 0 {
		return nil
	}
	if s.end {
		return io.EOF
	}
	flag, err := s.byte()
	if err != nil {
		return s.fail(err)
	}
	if flag&flagMask != flagData {
		s.flag, s.end = flag, true
		return io.EOF
	}
	return s.open(flag)
}

// Read reads compressed bytes.
func (s *section) Read(p []byte) (int, error) {
	if err := s.next(); err != nil {
		return 0, err
	}
	n := min(len(p), s.left)
	if err := s.full(p[:n]); err != nil {
		return 0, s.fail(err)
	}
	s.left -= n
	return n, nil
}

// packet reads what is left of the packet at hand, or the next one, into p,
// which holds maxPacket bytes.
func (s *section) packet(p []byte) ([]byte, error) {
	if err := s.next(); err != nil {
		return nil, err
	}
	p = p[:s.left]
	s.left = 0
	if err := s.full(p); err != nil {
		return nil, s.fail(err)
	}
	return p, nil
}

// fail keeps the stream's error.
func (s *section) fail(err error) error {
	s.err = err
	return s.err
}

// blame tells whose fault the error of a library is that reads the section: the
// stream's, or that of the data.
func (s *section) blame(what string, err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%s: %v: %w", what, err, wire.ErrStream)
}
