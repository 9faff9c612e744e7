package compress_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/rsync/compress"
)

var allMethods = []compress.Method{compress.None, compress.Zlib, compress.Zlibx, compress.Zstd, compress.LZ4}

// op is one step of a file: a literal, or a block if data is nil.
type op struct {
	literal []byte
	block   int
}

func lit(s string) op { return op{literal: []byte(s)} }
func blocks(n ...int) []op {
	var ops []op
	for _, n := range n {
		ops = append(ops, op{block: n})
	}
	return ops
}

// encode writes a file and returns its contents.
func encode(t testing.TB, e compress.Encoder, ops []op, basis []byte, blockLen int) []byte {
	t.Helper()
	var want []byte
	for _, o := range ops {
		if o.literal != nil {
			if err := e.Literal(o.literal); err != nil {
				t.Fatal(err)
			}
			want = append(want, o.literal...)
			continue
		}
		data, err := block(basis, blockLen, o.block)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Block(o.block, data); err != nil {
			t.Fatal(err)
		}
		want = append(want, data...)
	}
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	return want
}

func newEncoder(t testing.TB, w *bytes.Buffer, o compress.Options) compress.Encoder {
	t.Helper()
	e, err := compress.New(w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// text returns n bytes that compress somewhat.
func text(r *rand.Rand, n int) []byte {
	p := make([]byte, 0, n+32)
	for len(p) < n {
		p = append(p, "line "...)
		p = strconv.AppendInt(p, int64(r.IntN(1000)), 10)
		p = append(p, " of the file\n"...)
	}
	return p[:n]
}

func noise(r *rand.Rand, n int) []byte {
	p := make([]byte, 0, n+8)
	for len(p) < n {
		p = binary.LittleEndian.AppendUint64(p, r.Uint64())
	}
	return p[:n]
}

// The file of section 3.6 of the specification. Compressed bytes may differ
// from other libraries' for the same data; flags may not.
func exampleOps() []op {
	ops := []op{lit(strings.Repeat("A", 100))}
	ops = append(ops, blocks(0, 1, 2)...)
	ops = append(ops, lit(strings.Repeat("hello hello hello ", 3)))
	ops = append(ops, blocks(5, 6)...)
	return append(ops, lit(strings.Repeat("END", 10)))
}

func TestWorkedExampleHasTheFlagsOfTheSpecification(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(3, 6)), 7*700)
	for _, m := range allMethods[1:] {
		t.Run(m.String(), func(t *testing.T) {
			var buf bytes.Buffer
			e := newEncoder(t, &buf, compress.Options{Method: m, Protocol: 31})
			want := encode(t, e, exampleOps(), basis, 700)
			d := &decoder{method: m, protocol: 31, in: bytes.NewReader(buf.Bytes())}
			got, err := d.file(basis, 700)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("decoded file differs")
			}
			if flags := strings.Join(d.tokens, " "); flags != "data c0 data c3 data 00" {
				t.Errorf("flags %s", flags)
			}
		})
	}
}

