package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"lockstep/internal/rsync/wire"
)

// unhex decodes hex digits with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The worked examples of rsync-session 5.5 and rsync-filelist 0.
func TestVarintExamples(t *testing.T) {
	rows := []struct {
		value int32
		hex   string
	}{
		{0, "00"},
		{5, "05"},
		{127, "7F"},
		{128, "80 80"},
		{255, "80 FF"},
		{300, "81 2C"},
		{0x1FE, "81 FE"},
		{0x2B8, "82 B8"},
		{1000, "83 E8"},
		{0x3FFF, "BF FF"},
		{0x4000, "C0 00 40"},
		{0x1FFFFF, "DF FF FF"},
		{0x200000, "E0 00 00 20"},
		{0x0FFFFFFF, "EF FF FF FF"},
		{0x10000000, "F0 00 00 00 10"},
		{0x7FFFFFFF, "F0 FF FF FF 7F"},
		{-1, "F0 FF FF FF FF"},
		{math.MinInt32, "F0 00 00 00 80"},
	}
	for _, row := range rows {
		want := unhex(t, row.hex)
		if got := wire.AppendVarint(nil, row.value); !bytes.Equal(got, want) {
			t.Errorf("varint %d = % X, want % X", row.value, got, want)
		}
		got, err := wire.NewReader(bytes.NewReader(want)).Varint()
		if err != nil || got != row.value {
			t.Errorf("reading % X: %d, %v; want %d", want, got, err, row.value)
		}
	}
}

func TestVarlongExamples(t *testing.T) {
	rows := []struct {
		value   int64
		minimum int
		hex     string
	}{
		{0, 3, "00 00 00"},
		{5, 3, "00 05 00"},
		{6, 3, "00 06 00"},
		{3000, 3, "00 B8 0B"},
		{4096, 3, "00 00 10"},
		{0xFFFF, 3, "00 FF FF"},
		{0x10000, 3, "01 00 00"},
		{70000, 3, "01 70 11"},
		{0x7FFFFF, 3, "7F FF FF"},
		{0x800000, 3, "80 00 00 80"},
		{0x3FFFFFFF, 3, "BF FF FF FF"},
		{0x40000000, 3, "C0 00 00 00 40"},
		{0x1FFFFFFFFF, 3, "DF FF FF FF FF"},
		{math.MaxInt64, 3, "FC FF FF FF FF FF FF FF 7F"},
		{-1, 3, "FC FF FF FF FF FF FF FF FF"},
		{0x695735A5, 4, "69 A5 35 57"},
		{1700000000, 4, "65 00 F1 53"},
		{0x80000000, 4, "80 00 00 00 80"},
		{1 << 32, 4, "81 00 00 00 00"},
		{-1, 4, "F8 FF FF FF FF FF FF FF FF"},
	}
	for _, row := range rows {
		want := unhex(t, row.hex)
		if got := wire.AppendVarlong(nil, row.value, row.minimum); !bytes.Equal(got, want) {
			t.Errorf("varlong(%d) %d = % X, want % X", row.minimum, row.value, got, want)
		}
		got, err := wire.NewReader(bytes.NewReader(want)).Varlong(row.minimum)
		if err != nil || got != row.value {
			t.Errorf("reading % X: %d, %v; want %d", want, got, err, row.value)
		}
	}
}

func TestLongintExamples(t *testing.T) {
	rows := []struct {
		value int64
		hex   string
	}{
		{0, "00 00 00 00"},
		{6, "06 00 00 00"},
		{0x7FFFFFFF, "FF FF FF 7F"},
		{0x80000000, "FF FF FF FF 00 00 00 80 00 00 00 00"},
		{-1, "FF FF FF FF FF FF FF FF FF FF FF FF"},
	}
	for _, row := range rows {
		want := unhex(t, row.hex)
		if got := wire.AppendLongint(nil, row.value); !bytes.Equal(got, want) {
			t.Errorf("longint %d = % X, want % X", row.value, got, want)
		}
		got, err := wire.NewReader(bytes.NewReader(want)).Longint()
		if err != nil || got != row.value {
			t.Errorf("reading % X: %d, %v; want %d", want, got, err, row.value)
		}
	}
}

func TestVString(t *testing.T) {
	rows := []struct {
		length int
		prefix string
	}{
		{0, "00"}, {30, "1E"}, {127, "7F"}, {128, "80 80"}, {255, "80 FF"}, {256, "81 00"}, {wire.VStringMax, "FF FF"},
	}
	for _, row := range rows {
		s := strings.Repeat("x", row.length)
		b, err := wire.AppendVString(nil, s)
		if err != nil || !bytes.Equal(b, append(unhex(t, row.prefix), s...)) {
			t.Errorf("vstring of %d bytes begins % X, %v", row.length, b[:min(len(b), 2)], err)
		}
		if got, err := wire.NewReader(bytes.NewReader(b)).VString(row.length); err != nil || got != s {
			t.Errorf("reading a vstring of %d bytes: %d bytes, %v", row.length, len(got), err)
		}
		if row.length > 0 {
			if _, err := wire.NewReader(bytes.NewReader(b)).VString(row.length - 1); !errors.Is(err, wire.ErrStream) {
				t.Errorf("vstring of %d bytes beyond the limit: %v", row.length, err)
			}
		}
	}
	if _, err := wire.AppendVString(nil, strings.Repeat("x", wire.VStringMax+1)); err == nil {
		t.Error("a string that no vstring can hold was written")
	}
}

