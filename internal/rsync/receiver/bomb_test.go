package receiver_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/receiver"
)

// bombSize is how many bytes of zeros a bomb unpacks to.
const bombSize = 64 << 20

// bomb is the packets of a file of zeros.
func bomb(t *testing.T, m compress.Method) []byte {
	t.Helper()
	var packed bytes.Buffer
	zeros := make([]byte, 1<<20)
	fill := func(w interface {
		Write([]byte) (int, error)
		Flush() error
	}, err error) {
		for range bombSize / len(zeros) {
			if err == nil {
				_, err = w.Write(zeros)
			}
		}
		if err = errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	var out []byte
	switch m {
	case compress.Zlib, compress.Zlibx:
		fill(flate.NewWriter(&packed, 9))
		packed.Truncate(packed.Len() - 4) // the empty block that a flush ends in does not travel
	case compress.Zstd:
		fill(zstd.NewWriter(&packed))
	case compress.LZ4: // each packet is a block of its own
		block := make([]byte, 1<<10)
		n, err := lz4.CompressBlock(zeros[:64<<10], block, nil)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		for range bombSize / (64 << 10) {
			out = append(append(out, 0x40|byte(n>>8), byte(n)), block[:n]...)
		}
	}
	for p := packed.Bytes(); len(p) > 0; {
		n := min(len(p), 16383)
		out = append(append(out, 0x40|byte(n>>8), byte(n)), p[:n]...)
		p = p[n:]
	}
	return append(out, 0)
}

// A stream that unpacks to a thousand times its length is written as it comes:
// it takes no memory, and a digest that is wrong leaves nothing of it.
func TestABombTakesNoMemory(t *testing.T) {
	const most = bombSize / 4 * 3 // bytes allocated in all: buffers, which the race detector has made anew, and a window
	for _, m := range []compress.Method{compress.Zlib, compress.Zlibx, compress.Zstd, compress.LZ4} {
		s := newStream(t, 31, func(p *receiver.Params) { p.Compress = m })
		s.opt.Sparse = true
		s.list(regular("f", 5))
		s.echo("f", wanted)
		s.ints(0, 0, 0, 0)
		s.w.Write(bomb(t, m))
		s.w.Write(binary.LittleEndian.AppendUint64(make([]byte, 8), 1)) // no digest of it
		s.end()
		stream := s.bytes()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o := s.runOn(t.Context(), bytes.NewReader(stream), nil)
		runtime.ReadMemStats(&after)
		if o.err != nil || o.Literal != bombSize {
			t.Errorf("%v: %d bytes: %v", m, o.Literal, o.err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > most {
			t.Errorf("%v: %d bytes were allocated for a stream of %d", m, used, len(stream))
		}
		if names := s.names(); len(names) != 0 {
			t.Errorf("%v: %q is left", m, names)
		}
	}
}