func TestDecoderReadsTheBytesOfTheSpecification(t *testing.T) {
	streams := map[compress.Method]string{
		compress.Zlib: "40067274a43d0000 C00200 400aca48cdc9c95720950400 C30100 400772f573c1830000 00",
		compress.Zstd: "401128b52ffd005844000010414101003f012c C00200 400f6400003068656c6c6f200100252a45" +
			"C30100 400c4c000018454e440100866e08 00",
		compress.LZ4: "400b1f4101004b504141414141 C00200 40106f68656c6c6f2006001850656c6c6f20" +
			"C30100 400d3f454e44030003504e44454e44 00",
	}
	basis := noise(rand.New(rand.NewPCG(3, 6)), 7*700)
	for m, stream := range streams {
		t.Run(m.String(), func(t *testing.T) {
			raw, err := hex.DecodeString(strings.ReplaceAll(stream, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			var buf bytes.Buffer
			want := encode(t, newEncoder(t, &buf, compress.Options{}), exampleOps(), basis, 700)
			d := &decoder{method: m, protocol: 31, in: bytes.NewReader(raw)}
			if m == compress.Zlib {
				d.method = compress.Zlibx // the literals do not refer to the blocks
			}
			got, err := d.file(basis, 700)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("decoded file differs, error %v", err)
			}
		})
	}
}

func TestPlainStreamIsThatOfTheSpecification(t *testing.T) {
	// 3.1: 90 bytes inserted before block 2 of eight.
	basis := noise(rand.New(rand.NewPCG(3, 1)), 5000)
	insert := strings.Repeat("x", 90)
	ops := append(blocks(0, 1), lit(insert))
	ops = append(ops, blocks(2, 3, 4, 5, 6, 7)...)
	var buf bytes.Buffer
	encode(t, newEncoder(t, &buf, compress.Options{Protocol: 31}), ops, basis, 700)
	want := "fffffffffeffffff5a000000" + hex.EncodeToString([]byte(insert)) +
		"fdfffffffcfffffffbfffffffafffffff9fffffff8ffffff00000000"
	if got := hex.EncodeToString(buf.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRunsAreCodedInTheShortestForm(t *testing.T) {
	span := func(first, count int) []op {
		var ops []op
		for n := range count {
			ops = append(ops, op{block: first + n})
		}
		return ops
	}
	basis := make([]byte, 70000*2)
	tests := []struct {
		name string
		ops  []op
		want string
	}{
		{"empty file", nil, "00"},
		{"block 0 alone", blocks(0), "80 00"},
		{"furthest near block", blocks(63), "bf 00"},
		{"first far block", blocks(64), "20 40000000 00"},
		{"far run", span(64, 3), "21 40000000 0200 00"},
		{"near run", span(1, 2), "c1 0100 00"},
		{"same block twice is two tokens", blocks(0, 0), "80 80 00"},
		{"block before the last is far", blocks(5, 4), "85 20 04000000 00"},
		{"previous is the last of a run", append(span(0, 10), blocks(72)...), "c0 0900 bf 00"},
		{"longest run", span(0, 65536), "c0 ffff 00"},
		{"one more block than the longest run", span(0, 65537), "c0 ffff 81 00"},
		{"two more blocks than the longest run", span(0, 65538), "c0 ffff c1 0100 00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, m := range allMethods[1:] {
				var buf bytes.Buffer
				e := newEncoder(t, &buf, compress.Options{Method: m, Protocol: 31})
				// The second file shows that counting starts again.
				for range 2 {
					buf.Reset()
					encode(t, e, test.ops, basis, 2)
					if got := hex.EncodeToString(buf.Bytes()); got != strings.ReplaceAll(test.want, " ", "") {
						t.Errorf("%v: got %s", m, got)
					}
				}
			}
		})
	}
}

func TestSessionsOfManyFilesDecode(t *testing.T) {
	for _, m := range allMethods {
		for _, protocol := range []int{29, 30, 31} {
			if m != compress.Zlib && protocol < 31 {
				continue // the same stream
			}
			for _, blockLen := range []int{700, 70000, 131072} {
				t.Run(fmt.Sprintf("%v protocol %d block %d", m, protocol, blockLen), func(t *testing.T) {
					session(t, compress.Options{Method: m, Protocol: protocol}, blockLen)
				})
			}
		}
	}
}

func TestEveryLevelDecodes(t *testing.T) {
	for _, m := range allMethods {
		for _, level := range []int{-100, 0, 1, 3, 6, 7, 9, 12} {
			if m == compress.None || m == compress.LZ4 && level != 0 || m == compress.Zlibx && level < 7 {
				continue // the same as another
			}
			t.Run(fmt.Sprintf("%v level %d", m, level), func(t *testing.T) {
				session(t, compress.Options{Method: m, Level: level, Protocol: 31}, 5000)
			})
		}
	}
}

// session encodes a few files that refer to their basis and to themselves, and
// decodes them.
func session(t *testing.T, o compress.Options, blockLen int) {
	r := rand.New(rand.NewPCG(uint64(blockLen), uint64(o.Protocol)))
	basis := text(r, 3*blockLen+blockLen/2)
	files := [][]op{
		{},
		{{literal: text(r, 1)}},
		{{literal: text(r, 50000)}, {literal: noise(r, 50000)}, {literal: text(r, 100)}},
		{{block: 1}, {literal: bytes.Clone(basis[blockLen : blockLen+blockLen/2])}, {block: 3}},
		{{literal: text(r, 40)}, {block: 2}, {block: 3}, {literal: bytes.Clone(basis[2*blockLen:])}},
		{{block: 0}, {block: 1}, {block: 2}, {block: 3}},
	}
	var buf bytes.Buffer
	e := newEncoder(t, &buf, o)
	var want [][]byte
	for _, ops := range files {
		want = append(want, encode(t, e, ops, basis, blockLen))
	}
	d := &decoder{method: o.Method, protocol: o.Protocol, in: bytes.NewReader(buf.Bytes())}
	for i := range want {
		got, err := d.file(basis, blockLen)
		if err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
		if !bytes.Equal(got, want[i]) {
			t.Fatalf("file %d differs", i)
		}
	}
	if d.in.Len() != 0 {
		t.Errorf("%d bytes follow the last file", d.in.Len())
	}
}

func TestZlibFindsMatchedBlocksInItsHistory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	basis := noise(r, 20000)
	size := func(m compress.Method) int {
		var buf bytes.Buffer
		e := newEncoder(t, &buf, compress.Options{Method: m, Protocol: 31})
		encode(t, e, []op{{block: 0}, {literal: basis}}, basis, 20000)
		return buf.Len()
	}
	if with, without := size(compress.Zlib), size(compress.Zlibx); with > without/10 {
		t.Errorf("zlib %d bytes, zlibx %d", with, without)
	}
}

