package compress_test

import (
	"bytes"
	"testing"

	"lockstep/internal/rsync/compress"
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
