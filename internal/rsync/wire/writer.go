package wire

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
)

// VectorWriter is an io.Writer that can write several pieces at once, as
// writev does. A Writer uses it to send large payloads without copying them.
type VectorWriter interface {
	io.Writer
	// WriteVector writes all pieces in order, or reports why not. It may
	// change the outer slice, not the pieces.
	WriteVector(pieces [][]byte) error
}

// directSize is the payload size in bytes from which copying into the buffer
// costs more than a longer vector.
const directSize = 16 << 10

// A Writer buffers values and writes them to the peer, raw or in frames.
// Errors stick: after the first, everything is dropped, and Flush and Err
// report it. Nothing is sent before Flush unless the buffer is full.
//
// Values and Flush belong to one goroutine at a time; KeepAlive, Message, Queue,
// Err and Count may be called from any.
type Writer struct {
	dst    io.Writer
	vector VectorWriter // dst, if it can
	tee    io.Writer    // gets a copy of all data, without frames; nil usually
	buf    []byte       // room for a header, then data not yet written
	ndx    ndxState

	mu     sync.Mutex // held while bytes go to dst
	mux    bool       // written by the owner under mu
	err    error      // under mu
	queued []byte     // messages that are in no hurry, in frames; under mu
	count  atomic.Int64
	fail   atomic.Bool // err is set
	more   atomic.Bool // there is something in queued
}

// NewWriter returns a raw Writer to dst.
func NewWriter(dst io.Writer) *Writer {
	w := &Writer{dst: dst, buf: make([]byte, headerSize, headerSize+maxPayload), ndx: newNdxState()}
	w.vector, _ = dst.(VectorWriter)
	return w
}

// Tee has a copy of all data written from now on go to tee at once, without
// frames and messages; nil ends that. What tee returns is not looked at.
func (w *Writer) Tee(tee io.Writer) { w.tee = tee }

// StartMux flushes and puts everything after into frames.
func (w *Writer) StartMux() {
	w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mux = true
}

// StopMux flushes and goes back to raw bytes.
func (w *Writer) StopMux() {
	w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mux = false
}

// Byte writes one byte.
func (w *Writer) Byte(b byte) { w.commit(append(w.room(1), b)) }

// Short writes two bytes.
func (w *Writer) Short(v uint16) { w.commit(binary.LittleEndian.AppendUint16(w.room(2), v)) }

// Int writes four bytes.
func (w *Writer) Int(v int32) { w.commit(binary.LittleEndian.AppendUint32(w.room(4), uint32(v))) }

// Longint writes a size as protocols before 30 do.
func (w *Writer) Longint(v int64) { w.commit(AppendLongint(w.room(12), v)) }

// Varint writes v in one to five bytes.
func (w *Writer) Varint(v int32) { w.commit(AppendVarint(w.room(5), v)) }

// Varlong writes v in minimum to nine bytes.
func (w *Writer) Varlong(v int64, minimum int) {
	w.commit(AppendVarlong(w.room(varlongMax), v, minimum))
}

// VString writes s after its length; a string beyond VStringMax is an error
// and nothing is written.
func (w *Writer) VString(s string) error {
	b, err := AppendVString(w.room(2+min(len(s), VStringMax)), s)
	if err == nil {
		w.commit(b)
	}
	return err
}

// Ndx writes a file index or one of the NDX constants in the form of proto.
func (w *Writer) Ndx(proto int, n int32) { w.commit(w.ndx.append(w.room(6), proto, n)) }

// room makes sure that n more bytes fit in the buffer.
func (w *Writer) room(n int) []byte {
	if len(w.buf)+n > cap(w.buf) {
		w.Flush()
	}
	return w.buf
}

func (w *Writer) commit(b []byte) {
	if w.tee != nil {
		w.tee.Write(b[len(w.buf):])
	}
	w.buf = b
}

// Write appends p to the data stream. It keeps no reference to p. The error
// is that of Err.
func (w *Writer) Write(p []byte) (int, error) {
	if w.tee != nil {
		w.tee.Write(p)
	}
	if len(p) >= directSize && w.vector != nil {
		return len(p), w.writeDirect(p)
	}
	n := len(p)
	for len(p) > 0 {
		if len(w.buf) == cap(w.buf) {
			if err := w.Flush(); err != nil {
				return n - len(p), err
			}
		}
		k := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
	}
	return n, nil
}

