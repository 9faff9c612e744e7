package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"lockstep/internal/rsync/wire"
)

// FuzzFrames reads arbitrary bytes as a multiplexed stream: it must end, with
// one of the known errors, and never deliver a message of the wrong shape.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x07ab\x00\x00\x00\x5d\x03\x00\x00\x0aoop"), 3)
	f.Add([]byte("\xff\xff\xff\x07"), 70000)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		r := wire.NewReader(bytes.NewReader(stream))
		consumed := 0
		r.StartMux(func(c wire.Code, p []byte) error {
			if c == wire.CodeData || len(p) > 5119 {
				t.Fatalf("message %v of %d bytes", c, len(p))
			}
			consumed += len(p)
			return nil
		})
		p := make([]byte, 1+uint(size)%100000)
		for {
			n, err := r.Read(p)
			consumed += n
			if err == nil {
				continue
			}
			if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, wire.ErrStream) {
				t.Fatalf("error %v", err)
			}
			break
		}
		if consumed > len(stream) || r.Count() > int64(len(stream)) {
			t.Fatalf("%d bytes came out of %d", consumed, len(stream))
		}
	})
}

// FuzzIntegers decodes arbitrary bytes as every kind of value; what decodes
// must encode to a form that decodes to the same and is no longer.
func FuzzIntegers(f *testing.F) {
	f.Add([]byte{0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})
	f.Add([]byte{0xFE, 0x80, 0x40, 0x9C, 0x00, 0x01, 0xFF, 0x63})
	f.Fuzz(func(t *testing.T, b []byte) {
		reader := func() *wire.Reader { return wire.NewReader(bytes.NewReader(b)) }
		same := func(kind string, taken int64, encoded []byte, again func(*wire.Reader) bool) {
			if int64(len(encoded)) > taken || !again(wire.NewReader(bytes.NewReader(encoded))) {
				t.Errorf("%s: % X came back as % X", kind, b[:taken], encoded)
			}
		}
		r := reader()
		if v, err := r.Varint(); err == nil {
			same("varint", r.Count(), wire.AppendVarint(nil, v), func(r *wire.Reader) bool {
				w, err := r.Varint()
				return err == nil && v == w
			})
		}
		for minimum := 3; minimum <= 5; minimum++ {
			r = reader()
			if v, err := r.Varlong(minimum); err == nil {
				same("varlong", r.Count(), wire.AppendVarlong(nil, v, minimum), func(r *wire.Reader) bool {
					w, err := r.Varlong(minimum)
					return err == nil && v == w
				})
			}
		}
		r = reader()
		if v, err := r.Longint(); err == nil {
			same("longint", r.Count(), wire.AppendLongint(nil, v), func(r *wire.Reader) bool {
				w, err := r.Longint()
				return err == nil && v == w
			})
		}
		r = reader()
		if v, err := r.VString(1000); err == nil {
			if len(v) > 1000 {
				t.Fatalf("string of %d bytes", len(v))
			}
			encoded, err := wire.AppendVString(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			same("vstring", r.Count(), encoded, func(r *wire.Reader) bool {
				w, err := r.VString(1000)
				return err == nil && v == w
			})
		}
		ndxIdentity(t, b)
	})
}

// ndxIdentity reads b as a sequence of indexes and writes them again.
func ndxIdentity(t *testing.T, b []byte) {
	var list []int32
	var out bytes.Buffer
	r, w := wire.NewReader(bytes.NewReader(b)), wire.NewWriter(&out)
	for {
		n, err := r.Ndx(32)
		if err != nil {
			break
		}
		list = append(list, n)
		w.Ndx(32, n)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if out.Len() > len(b) {
		t.Errorf("indexes % X came back as % X", b, out.Bytes())
	}
	r = wire.NewReader(&out)
	for _, want := range list {
		if n, err := r.Ndx(32); err != nil || n != want {
			t.Errorf("index %d came back as %d, %v", want, n, err)
		}
	}
}

// FuzzValues writes values and reads them back.
func FuzzValues(f *testing.F) {
	f.Add(int32(0), int64(0), int32(0), "", true)
	f.Add(int32(-1), int64(math.MinInt64), int32(-101), "name", false)
	f.Add(int32(math.MaxInt32), int64(0x80000000), int32(40000), "x", true)
	f.Fuzz(func(t *testing.T, a int32, b int64, n int32, s string, mux bool) {
		if n == math.MinInt32 || len(s) > wire.VStringMax {
			t.Skip("has no encoding")
		}
		var out bytes.Buffer
		w := wire.NewWriter(&out)
		if mux {
			w.StartMux()
		}
		w.Varint(a)
		w.Int(a)
		for minimum := 3; minimum <= 5; minimum++ {
			w.Varlong(b, minimum)
		}
		w.Longint(b)
		w.Ndx(32, n)
		w.Ndx(32, n)
		w.Ndx(29, n)
		if err := errors.Join(w.VString(s), w.Flush()); err != nil {
			t.Fatal(err)
		}
		r := wire.NewReader(&out)
		if mux {
			r.StartMux(nil)
		}
		expect(t, a, r.Varint)
		expect(t, a, r.Int)
		for minimum := 3; minimum <= 5; minimum++ {
			expect(t, b, func() (int64, error) { return r.Varlong(minimum) })
		}
		expect(t, b, r.Longint)
		for _, proto := range []int{32, 32, 29} {
			expect(t, n, func() (int32, error) { return r.Ndx(proto) })
		}
		expect(t, s, func() (string, error) { return r.VString(wire.VStringMax) })
		if _, err := r.Byte(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	})
}

func expect[T comparable](t *testing.T, want T, read func() (T, error)) {
	t.Helper()
	if got, err := read(); err != nil || got != want {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
}
