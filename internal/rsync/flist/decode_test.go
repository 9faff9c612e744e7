package flist_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// unhex turns hex with spaces and bars into bytes.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "|", "", "\n", "", "\t", "").Replace(text))
	must(t, err)
	return b
}

// decoding returns a Decoder of those bytes.
func decoding(t testing.TB, data []byte, o flist.Options, in flist.Receive) (*flist.Decoder, *wire.Reader) {
	t.Helper()
	r := wire.NewReader(bytes.NewReader(data))
	dec, err := flist.NewDecoder(r, o, in)
	must(t, err)
	return dec, r
}

// decoded is the only list in those bytes, which must end with it.
func decoded(t testing.TB, data []byte, o flist.Options, in flist.Receive) *flist.Received {
	t.Helper()
	dec, r := decoding(t, data, o, in)
	list, err := dec.First()
	must(t, err)
	if _, err := r.Byte(); err != io.EOF {
		t.Errorf("the list ends too early: %v", err)
	}
	return list
}

// lines are the entries of a list, one a line.
func lines(list *flist.Received) string {
	var b strings.Builder
	for _, f := range list.Files {
		m, target := f.Full(), f.Extra().Target
		name := string(f.Path)
		if name == "" {
			name = "."
		}
		fmt.Fprintf(&b, "%d %s %v %o %d %d:%d %d", f.Index, name, m.Kind, m.Perm, m.Size, m.UID, m.GID, m.Mtime.Sec)
		if m.Mtime.Nsec > 0 {
			fmt.Fprintf(&b, ".%09d", m.Mtime.Nsec)
		}
		if m.Kind.IsDevice() {
			fmt.Fprintf(&b, " %d,%d", m.Major, m.Minor)
		}
		if target != "" {
			fmt.Fprintf(&b, " -> %s", target)
		}
		for _, flag := range []struct {
			on   bool
			name string
		}{{f.Top, "top"}, {f.Content, "content"}, {f.Implied, "implied"}, {f.Dup, "dup"}, {f.Gone, "gone"}, {f.Group() != nil, "linked"}} {
			if flag.on {
				b.WriteString(" " + flag.name)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func wantLines(t *testing.T, what string, list *flist.Received, want string) {
	t.Helper()
	want = strings.TrimPrefix(strings.ReplaceAll(want, "\t", ""), "\n")
	if got := lines(list); got != want {
		t.Errorf("%s:\n%swant\n%s", what, got, want)
	}
}

// TestTheCapturedSessionIsUnderstood reads the lists of section 1.10.
func TestTheCapturedSessionIsUnderstood(t *testing.T) {
	dec, r := decoding(t, unhex(t, `
		01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00
		80 80 | 06 61 62 2e 74 78 74 | 00 05 00 | a4 81 00 00 | 83 e8 | 83 e8
		80 80 | 04 66 69 66 6f | 00 00 00 | a4 11 00 00 | 00 | 00
		80 98 | 03 64 65 76 | 00 00 00 | a4 21 00 00 | 05 | 81 2c
		a0 98 | 02 73 6c | 00 05 00 | e7 15 cd 5b | ff a1 00 00 | 05 61 2e 74 78 74
		80 98 | 01 65 | 00 00 10 | ed 41 00 00
		81 98 | 04 64 65 76 32 | 00 00 00 | a4 21 00 00 | 01
		92 98 | 05 61 2e 74 78 74 | 00 05 00 | a4 81 00 00
		80 98 | 01 64 | 00 00 10 | ed 41 00 00
		00 00
		ff 65
		82 b8 | 01 05 2f 6c 69 6e 6b | 08 | 00 05 00 | a4 81 00 00
		80 b8 | 02 03 73 75 62 | 00 00 10 | ed 41 00 00
		80 b8 | 02 03 62 69 67 | 01 70 11 | a4 81 00 00
		00 00
		ff 02 | 80 ba | 02 05 73 75 62 2f 7a | 00 01 00 | 00 00
		ff fe 80 67 00 00 | 00 00
		ff fe 80 02 00 00`), archive(32, wire.IncRecurse|wire.VarintFlistFlags|wire.SafeFlist), flist.Receive{})
	first, err := dec.First()
	must(t, err)
	wantLines(t, "first list", first, `
		1 . dir 755 4096 0:0 1700000000 top content
		2 a.txt file 644 5 0:0 1700000000 linked
		3 ab.txt file 644 5 1000:1000 1700000000
		4 dev char device 644 0 0:0 1700000000 5,300
		5 dev2 char device 644 0 0:0 1700000000 5,1
		6 fifo fifo 644 0 0:0 1700000000
		7 sl symlink 777 5 0:0 1700000000.123456789 -> a.txt
		8 d dir 755 4096 0:0 1700000000 content
		9 e dir 755 4096 0:0 1700000000 content
	`)
	if first.Dir == nil || first.Find(0) != first.Dir || first.Dir != first.Files[0] {
		t.Error("index 0 is not the root")
	}
	next := func(announced, dir int32) *flist.Received {
		t.Helper()
		ndx, err := r.Ndx(32)
		must(t, err)
		if ndx != announced {
			t.Fatalf("index %d, not %d", ndx, announced)
		}
		list, err := dec.Sub(dir)
		must(t, err)
		return list
	}
	d := next(-102, 1)
	wantLines(t, "list of d", d, `
		11 d/big file 644 70000 0:0 1700000000
		12 d/link file 644 5 0:0 1700000000 linked
		13 d/sub dir 755 4096 0:0 1700000000 content
	`)
	if d.Files[1].Group() != first.Files[1].Group() {
		t.Error("the linked files are in different groups")
	}
	wantLines(t, "list of d/sub", next(-104, 3), "\n15 d/sub/z file 644 1 0:0 1700000000\n")
	if e := next(-103, 2); len(e.Files) != 0 || e.Start != 17 || e.Dir.Path != "e" || e.Number != 4 {
		t.Errorf("list of e: %+v", e)
	}
	if ndx, err := r.Ndx(32); ndx != wire.NDXFlistEOF || err != nil {
		t.Errorf("the end is %d, %v", ndx, err)
	}
}

func TestCapturedEntriesAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		name string
		opts flist.Options
		in   flist.Receive
		data string
		want string
	}{
		{"protocol 29", archive(29, 0), flist.Receive{}, `
			01 | 01 2e | 00 10 00 00 | 00 f1 53 65 | ed 41 00 00 | 00 00 00 00 | 00 00 00 00
			84 09 | 04 66 69 66 6f | 00 00 00 00 | a4 11 00 00 | 00 00 00 00 | 00 00 00 00 | 00
			98 | 03 64 65 76 | 00 00 00 00 | a4 21 00 00 | 05 00 00 00 | 2c 01 00 00
			98 | 02 73 6c | 05 00 00 00 | ff a1 00 00 | 05 00 00 00 61 2e 74 78 74
			9c 09 | 04 64 65 76 32 | 00 00 00 00 | a4 21 00 00 | 01
			9c 02 | 05 61 2e 74 78 74 | 05 00 00 00 | a4 81 00 00 | 01 fe 00 00 | 91 89 a3 00
			98 | 01 64 | 00 10 00 00 | ed 41 00 00
			bc 06 | 01 05 2f 6c 69 6e 6b | 05 00 00 00 | a4 81 00 00 | 91 89 a3 00
			00 | 01 00 00 00`, `
			0 . dir 755 4096 0:0 1700000000 top content
			1 a.txt file 644 5 0:0 1700000000 linked
			2 dev char device 644 0 0:0 1700000000 5,300
			3 dev2 char device 644 0 0:0 1700000000 5,1
			4 fifo fifo 644 0 0:0 1700000000
			5 sl symlink 777 5 0:0 1700000000 -> a.txt
			6 d dir 755 4096 0:0 1700000000 content
			7 d/link file 644 5 0:0 1700000000 linked
		`},
		{"protocol 27", archive(27, 0), flist.Receive{}, `
			01 | 01 2e | 00 10 00 00 | 00 f1 53 65 | ed 41 00 00 | 00 00 00 00 | 00 00 00 00
			80 | 06 61 62 2e 74 78 74 | 05 00 00 00 | a4 81 00 00 | e8 03 00 00 | e8 03 00 00 | 01 fe 00 00 | a1 89 a3 00
			98 | 03 64 65 76 | 00 00 00 00 | a4 21 00 00 | 2c 05 10 00
			40 | 01 00 00 00 | 71 | 00 10 00 00 | 00 10 5e 5f | c0 41 00 00 | 01 00 00 00 | 01 00 00 00
			00 | 00 00 00 00`, `
			0 . dir 755 4096 0:0 1700000000 top content
			1 ab.txt file 644 5 1000:1000 1700000000
			2 dev char device 644 0 1000:1000 1700000000 5,300
			3 q dir 700 4096 1:1 1600000000 content
		`},
		{"protocol 32 with two-byte flags", archive(32, wire.SafeFlist), flist.Receive{}, `
			01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00
			98 | 03 64 65 76 | 00 00 00 | a4 21 00 00 | 05 | 81 2c
			9c 20 | 02 73 6c | 00 05 00 | e7 15 cd 5b | ff a1 00 00 | 05 61 2e 74 78 74
			9c 01 | 04 64 65 76 32 | 00 00 00 | a4 21 00 00 | 01
			9c 12 | 05 61 2e 74 78 74 | 00 05 00 | a4 81 00 00
			04 10 01`, `
			0 . dir 755 4096 0:0 1700000000 top content
			1 a.txt file 644 5 0:0 1700000000
			2 dev char device 644 0 0:0 1700000000 5,300
			3 dev2 char device 644 0 0:0 1700000000 5,1
			4 sl symlink 777 5 0:0 1700000000.123456789 -> a.txt
		`},
		{"protocol 30 has a minor for a fifo", archive(30, wire.VarintFlistFlags), flist.Receive{}, `
			01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00
			81 80 | 04 66 69 66 6f | 00 00 00 | a4 11 00 00 | 00 | 00 | 00 | 00 00`, `
			0 . dir 755 4096 0:0 1700000000 top content
			1 fifo fifo 644 0 0:0 1700000000
		`},
		{"hard links in one list are abbreviated", archive(32, wire.VarintFlistFlags), flist.Receive{}, `
			01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00
			80 98 | 01 78 | 00 01 00 | 80 81 00 00
			92 98 | 02 68 32 | 00 02 00 | a4 81 00 00
			82 ba | 01 01 33 | 02
			82 ba | 01 01 31 | 02
			00 00`, `
			0 . dir 755 4096 0:0 1700000000 top content
			1 h1 file 644 2 0:0 1700000000 linked
			2 h2 file 644 2 0:0 1700000000 linked
			3 h3 file 644 2 0:0 1700000000 linked
			4 x file 600 1 0:0 1700000000
		`},
		{"implied and listed directories", archive(32, wire.VarintFlistFlags), flist.Receive{Relative: true}, `
			81 01 | 01 64 | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00
			80 9b | 01 65 | 00 00 10
			81 9a | 01 66 | 00 00 10
			00 02`, `
			0 d dir 755 4096 0:0 1700000000 implied
			1 e dir 755 4096 0:0 1700000000 top content
			2 f dir 755 4096 0:0 1700000000
		`},
		{"a missing argument", archive(32, wire.VarintFlistFlags), flist.Receive{DeleteMissing: true},
			"80 82 | 04 6e 6f 70 65 | 00 00 00 | 00 | 00 | 00 00",
			"\n0 nope missing 0 0 0:0 0 gone\n"},
		{"the trace of a pull at protocol 32", flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}, flist.Receive{},
			"18 05 612E747874 00 06 00 69 A5 35 57 A4 81 00 00 00 00",
			"\n0 a.txt file 644 6 0:0 1767323045\n"},
		{"the trace of a pull at protocol 29", flist.Options{Protocol: 29}, flist.Receive{},
			"18 05 612e747874 06000000 a5355769 a4810000 00 00000000",
			"\n0 a.txt file 644 6 0:0 1767323045\n"},
		{"the trace of a pull at protocol 28", flist.Options{Protocol: 28}, flist.Receive{},
			"18 05 612e747874 06000000 a5355769 a4810000 00 00000000",
			"\n0 a.txt file 644 6 0:0 1767323045\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantLines(t, c.name, decoded(t, unhex(t, c.data), c.opts, c.in), c.want)
		})
	}
}

