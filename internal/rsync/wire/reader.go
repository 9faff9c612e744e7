package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// ErrInterrupted is what a source returns from Read to make Wait return
// early. It alone does not stick: reading goes on afterwards as if it had not
// happened. Other calls than Wait must not meet it.
var ErrInterrupted = errors.New("read interrupted")

// ErrRaw is the error of a message on a stream without frames.
var ErrRaw = errors.New("stream is not multiplexed")

// readBuffer is the size in bytes of a Reader's buffer; a whole message must
// fit with its header.
const readBuffer = 32 << 10

// A Reader takes values from the peer's stream. Once StartMux was called it
// takes the data out of frames and hands every message to a callback, in the
// goroutine that reads, before any byte that follows the message.
//
// A stream that ends between values gives io.EOF, one that ends within a value
// or a frame io.ErrUnexpectedEOF. Errors stick. A Reader belongs to one
// goroutine at a time; Count may be called from any.
type Reader struct {
	src       io.Reader
	buf       []byte
	pos, end  int // the bytes of buf not yet consumed
	mux       bool
	left      int // data bytes of the current frame not yet consumed
	onMessage func(Code, []byte) error
	onWait    func() error
	tee       io.Writer // gets a copy of all data; nil usually
	ndx       ndxState
	scratch   [8]byte // of one integer; a local one would be allocated
	err       error
	count     atomic.Int64
}

// NewReader returns a raw Reader of src.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, readBuffer), ndx: newNdxState()}
}

// StartMux takes everything not yet consumed as frames. onMessage gets every
// message, never CodeData; payload is valid during the call, and its size has
// been checked. An error from onMessage ends the stream with that error.
func (r *Reader) StartMux(onMessage func(c Code, payload []byte) error) {
	r.mux = true
	r.onMessage = onMessage
}

// Tee has a copy of all data consumed from now on go to tee, without frames and
// messages. What tee returns is not looked at.
func (r *Reader) Tee(tee io.Writer) { r.tee = tee }

// StopMux goes back to raw bytes: the peer lets names pass without frames below
// protocol 31 (rsync-session 4.4). It fails inside a frame.
func (r *Reader) StopMux() error {
	if r.left > 0 {
		return r.reject(fmt.Errorf("%d bytes of a frame are left where raw bytes begin: %w", r.left, ErrStream))
	}
	r.mux = false
	return nil
}

// OnWait sets a function that is called before the Reader waits for the peer,
// the place to flush one's own output. It runs in the goroutine that reads; an
// error from it ends the stream. nil removes it.
func (r *Reader) OnWait(f func() error) { r.onWait = f }

// Count is the number of bytes consumed from the source since the last Recount, or
// ever, frame headers and messages included.
func (r *Reader) Count() int64 { return r.count.Load() }

// Recount has Count begin at 0.
func (r *Reader) Recount() { r.count.Store(0) }

// Buffered is a number of data bytes that can be read without waiting for
// the peer. More may be there.
func (r *Reader) Buffered() int {
	if !r.mux {
		return r.end - r.pos
	}
	return min(r.left, r.end-r.pos)
}

// Wait returns once a data byte can be read, without consuming it; messages
// that come before it are handled.
func (r *Reader) Wait() error {
	for r.err == nil && r.Buffered() == 0 {
		if err := r.advance(); err != nil {
			if !errors.Is(err, ErrInterrupted) {
				r.err = err
			}
			return err
		}
	}
	return r.err
}

// advance comes one step nearer to a data byte: a header, a message or more
// bytes from the source.
func (r *Reader) advance() error {
	if !r.mux || r.left > 0 {
		_, err := r.raw(1)
		return r.inFrame(err)
	}
	b, err := r.raw(headerSize)
	if err != nil {
		return err
	}
	c, n, err := parseHeader(b)
	if err != nil {
		return err
	}
	if c == CodeData {
		r.consume(headerSize)
		r.left = n
		return nil
	}
	if b, err = r.raw(headerSize + n); err != nil {
		return unexpected(err)
	}
	r.consume(headerSize + n)
	return r.onMessage(c, b[headerSize:])
}

// inFrame makes an end of file an error if it cuts a frame.
func (r *Reader) inFrame(err error) error {
	if r.mux {
		return unexpected(err)
	}
	return err
}

// raw makes at least n bytes of the source available and returns exactly n
// of them, without consuming any. n must fit the buffer.
func (r *Reader) raw(n int) ([]byte, error) {
	if r.pos+n > len(r.buf) {
		r.end = copy(r.buf, r.buf[r.pos:r.end])
		r.pos = 0
	}
	for r.end-r.pos < n {
		if r.pos == r.end {
			r.pos, r.end = 0, 0
		}
		k, err := r.read(r.buf[r.end:])
		r.end += k
		if err != nil && r.end-r.pos < n {
			if r.end > r.pos {
				err = unexpected(err)
			}
			return nil, err
		}
	}
	return r.buf[r.pos : r.pos+n], nil
}

