package compress_test

import (
	"bytes"
	"testing"

	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/wire"
)

// FuzzRoundTrip takes plan as a list of steps: a zero ends a file, a small byte
// stands for a block of the basis, a large one for a literal of the basis's
// bytes, so that much of it repeats.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{200, 1, 2, 3, 0, 1, 2, 90, 0}, bytes.Repeat([]byte("some basis text "), 50), uint8(1), uint16(20), true)
	f.Add([]byte{1, 2, 3, 4, 5, 255, 7}, []byte("0123456789"), uint8(3), uint16(1), false)
	f.Add([]byte{99, 98, 1, 97}, bytes.Repeat([]byte("abc"), 50000), uint8(1), uint16(50001), false)
	f.Fuzz(func(t *testing.T, plan, basis []byte, method uint8, blockLen uint16, modern bool) {
		if len(plan) > 100 || len(basis) == 0 {
			t.Skip()
		}
		size := int(blockLen)*2 + 1
		o := compress.Options{Method: allMethods[int(method)%len(allMethods)], Protocol: 30}
		if modern {
			o.Protocol = 31
		}
		var buf bytes.Buffer
		e, err := compress.New(&buf, o)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		d := &decoder{method: o.Method, protocol: o.Protocol}
		for len(plan) > 0 {
			step, rest, _ := bytes.Cut(plan, []byte{0})
			plan = rest
			buf.Reset()
			want := encode(t, e, steps(step, basis, size), basis, size)
			d.in = bytes.NewReader(buf.Bytes())
			got, err := d.file(basis, size)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) || d.in.Len() != 0 {
				t.Fatalf("decoded file differs, %d bytes are left", d.in.Len())
			}
		}
	})
}

func steps(plan, basis []byte, blockLen int) []op {
	var ops []op
	for _, b := range plan {
		if b < 64 {
			ops = append(ops, op{block: int(b) % ((len(basis) + blockLen - 1) / blockLen)})
			continue
		}
		from := int(b) * 37 % len(basis)
		n := min(1+int(b)*int(b)/8, len(basis)-from)
		ops = append(ops, op{literal: basis[from : from+n]})
	}
	return ops
}

// FuzzDecoder reads hostile bytes as two files: it must end with an error or
// with the end of the file, and deliver nothing else than the buffer holds.
func FuzzDecoder(f *testing.F) {
	basis := bytes.Repeat([]byte("some basis text "), 300)
	for i, m := range allMethods {
		var buf bytes.Buffer
		o := compress.Options{Method: m, Protocol: 31}
		e, err := compress.New(&buf, o)
		if err != nil {
			f.Fatal(err)
		}
		encode(f, e, []op{{literal: basis[:900]}, {block: 1}, {block: 2}, {literal: basis[3:200]}}, basis, 700)
		encode(f, e, []op{{block: 3}, {literal: basis[90:1200]}}, basis, 700)
		e.Close()
		f.Add(buf.Bytes(), uint8(i), uint16(512))
	}
	f.Fuzz(func(t *testing.T, stream []byte, method uint8, piece uint16) {
		const most = 1000 // tokens: bombs take long
		o := compress.Options{Method: allMethods[int(method)%len(allMethods)], Protocol: 30}
		d, err := compress.NewDecoder(wire.NewReader(bytes.NewReader(stream)), o)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		got := make([]byte, int(piece)+1)
		for range 2 {
			d.Start(7)
			for range most {
				token, err := d.Next(got)
				if err != nil {
					return
				}
				if token.End() {
					break
				}
				if len(token.Literal) > len(got) || token.First < 0 || token.First+token.Blocks > 7 {
					t.Fatalf("token %d bytes, blocks %d+%d", len(token.Literal), token.First, token.Blocks)
				}
				for i := range token.Blocks {
					d.See(basis[(token.First+i)*600:][:600], true)
				}
			}
		}
	})
}