func TestUnknownMethodIsRefused(t *testing.T) {
	if _, err := compress.New(&bytes.Buffer{}, compress.Options{Method: 99}); err == nil {
		t.Error("no error")
	}
}

// failing takes some bytes and then fails.
type failing struct{ left int }

var errFull = errors.New("connection is gone")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrorsOfTheWriterAreReported(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data, basis := noise(r, 100000), noise(r, 700)
	for _, m := range allMethods {
		for _, room := range []int{0, 1, 3, 20000, 100000} {
			e, err := compress.New(&failing{left: room}, compress.Options{Method: m, Protocol: 31})
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(e.Block(0, basis), e.Literal(data), e.Block(0, basis), e.End())
			if !errors.Is(err, errFull) {
				t.Errorf("%v with room for %d bytes: error %v", m, room, err)
			}
			e.Close()
		}
	}
}

func TestSmallFilesDoNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data, basis := text(r, 3000), noise(r, 1400)
	for _, m := range allMethods {
		var buf bytes.Buffer
		e := newEncoder(t, &buf, compress.Options{Method: m, Protocol: 31})
		file := func() {
			buf.Reset()
			if err := errors.Join(e.Literal(data), e.Block(0, basis[:700]), e.Block(1, basis[700:]), e.Literal(data), e.End()); err != nil {
				t.Fatal(err)
			}
		}
		file()
		if n := testing.AllocsPerRun(50, file); n > 0 {
			t.Errorf("%v allocates %v times per file", m, n)
		}
	}
}

// Long literals are compressed in pieces, by several goroutines: what they are
// put together to is decoded as what short ones are.
func TestLongLiteralsBetweenShortOnesDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	basis := noise(r, 7*700)
	for _, m := range allMethods[1:] {
		t.Run(m.String(), func(t *testing.T) {
			var buf bytes.Buffer
			e := newEncoder(t, &buf, compress.Options{Method: m, Protocol: 31})
			var files [][]byte
			for _, size := range []int{100, 3 << 20, 0, 1 << 20, 1<<20 + 1, 3, 5<<20 + 17, 2 << 20} {
				ops := append([]op{{literal: text(r, size)}, lit("and more")}, blocks(2, 3)...)
				ops = append(ops, op{literal: noise(r, size/3)}, op{block: 1}, op{literal: text(r, size/2)})
				files = append(files, encode(t, e, ops, basis, 700))
			}
			d := &decoder{method: m, protocol: 31, in: bytes.NewReader(buf.Bytes())}
			for i, want := range files {
				got, err := d.file(basis, 700)
				if err != nil {
					t.Fatalf("file %d: %v", i, err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("file %d differs", i)
				}
			}
		})
	}
}
