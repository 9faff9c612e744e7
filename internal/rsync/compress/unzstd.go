package compress

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is how far back a zstd frame may refer, in bytes: what the
// reference's library needs at its highest level (3.4). It bounds a decoder's
// memory, which is taken up only as data come.
const maxWindow = 1 << 27

// errStopped ends a decoder that waits for input.
var errStopped = errors.New("decoder closed")

// unzstd reads the zstd frames of a session: rsync writes one. The library's decoder asks for
// input in the middle of its own doing, and an error that it is given sticks:
// at the end of a section it is put aside as a coroutine until there is more.
type unzstd struct {
	in   *section
	dec  *zstd.Decoder
	p    []byte // where read wants the bytes
	next func() (unpacked, bool)
	stop func()

	yield func(unpacked) bool // the coroutine's
}

// unpacked is what the coroutine hands out: bytes in p, or an error, which is
// io.EOF at the end of a section.
type unpacked struct {
	n   int
	err error
}

func newUnzstd(in *section) (*unzstd, error) {
	// Concurrency 1: no goroutines, and nothing is read ahead.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	z := &unzstd{in: in, dec: dec}
	z.next, z.stop = iter.Pull(z.run)
	return z, nil
}

// run is the coroutine. It ends with the first error.
func (z *unzstd) run(yield func(unpacked) bool) {
	z.yield = yield
	if err := z.dec.Reset(unzstdInput{z}); err != nil {
		yield(unpacked{err: err})
		return
	}
	_, err := z.dec.WriteTo(unzstdOutput{z})
	if err == nil {
		err = io.EOF // a frame has no end before the stream has one
	}
	yield(unpacked{err: z.in.blame("zstd", err)})
}

// unzstdOutput hands out what the decoder has unpacked.
type unzstdOutput struct{ z *unzstd }

func (o unzstdOutput) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n := copy(o.z.p, b[done:])
		if done += n; !o.z.yield(unpacked{n: n}) {
			return done, errStopped
		}
	}
	return len(b), nil
}

// unzstdInput is the frame as it arrives.
type unzstdInput struct{ z *unzstd }

func (i unzstdInput) Read(p []byte) (int, error) {
	for {
		n, err := i.z.in.Read(p)
		if err != io.EOF {
			return n, err
		}
		if !i.z.yield(unpacked{err: io.EOF}) {
			return 0, errStopped
		}
	}
}

func (z *unzstd) read(p []byte) (int, error) {
	z.p = p
	u, ok := z.next()
	if !ok {
		return 0, errStopped
	}
	return u.n, u.err
}

func (z *unzstd) see([]byte, bool) {}
func (z *unzstd) start()           {}

func (z *unzstd) close() {
	z.stop()
	z.dec.Close()
}
