package wire_test

import (
	"bytes"
	"io"
	"testing"

	"lockstep/internal/rsync/wire"
)

// BenchmarkEntry writes and reads the integers of about one file-list entry.
func BenchmarkEntry(b *testing.B) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	w.StartMux()
	r := wire.NewReader(&out)
	r.StartMux(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Byte(1)
		w.Varint(0x18)
		w.Varlong(int64(i), 3)
		w.Ndx(32, int32(i%1000))
		w.Int(int32(i))
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
		r.Byte()
		r.Varint()
		r.Varlong(3)
		r.Ndx(32)
		if v, err := r.Int(); err != nil || v != int32(i) {
			b.Fatal(v, err)
		}
	}
}

// BenchmarkPayload writes 256 KiB at a time, the way file data goes out.
func BenchmarkPayload(b *testing.B) {
	w := wire.NewWriter(discard{})
	w.StartMux()
	p := make([]byte, 256<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		w.Write(p)
	}
}

type discard struct{ io.Writer }

func (discard) Write(p []byte) (int, error)  { return len(p), nil }
func (discard) WriteVector(p [][]byte) error { return nil }