// writeDirect writes what is buffered and p, without copying p.
func (w *Writer) writeDirect(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	pending := len(w.buf) - headerSize
	if !w.mux {
		return w.putVector([][]byte{w.buf[headerSize:], p})
	}
	frames := (pending + len(p) + maxPayload - 1) / maxPayload
	pieces := make([][]byte, 0, 2*frames)
	headers := make([]byte, headerSize*frames)
	first := min(len(p), maxPayload-pending)
	putHeader(w.buf, CodeData, pending+first)
	pieces = append(pieces, w.buf, p[:first])
	for p = p[first:]; len(p) > 0; {
		k := min(len(p), maxPayload)
		putHeader(headers, CodeData, k)
		pieces = append(pieces, headers[:headerSize], p[:k])
		headers, p = headers[headerSize:], p[k:]
	}
	return w.putVector(pieces)
}

// putVector writes pieces and empties the buffer. The caller holds mu.
func (w *Writer) putVector(pieces [][]byte) error {
	if w.putQueued() == nil {
		n := 0
		for _, p := range pieces {
			n += len(p)
		}
		w.settle(n, w.vector.WriteVector(pieces))
	}
	w.buf = w.buf[:headerSize]
	return w.err
}

// put writes what is queued and b. The caller holds mu.
func (w *Writer) put(b []byte) error {
	if w.putQueued() == nil {
		n, err := w.dst.Write(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		w.settle(n, err)
	}
	return w.err
}

// putQueued writes what is queued. The caller holds mu.
func (w *Writer) putQueued() error {
	if b := w.queued; len(b) > 0 {
		w.queued = b[:0]
		w.more.Store(false)
		return w.put(b)
	}
	return w.err
}

func (w *Writer) settle(n int, err error) {
	if err != nil {
		w.err = err
		w.fail.Store(true)
		return
	}
	w.count.Add(int64(n))
}

// Flush writes what is buffered and reports the first error so far.
func (w *Writer) Flush() error {
	if len(w.buf) == headerSize && !w.fail.Load() && !w.more.Load() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.buf
	w.buf = w.buf[:headerSize]
	if len(b) == headerSize {
		return w.putQueued()
	}
	if !w.mux {
		return w.put(b[headerSize:])
	}
	putHeader(b, CodeData, len(b)-headerSize)
	return w.put(b)
}

// Buffered is the number of data bytes that wait for Flush.
func (w *Writer) Buffered() int { return len(w.buf) - headerSize }

// Waiting reports whether anything waits for Flush, data or queued messages.
func (w *Writer) Waiting() bool { return len(w.buf) > headerSize || w.more.Load() }

// Message sends one message at once, ahead of data that is still buffered. A
// payload that the code does not allow is an error and nothing is sent; so is
// a message on a raw stream, which has no place for one.
func (w *Writer) Message(c Code, payload []byte) error {
	if err := checkFrame(c, len(payload)); err != nil {
		return err
	}
	b := make([]byte, headerSize, headerSize+len(payload))
	putHeader(b, c, len(payload))
	b = append(b, payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mux {
		return ErrRaw
	}
	return w.put(b)
}

// queueSize is how many bytes of messages may wait.
const queueSize = 4 << 10

// Queue is Message for what is in no hurry: it goes out with whatever is written
// next, or when there is enough of it. The order of messages is kept.
func (w *Writer) Queue(c Code, payload []byte) error {
	if err := checkFrame(c, len(payload)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mux {
		return ErrRaw
	}
	var header [headerSize]byte
	putHeader(header[:], c, len(payload))
	w.queued = append(append(w.queued, header[:]...), payload...)
	if len(w.queued) >= queueSize {
		return w.putQueued()
	}
	w.more.Store(true)
	return w.err
}

// KeepAlive sends an empty data frame at once; on a raw stream it does
// nothing, for there is no form for it.
func (w *Writer) KeepAlive() error {
	err := w.Message(CodeData, nil)
	if err == ErrRaw {
		return nil
	}
	return err
}

// Err is the first error so far.
func (w *Writer) Err() error {
	if !w.fail.Load() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Count is the number of bytes written since the last Recount, or ever, frame
// headers included.
func (w *Writer) Count() int64 { return w.count.Load() }

// Recount has Count begin at 0.
func (w *Writer) Recount() { w.count.Store(0) }
