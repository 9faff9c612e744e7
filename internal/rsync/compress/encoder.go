package compress

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Encoder writes the token streams of a session's files, one after the other.
// Per file any number of Literal and Block calls, in the order of the file, and
// then one End. The slices passed are not kept. After an error, which is the
// underlying writer's, the Encoder is only good for Close.
type Encoder interface {
	// Literal adds bytes that the receiver does not have.
	Literal(p []byte) error
	// Block adds block n of the receiver's basis, whose contents are data.
	Block(n int, data []byte) error
	// End writes what is pending and the mark that ends a file's tokens. The
	// whole-file digest comes after it.
	End() error
	// Close gives the memory back. It writes nothing: no method ends its stream.
	Close()
}

// Options says how a session compresses.
type Options struct {
	Method   Method
	Level    int // as asked for: it is clamped, 0 is the method's default
	Protocol int // 27..32
}

// New returns an Encoder that writes to w, in small pieces too: w should be
// buffered.
func New(w io.Writer, o Options) (Encoder, error) {
	switch o.Method {
	case None:
		return &plain{w: w}, nil
	case Zlib, Zlibx, Zstd, LZ4:
		return newPacker(w, o), nil
	}
	return nil, fmt.Errorf("compress: unknown method %d", o.Method)
}

// plain writes tokens uncompressed (3.1):
//
//	int len > 0, len bytes   literal data
//	int -(n + 1)             block n
//	int 0                    end of file
type plain struct {
	w       io.Writer
	scratch [4]byte
}

// maxPlainRun is the longest literal run that the reference sends.
const maxPlainRun = 32 << 10

func (e *plain) int(v int32) error {
	binary.LittleEndian.PutUint32(e.scratch[:], uint32(v))
	_, err := e.w.Write(e.scratch[:])
	return err
}

func (e *plain) Literal(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), maxPlainRun)
		if err := e.int(int32(n)); err != nil {
			return err
		}
		if _, err := e.w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (e *plain) Block(n int, _ []byte) error { return e.int(int32(-(n + 1))) }

func (e *plain) End() error { return e.int(0) }

func (e *plain) Close() {}