func TestAccessTimesAndChecksumsAreUnderstood(t *testing.T) {
	o := archive(32, wire.VarintFlistFlags)
	o.Atimes, o.SumLen = true, 16
	list := decoded(t, unhex(t, `
		01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00
		80 98 | 05 61 2e 74 78 74 | 00 05 00 | a4 81 00 00 | 6b 97 94 03 | 00112233445566778899aabbccddeeff
		c0 98 40 | 03 64 65 76 | 00 00 00 | a4 21 00 00 | 05 | 81 2c
		00 00`), o, flist.Receive{})
	a, dev := list.Files[1].Extra(), list.Files[2].Extra()
	if a.Atime.Sec != 0x6b039497 || dev.Atime != a.Atime || hex.EncodeToString(a.Sum) != "00112233445566778899aabbccddeeff" || dev.Sum != nil {
		t.Errorf("%+v, %+v", a, dev)
	}
}

func TestIOErrorIsMasked(t *testing.T) {
	for _, c := range []struct {
		name string
		opts flist.Options
		data string
		want int32
	}{
		{"varint flags", flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}, "00 01", 1},
		{"bits that do not exist", flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}, "00 7e", 6},
		{"a safe list", flist.Options{Protocol: 31}, "04 10 03", 3},
		{"without an error", flist.Options{Protocol: 31}, "00", 0},
		{"protocol 30 has none", flist.Options{Protocol: 30}, "00", 0},
		{"protocol 29", flist.Options{Protocol: 29}, "00 ff ff ff ff", 7},
	} {
		if got := decoded(t, unhex(t, c.data), c.opts, flist.Receive{}).IOError; got != c.want {
			t.Errorf("%s: %d", c.name, got)
		}
	}
}