// The sequences of rsync-session 5.5 and rsync-transfer 1.2, each from a fresh
// state.
func TestNdxSequences(t *testing.T) {
	type step struct {
		n   int32
		hex string
	}
	rows := []struct {
		name  string
		proto int
		steps []step
	}{
		{"the long example", 32, []step{
			{0, "01"}, {1, "01"}, {5, "04"}, {wire.NDXDone, "00"}, {258, "FD"}, {512, "FE 00 FE"}, {512, "FE 00 00"},
			{40000, "FE 80 40 9C 00"}, {39999, "FE 80 3F 9C 00"}, {wire.NDXFlistEOF, "FF 01"}, {-101, "FF 63"},
			{-102, "FF 01"}, {wire.NDXDelStats, "FF FE 80 03 00 00"}, {40000, "01"}, {19088743, "FE 81 67 45 23"},
		}},
		{"deletion statistics as first negative", 30, []step{{wire.NDXDelStats, "FF 02"}}},
		{"a file list as first negative", 31, []step{{wire.NDXFlistOffset, "FF 64"}, {-103, "FF 02"}}},
		{"the largest index", 32, []step{{math.MaxInt32, "FE FF FF FF FF"}, {0, "FE 80 00 00 00"}}},
		{"plain integers before protocol 30", 29, []step{
			{0, "00 00 00 00"}, {1, "01 00 00 00"}, {wire.NDXDone, "FF FF FF FF"}, {40000, "40 9C 00 00"},
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			w := wire.NewWriter(&out)
			var want []byte
			for _, s := range row.steps {
				w.Ndx(row.proto, s.n)
				want = append(want, unhex(t, s.hex)...)
			}
			if err := w.Flush(); err != nil || !bytes.Equal(out.Bytes(), want) {
				t.Fatalf("wrote % X, %v; want % X", out.Bytes(), err, want)
			}
			r := wire.NewReader(&out)
			for _, s := range row.steps {
				if n, err := r.Ndx(row.proto); err != nil || n != s.n {
					t.Fatalf("read %d, %v; want %d", n, err, s.n)
				}
			}
		})
	}
}

func TestBadIntegers(t *testing.T) {
	varint := func(r *wire.Reader) error { _, err := r.Varint(); return err }
	varlong := func(r *wire.Reader) error { _, err := r.Varlong(3); return err }
	varlong4 := func(r *wire.Reader) error { _, err := r.Varlong(4); return err }
	longint := func(r *wire.Reader) error { _, err := r.Longint(); return err }
	ndx := func(r *wire.Reader) error { _, err := r.Ndx(32); return err }
	twice := func(r *wire.Reader) error { r.Ndx(32); _, err := r.Ndx(32); return err }
	rows := []struct {
		name string
		read func(*wire.Reader) error
		hex  string
		want error
	}{
		{"varint with five extra bytes", varint, "F8 00 00 00 00 00", wire.ErrStream},
		{"varint beyond 32 bits", varint, "F1 00 00 00 00", wire.ErrStream},
		{"varint of nothing", varint, "", io.EOF},
		{"varint cut short", varint, "F0 00", io.ErrUnexpectedEOF},
		{"varint without its extra byte", varint, "80", io.ErrUnexpectedEOF},
		{"varlong beyond 64 bits", varlong, "FD 00 00 00 00 00 00 00 00", wire.ErrStream},
		{"varlong of ones", varlong, "FF FF FF FF FF FF FF FF FF", wire.ErrStream},
		{"varlong with too many extra bytes", varlong4, "FC 00 00 00 00 00 00 00 00 00", wire.ErrStream},
		{"longint that begins with another negative", longint, "FE FF FF FF", wire.ErrStream},
		{"longint cut short", longint, "FF FF FF FF 00", io.ErrUnexpectedEOF},
		{"index beyond 31 bits by addition", twice, "FE FF FF FF FF 01", wire.ErrStream},
		{"sign without index", ndx, "FF", io.ErrUnexpectedEOF},
		{"sign and DONE", ndx, "FF 00", wire.ErrStream},
		{"two signs", ndx, "FF FF", wire.ErrStream},
		{"negative zero", ndx, "FF FE 80 00 00 00", wire.ErrStream},
		{"DONE in the long form", ndx, "FF FE 80 01 00 00", wire.ErrStream},
		{"long index cut short", ndx, "FE 80 01", io.ErrUnexpectedEOF},
		{"long index without bytes", ndx, "FE", io.ErrUnexpectedEOF},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := wire.NewReader(bytes.NewReader(unhex(t, row.hex)))
			if err := row.read(r); !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
		})
	}
}

func TestReaderErrorsStick(t *testing.T) {
	r := wire.NewReader(bytes.NewReader(unhex(t, "F8 01 02 03")))
	_, first := r.Varint()
	if _, err := r.Byte(); err == nil || err != first {
		t.Errorf("after %v: %v", first, err)
	}
	if err := r.ReadFull(make([]byte, 1)); err != first {
		t.Errorf("after %v: %v", first, err)
	}
}
