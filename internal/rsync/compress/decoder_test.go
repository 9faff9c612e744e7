package compress_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/wire"
)

func newDecoder(t testing.TB, stream []byte, o compress.Options) compress.Decoder {
	t.Helper()
	d, err := compress.NewDecoder(wire.NewReader(bytes.NewReader(stream)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// decodeFile rebuilds one file, with literals in pieces of at most piece bytes.
func decodeFile(d compress.Decoder, basis []byte, blockLen, piece int) ([]byte, error) {
	d.Start((len(basis) + blockLen - 1) / blockLen)
	var out []byte
	buf := make([]byte, piece)
	for {
		token, err := d.Next(buf)
		if err != nil || token.End() {
			return out, err
		}
		if n := len(token.Literal); token.Blocks == 0 && (n == 0 || n > piece) {
			return out, fmt.Errorf("literal of %d bytes in a buffer of %d", n, piece)
		}
		out = append(out, token.Literal...)
		for n := range token.Blocks {
			data, err := block(basis, blockLen, token.First+n)
			if err != nil {
				return out, err
			}
			out = append(out, data...)
			d.See(data[:len(data)/3], false)
			d.See(data[len(data)/3:], true)
		}
	}
}

func TestDecoderRebuildsWhatTheEncoderWrote(t *testing.T) {
	for _, m := range allMethods {
		for _, protocol := range []int{30, 31} {
			if m != compress.Zlib && protocol < 31 {
				continue // the same stream
			}
			for _, blockLen := range []int{700, 70000, 131072} {
				for _, piece := range []int{113, 256 << 10} {
					t.Run(fmt.Sprintf("%v protocol %d blocks of %d pieces of %d", m, protocol, blockLen, piece), func(t *testing.T) {
						decodeSession(t, compress.Options{Method: m, Protocol: protocol}, blockLen, piece)
					})
				}
			}
		}
	}
}

func decodeSession(t *testing.T, o compress.Options, blockLen, piece int) {
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
		buf.WriteString("digest")
	}
	in := wire.NewReader(&buf)
	d, err := compress.NewDecoder(in, o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range want {
		got, err := decodeFile(d, basis, blockLen, piece)
		if err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
		if !bytes.Equal(got, want[i]) {
			t.Fatalf("file %d differs", i)
		}
		digest := make([]byte, len("digest"))
		if err := in.ReadFull(digest); err != nil || string(digest) != "digest" {
			t.Fatalf("file %d is followed by %q, error %v", i, digest, err)
		}
	}
}

func TestDecoderReadsTheWorkedExample(t *testing.T) {
	streams := map[compress.Method]string{
		compress.Zlib:  "40067274a43d0000 C00200 400aca48cdc9c95720950400 C30100 400772f573c1830000 00",
		compress.Zlibx: "40067274a43d0000 C00200 400aca48cdc9c95720950400 C30100 400772f573c1830000 00",
		compress.Zstd: "401128b52ffd005844000010414101003f012c C00200 400f6400003068656c6c6f200100252a45" +
			"C30100 400c4c000018454e440100866e08 00",
		compress.LZ4: "400b1f4101004b504141414141 C00200 40106f68656c6c6f2006001850656c6c6f20" +
			"C30100 400d3f454e44030003504e44454e44 00",
		compress.None: "64000000" + strings.Repeat("41", 100) + "ffffffff feffffff fdffffff" +
			"36000000" + strings.Repeat("68656c6c6f20", 9) + "faffffff f9ffffff" +
			"1e000000" + strings.Repeat("454e44", 10) + "00000000",
	}
	basis := noise(rand.New(rand.NewPCG(3, 6)), 7*700)
	for m, stream := range streams {
		t.Run(m.String(), func(t *testing.T) {
			var buf bytes.Buffer
			want := encode(t, newEncoder(t, &buf, compress.Options{}), exampleOps(), basis, 700)
			raw := unhex(t, stream)
			d := newDecoder(t, raw, compress.Options{Method: m, Protocol: 31})
			got, err := decodeFile(d, basis, 700, 1000)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("decoded file differs, error %v", err)
			}
			if d.Taken() != int64(len(raw)) {
				t.Errorf("%d bytes taken of %d", d.Taken(), len(raw))
			}
		})
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestStreamsThatAreCutOffGiveAnError(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(3, 6)), 7*700)
	for _, m := range allMethods {
		var buf bytes.Buffer
		o := compress.Options{Method: m, Protocol: 31}
		encode(t, newEncoder(t, &buf, o), exampleOps(), basis, 700)
		for n := range buf.Len() {
			_, err := decodeFile(newDecoder(t, buf.Bytes()[:n], o), basis, 700, 1000)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%v cut at %d of %d: error %v", m, n, buf.Len(), err)
			}
		}
	}
}

func TestTokensOutsideTheBasisAreRefused(t *testing.T) {
	var invalid *compress.BlockError
	tests := []struct {
		name, stream string
		method       compress.Method
		index        int64
	}{
		{"plain block after the last", "f8ffffff", compress.None, 7},
		{"lowest plain number", "00000080", compress.None, 1<<31 - 1},
		{"near block after the last", "87", compress.Zstd, 7},
		{"near run past the end", "c6 0100", compress.Zlib, 7},
		{"longest run", "c0 ffff", compress.LZ4, 65535},
		{"far block after the last", "20 07000000", compress.Zlibx, 7},
		{"negative far block", "20 ffffffff", compress.Zlibx, -1},
		{"far run past the end", "21 05000000 0200", compress.Zstd, 7},
		{"highest far run", "21 ffffff7f ffff", compress.Zstd, 1<<31 - 1},
		{"second token counts from the end of the first", "83 84", compress.Zstd, 7},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDecoder(t, unhex(t, test.stream), compress.Options{Method: test.method, Protocol: 31})
			_, err := decodeFile(d, make([]byte, 7*700), 700, 100)
			if !errors.As(err, &invalid) || invalid.Index != test.index || invalid.Count != 7 {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestBrokenDataIsAnErrorOfTheStream(t *testing.T) {
	tests := []struct {
		name, stream string
		method       compress.Method
	}{
		{"unknown flag", "01", compress.Zlib},
		{"flag beside the long ones", "22", compress.Zstd},
		{"run of no more blocks", "c0 0000", compress.LZ4},
		{"empty packet", "4000", compress.LZ4},
		{"empty packet after another", "4001 78 4000", compress.Zlib},
		{"deflate with a distance before its start", "4003 024000 00", compress.Zlib},
		{"deflate with a reserved block type", "4001 06 00", compress.Zlibx},
		{"deflate that stops within a block", "4003 7274a4 00", compress.Zlibx},
		{"deflate section with its tail left on", "400a 7274a43d00000000ffff 00", compress.Zlibx},
		{"deflate that ends", "4002 0300 00", compress.Zlibx},
		{"deflate that goes on after its end", "4009 030000010002fffd00 00", compress.Zlib},
		{"zstd without its magic number", "4004 28b52ffe 00", compress.Zstd},
		{"zstd with a reserved block type", "4009 28b52ffd0058 060000 00", compress.Zstd},
		{"zstd with a dictionary", "400a 28b52ffd0158 07 010000 00", compress.Zstd},
		{"zstd window of 256 MiB", "400a 28b52ffd0090 09000041 00", compress.Zstd},
		{"lz4 with an offset before its start", "4006 104105000000 00", compress.LZ4},
		{"lz4 that unpacks to nothing", "4001 00 00", compress.LZ4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDecoder(t, unhex(t, test.stream), compress.Options{Method: test.method, Protocol: 31})
			if _, err := decodeFile(d, nil, 700, 100); !errors.Is(err, wire.ErrStream) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// packed makes data packets of p.
func packed(p []byte) []byte {
	var out []byte
	for len(p) > 0 {
		n := min(len(p), 16383)
		out = append(out, 0x40|byte(n>>8), byte(n))
		out = append(out, p[:n]...)
		p = p[n:]
	}
	return out
}

// A zip bomb comes out in pieces of the buffer; a packet of lz4, which is
// unpacked as a whole, is bounded.
func TestBombsAreDeliveredInPieces(t *testing.T) {
	const size = 16 << 20
	zeros := make([]byte, 1<<20)
	var deflated, framed bytes.Buffer
	fw, err := flate.NewWriter(&deflated, 9)
	if err != nil {
		t.Fatal(err)
	}
	zw, err := zstd.NewWriter(&framed)
	if err != nil {
		t.Fatal(err)
	}
	for range size / len(zeros) {
		if err := errors.Join(second(fw.Write(zeros)), second(zw.Write(zeros))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(fw.Flush(), zw.Flush()); err != nil {
		t.Fatal(err)
	}
	streams := map[compress.Method][]byte{
		compress.Zlibx: deflated.Bytes()[:deflated.Len()-4],
		compress.Zstd:  framed.Bytes(),
	}
	for m, p := range streams {
		d := newDecoder(t, append(packed(p), 0), compress.Options{Method: m, Protocol: 31})
		d.Start(0)
		buf := make([]byte, 32<<10)
		total := 0
		for {
			token, err := d.Next(buf)
			if err != nil {
				t.Fatalf("%v: %v", m, err)
			}
			if token.End() {
				break
			}
			total += len(token.Literal)
		}
		if total != size {
			t.Errorf("%v: %d bytes", m, total)
		}
	}
	bomb := append([]byte{0x1f, 0, 1, 0}, bytes.Repeat([]byte{255}, 16000)...)
	bomb = append(bomb, 0, 0x10, 0)
	d := newDecoder(t, append(packed(bomb), 0), compress.Options{Method: compress.LZ4, Protocol: 31})
	if _, err := decodeFile(d, nil, 700, 100); !errors.Is(err, wire.ErrStream) {
		t.Errorf("lz4: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestPlainLiteralsOfAnyLengthAreRead(t *testing.T) {
	data := noise(rand.New(rand.NewPCG(1, 1)), 3<<20)
	stream := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
	stream = append(append(stream, data...), 0, 0, 0, 0)
	got, err := decodeFile(newDecoder(t, stream, compress.Options{Protocol: 31}), nil, 700, 32<<10)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("decoded %d bytes, error %v", len(got), err)
	}
}

// Of a file that is thrown away nobody reads the basis: blocks are shown as
// zeros, and the stream can still be followed.
func TestStreamCanBeFollowedWithoutTheBlocksContents(t *testing.T) {
	basis := noise(rand.New(rand.NewPCG(3, 3)), 20000)
	var buf bytes.Buffer
	o := compress.Options{Method: compress.Zlib, Protocol: 31}
	e := newEncoder(t, &buf, o)
	encode(t, e, []op{{block: 0}, {literal: basis}}, basis, len(basis))
	want := encode(t, e, []op{{literal: []byte("the next file")}}, nil, 1)
	d := newDecoder(t, buf.Bytes(), o)
	if !d.Sees() {
		t.Error("zlib does not need blocks")
	}
	if _, err := decodeFile(d, make([]byte, len(basis)), len(basis), 1000); err != nil {
		t.Fatal(err)
	}
	if got, err := decodeFile(d, nil, 1, 1000); err != nil || !bytes.Equal(got, want) {
		t.Errorf("next file is %q, error %v", got, err)
	}
}

// A frame may have blocks that unpack to nothing, also at the end of a section.
func TestEmptyZstdBlocksEndASection(t *testing.T) {
	stream := "400f 28b52ffd0058 000000 180000 414243 4002 0000 4001 00 80 00"
	got, err := decodeFile(newDecoder(t, unhex(t, stream), compress.Options{Method: compress.Zstd, Protocol: 31}), []byte("x"), 1, 100)
	if err != nil || string(got) != "ABCx" {
		t.Errorf("decoded %q, error %v", got, err)
	}
}

func TestTheLargestZstdWindowIsAccepted(t *testing.T) {
	stream := "400c 28b52ffd0088 180000 414243 00" // 2^27 bytes
	got, err := decodeFile(newDecoder(t, unhex(t, stream), compress.Options{Method: compress.Zstd, Protocol: 31}), nil, 1, 100)
	if err != nil || string(got) != "ABC" {
		t.Errorf("decoded %q, error %v", got, err)
	}
}

func TestDecodersOfClosedSessionsEnd(t *testing.T) {
	for _, m := range allMethods {
		d, err := compress.NewDecoder(wire.NewReader(strings.NewReader("\x40\x01")), compress.Options{Method: m, Protocol: 31})
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	if _, err := compress.NewDecoder(nil, compress.Options{Method: 99}); err == nil {
		t.Error("an unknown method is accepted")
	}
}

func TestDecodingSmallFilesDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data, basis := text(r, 3000), noise(r, 1400)
	buf := make([]byte, 32<<10)
	for _, m := range allMethods {
		o := compress.Options{Method: m, Protocol: 31}
		var stream bytes.Buffer
		e := newEncoder(t, &stream, o)
		for range 60 {
			if err := errors.Join(e.Literal(data), e.Block(0, basis[:700]), e.Block(1, basis[700:]), e.Literal(data), e.End()); err != nil {
				t.Fatal(err)
			}
		}
		d := newDecoder(t, stream.Bytes(), o)
		file := func() {
			d.Start(2)
			for {
				token, err := d.Next(buf)
				if err != nil {
					t.Fatal(err)
				}
				if token.End() {
					return
				}
				for n := range token.Blocks {
					d.See(basis[(token.First+n)*700:][:700], true)
				}
			}
		}
		file()
		if n := testing.AllocsPerRun(50, file); n > 0 {
			t.Errorf("%v allocates %v times per file", m, n)
		}
	}
}
