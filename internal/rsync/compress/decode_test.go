package compress_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"lockstep/internal/rsync/compress"
)

// decoder is the receiving side, written from the specification for clarity: it
// rebuilds the files of a session from their token streams.
type decoder struct {
	method   compress.Method
	protocol int
	in       *bytes.Reader
	tokens   []string // flag bytes of the last file, "data" for packets

	frame    []byte // zstd: the session's frames so far
	unpacked int    // zstd: bytes of it decoded before
}

// file reads one file's tokens and returns its contents.
func (d *decoder) file(basis []byte, blockLen int) ([]byte, error) {
	d.tokens = nil
	if d.method == compress.None {
		return d.plainFile(basis, blockLen)
	}
	var out, section, history []byte
	previous := 0
	for {
		flag, err := d.in.ReadByte()
		if err != nil {
			return nil, err
		}
		if flag&0xc0 == 0x40 {
			if section, err = d.packet(flag, section); err != nil {
				return nil, err
			}
			continue
		}
		d.tokens = append(d.tokens, fmt.Sprintf("%02x", flag))
		if section != nil {
			literal, err := d.unpack(section, history)
			if err != nil {
				return nil, err
			}
			out = append(out, literal...)
			history = append(history, literal...)
			section = nil
		}
		if flag == 0 {
			return out, nil
		}
		first, count, err := d.run(flag, previous)
		if err != nil {
			return nil, err
		}
		previous = first + count - 1
		for n := first; n <= previous; n++ {
			data, err := block(basis, blockLen, n)
			if err != nil {
				return nil, err
			}
			out = append(out, data...)
			history = d.insert(history, data)
		}
	}
}

func block(basis []byte, blockLen, n int) ([]byte, error) {
	if n < 0 || n*blockLen >= len(basis) {
		return nil, fmt.Errorf("block %d is out of range", n)
	}
	return basis[n*blockLen : min((n+1)*blockLen, len(basis))], nil
}

func (d *decoder) int() (int, error) {
	var p [4]byte
	_, err := io.ReadFull(d.in, p[:])
	return int(int32(binary.LittleEndian.Uint32(p[:]))), err
}

func (d *decoder) plainFile(basis []byte, blockLen int) ([]byte, error) {
	var out []byte
	for {
		v, err := d.int()
		switch {
		case err != nil || v == 0:
			return out, err
		case v > 32768:
			return nil, errors.New("literal run is too long")
		case v > 0:
			n := len(out)
			out = append(out, make([]byte, v)...)
			if _, err := io.ReadFull(d.in, out[n:]); err != nil {
				return nil, err
			}
		default:
			data, err := block(basis, blockLen, -v-1)
			if err != nil {
				return nil, err
			}
			out = append(out, data...)
		}
	}
}

// packet appends a data packet's decodable bytes to section; lz4 is decoded at
// once.
func (d *decoder) packet(flag byte, section []byte) ([]byte, error) {
	low, err := d.in.ReadByte()
	if err != nil {
		return nil, err
	}
	p := make([]byte, int(flag&0x3f)<<8|int(low))
	if len(p) == 0 {
		return nil, errors.New("empty packet")
	}
	if _, err := io.ReadFull(d.in, p); err != nil {
		return nil, err
	}
	if len(d.tokens) == 0 || d.tokens[len(d.tokens)-1] != "data" {
		d.tokens = append(d.tokens, "data")
	}
	if d.method == compress.LZ4 {
		if p, err = unlz4(p); err != nil {
			return nil, err
		}
		if len(p) == 0 || len(p) > 16383 {
			return nil, fmt.Errorf("lz4 packet of %d bytes", len(p))
		}
	}
	return append(section, p...), nil
}

// run reads the rest of a block token: the first block and the count.
func (d *decoder) run(flag byte, previous int) (first, count int, err error) {
	first = previous + int(flag&0x3f)
	if flag&0x80 == 0 {
		if flag != 0x20 && flag != 0x21 {
			return 0, 0, fmt.Errorf("flag byte %#x", flag)
		}
		if first, err = d.int(); err != nil {
			return 0, 0, err
		}
		// The short form must be used where it fits.
		if first >= previous && first-previous <= 63 {
			return 0, 0, errors.New("absolute token for a near block")
		}
	}
	if flag&0xc0 == 0xc0 || flag == 0x21 {
		var p [2]byte
		if _, err := io.ReadFull(d.in, p[:]); err != nil {
			return 0, 0, err
		}
		count = int(binary.LittleEndian.Uint16(p[:]))
		if count == 0 {
			return 0, 0, errors.New("run of no more blocks")
		}
	}
	return first, count + 1, nil
}

// insert adds a matched block to the history as an inflater does that is fed
// with stored blocks.
func (d *decoder) insert(history, data []byte) []byte {
	if d.method != compress.Zlib {
		return history
	}
	for start := 0; start < len(data); start += 65535 {
		n := min(len(data)-start, 65535)
		if d.protocol < 31 {
			history = append(history, data[:n]...)
		} else {
			history = append(history, data[start:start+n]...)
		}
	}
	return history
}

// unpack decodes what came between two sync points.
func (d *decoder) unpack(section, history []byte) ([]byte, error) {
	switch d.method {
	case compress.LZ4:
		return section, nil
	case compress.Zstd:
		return d.unzstd(section)
	}
	// One stream with everything before it in the history.
	section = append(section, 0, 0, 0xff, 0xff)
	in := bytes.NewReader(section)
	literal, err := io.ReadAll(flate.NewReaderDict(in, history))
	if !errors.Is(err, io.ErrUnexpectedEOF) || in.Len() != 0 {
		return nil, fmt.Errorf("inflate: %v with %d bytes left", err, in.Len())
	}
	return literal, nil
}

// unzstd decodes the session's frames from their start and returns what is new: it
// must have been decodable with the bytes received until now.
func (d *decoder) unzstd(section []byte) ([]byte, error) {
	d.frame = append(d.frame, section...)
	dec, err := zstd.NewReader(bytes.NewReader(d.frame), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	all, err := io.ReadAll(dec)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	literal := all[d.unpacked:]
	d.unpacked = len(all)
	return literal, nil
}

// unlz4 decodes a raw lz4 block.
func unlz4(p []byte) ([]byte, error) {
	var out []byte
	short := errors.New("lz4 block is cut off")
	length := func(n int) (int, error) {
		if n != 15 {
			return n, nil
		}
		for {
			if len(p) == 0 {
				return 0, short
			}
			b := p[0]
			p = p[1:]
			if n += int(b); b != 255 {
				return n, nil
			}
		}
	}
	for len(p) > 0 {
		token := int(p[0])
		p = p[1:]
		n, err := length(token >> 4)
		if err != nil || n > len(p) {
			return nil, short
		}
		out = append(out, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			break
		}
		if len(p) < 2 {
			return nil, short
		}
		offset := int(binary.LittleEndian.Uint16(p))
		p = p[2:]
		if n, err = length(token & 15); err != nil {
			return nil, err
		}
		if offset == 0 || offset > len(out) {
			return nil, errors.New("lz4 offset is out of range")
		}
		for range n + 4 {
			out = append(out, out[len(out)-offset])
		}
	}
	return out, nil
}