// read reads once from the source into p.
func (r *Reader) read(p []byte) (int, error) {
	if r.onWait != nil {
		if err := r.onWait(); err != nil {
			return 0, err
		}
	}
	const emptyReads = 100 // as in bufio: then the source is broken
	for range emptyReads {
		if n, err := r.src.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (r *Reader) consume(n int) {
	r.pos += n
	r.count.Add(int64(n))
}

// unexpected turns the end of the stream into one in the middle of something.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Byte reads one byte.
func (r *Reader) Byte() (byte, error) {
	if err := r.Wait(); err != nil {
		return 0, err
	}
	b := r.buf[r.pos]
	r.took(1)
	return b, nil
}

// took consumes n data bytes out of the buffer.
func (r *Reader) took(n int) {
	if r.tee != nil {
		r.tee.Write(r.buf[r.pos : r.pos+n])
	}
	r.consume(n)
	if r.mux {
		r.left -= n
	}
}

// ReadFull fills p.
func (r *Reader) ReadFull(p []byte) error {
	for done := 0; done < len(p); {
		n, err := r.Read(p[done:])
		if err != nil {
			if done > 0 {
				err = unexpected(err)
			}
			return err
		}
		done += n
	}
	return nil
}

// Read reads at least one byte of data, as an io.Reader does.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, r.err
	}
	if r.Buffered() == 0 && r.err == nil && len(p) >= readBuffer && r.pos == r.end && (!r.mux || r.left > 0) {
		return r.readDirect(p)
	}
	if err := r.Wait(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf[r.pos:r.pos+r.Buffered()])
	r.took(n)
	return n, nil
}

// readDirect reads from the source into p, past the empty buffer.
func (r *Reader) readDirect(p []byte) (int, error) {
	if r.mux {
		p = p[:min(len(p), r.left)]
	}
	n, err := r.read(p)
	r.count.Add(int64(n))
	if r.tee != nil {
		r.tee.Write(p[:n])
	}
	if r.mux {
		r.left -= n
	}
	if n > 0 {
		return n, nil
	}
	r.err = r.inFrame(err)
	return 0, r.err
}

// bytes reads a value of n bytes, at most 8, valid until the next call.
func (r *Reader) bytes(n int) ([]byte, error) {
	b := r.scratch[:n]
	return b, r.ReadFull(b)
}

// Short reads two bytes.
func (r *Reader) Short() (uint16, error) {
	b, err := r.bytes(2)
	return binary.LittleEndian.Uint16(b), err
}

// Int reads four bytes.
func (r *Reader) Int() (int32, error) {
	b, err := r.bytes(4)
	return int32(binary.LittleEndian.Uint32(b)), err
}

// Longint reads a size as protocols before 30 write it. It may be negative
// only by way of the long form.
func (r *Reader) Longint() (int64, error) {
	v, err := r.Int()
	if err != nil || v >= 0 {
		return int64(v), err
	}
	if v != -1 {
		return 0, r.reject(fmt.Errorf("long integer begins with %d: %w", v, ErrStream))
	}
	b, err := r.bytes(8)
	return int64(binary.LittleEndian.Uint64(b)), unexpected(err)
}

// Varint reads a variable integer of 32 bits; it may be negative.
func (r *Reader) Varint() (int32, error) {
	v, err := r.variable(1, varintExtra, 4)
	return int32(uint32(v)), err
}

// Varlong reads a variable integer of 64 bits that takes at least minimum
// bytes; it may be negative.
func (r *Reader) Varlong(minimum int) (int64, error) {
	v, err := r.variable(minimum, varlongMax-minimum, 8)
	return int64(v), err
}

func (r *Reader) variable(minimum, maxExtra, width int) (uint64, error) {
	first, err := r.Byte()
	if err != nil {
		return 0, err
	}
	extra := varExtra(first)
	if extra > maxExtra {
		return 0, r.reject(fmt.Errorf("integer with %d extra bytes: %w", extra, ErrStream))
	}
	rest, err := r.bytes(minimum - 1 + extra)
	if err != nil {
		return 0, unexpected(err)
	}
	v, err := joinVar(first, rest, width)
	if err != nil {
		return 0, r.reject(err)
	}
	return v, nil
}

// VString reads a string of at most limit bytes.
func (r *Reader) VString(limit int) (string, error) {
	first, err := r.Byte()
	if err != nil {
		return "", err
	}
	n := int(first)
	if first >= 0x80 {
		low, err := r.Byte()
		if err != nil {
			return "", unexpected(err)
		}
		n = int(first&0x7F)<<8 | int(low)
	}
	if n > limit {
		return "", r.reject(fmt.Errorf("string of %d bytes where %d are allowed: %w", n, limit, ErrStream))
	}
	b := make([]byte, n)
	if err := r.ReadFull(b); err != nil {
		return "", unexpected(err)
	}
	return string(b), nil
}

// Ndx reads a file index or one of the NDX constants in the form of proto. A
// plain index, before protocol 30, may be any int32.
func (r *Reader) Ndx(proto int) (int32, error) {
	if proto < ndxPlain {
		return r.Int()
	}
	n, err := r.ndx.read(r)
	if err != nil {
		return 0, r.reject(err)
	}
	return n, nil
}

// reject makes err the end of the stream.
func (r *Reader) reject(err error) error {
	if r.err == nil {
		r.err = err
	}
	return err
}
