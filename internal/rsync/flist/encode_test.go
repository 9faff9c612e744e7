package flist_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// stamp is the mtime of nearly everything in the captured tree.
const stamp = 1700000000

// capture collects what an Encoder writes.
type capture struct {
	t   *testing.T
	buf bytes.Buffer
	w   *wire.Writer
	*flist.Encoder
}

func newCapture(t *testing.T, o flist.Options) *capture {
	t.Helper()
	c := &capture{t: t}
	c.w = wire.NewWriter(&c.buf)
	enc, err := flist.NewEncoder(c.w, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Encoder = enc
	return c
}

// wants checks what was written since the last call against hex with spaces
// and bars.
func (c *capture) wants(what, want string) {
	c.t.Helper()
	if err := c.w.Flush(); err != nil {
		c.t.Fatal(err)
	}
	want = strings.NewReplacer(" ", "", "|", "", "\n", "", "\t", "").Replace(want)
	if got := hex.EncodeToString(c.buf.Bytes()); got != want {
		c.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
	c.buf.Reset()
}

// sends adds an entry and checks its bytes.
func (c *capture) sends(ent flist.Entry, want string) {
	c.t.Helper()
	if err := c.Add(&ent); err != nil {
		c.t.Fatal(err)
	}
	c.wants(ent.Path().String(), want)
}

func meta(kind tree.Kind, perm uint16, size int64) tree.Meta {
	return tree.Meta{Kind: kind, Perm: perm, Size: size, Nlink: 1, Mtime: tree.Time{Sec: stamp}, Dev: 0xfe00, Ino: 0xa389a1}
}

func owned(m tree.Meta, id uint32) tree.Meta {
	m.UID, m.GID = id, id
	return m
}

func device(major, minor uint32) tree.Meta {
	m := meta(tree.CharDevice, 0o644, 0)
	m.Major, m.Minor = major, minor
	return m
}

// The tree of section 1.10.
var (
	top   = flist.Entry{Meta: meta(tree.Dir, 0o755, 4096), Top: true}
	abTxt = flist.Entry{Name: "ab.txt", Meta: owned(meta(tree.File, 0o644, 5), 1000)}
	fifo  = flist.Entry{Name: "fifo", Meta: meta(tree.Fifo, 0o644, 0)}
	dev   = flist.Entry{Name: "dev", Meta: device(5, 300)}
	dev2  = flist.Entry{Name: "dev2", Meta: device(5, 1)}
	dirE  = flist.Entry{Name: "e", Meta: meta(tree.Dir, 0o755, 4096)}
	dirD  = flist.Entry{Name: "d", Meta: meta(tree.Dir, 0o755, 4096)}
	sl    = flist.Entry{Name: "sl", Target: "a.txt", Meta: func() tree.Meta {
		m := meta(tree.Symlink, 0o777, 5)
		m.Mtime.Nsec = 123456789
		return m
	}()}
	aTxt = flist.Entry{Name: "a.txt", Meta: linked()}
	link = flist.Entry{Dir: "d", Name: "link", Meta: linked()}
)

func linked() tree.Meta {
	m := meta(tree.File, 0o644, 5)
	m.Nlink, m.Ino = 2, 0xa38991
	return m
}

func archive(protocol int, compat wire.Compat) flist.Options {
	return flist.Options{
		Protocol: protocol, Compat: compat, Owner: true, Group: true, Links: true,
		Devices: true, Specials: true, HardLinks: true, NumericIDs: true,
	}
}

func TestIncrementalListsMatchTheCapturedSession(t *testing.T) {
	c := newCapture(t, archive(32, wire.IncRecurse|wire.VarintFlistFlags|wire.SafeFlist))
	c.Begin()
	c.sends(top, "01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00")
	c.sends(abTxt, "80 80 | 06 61 62 2e 74 78 74 | 00 05 00 | a4 81 00 00 | 83 e8 | 83 e8")
	c.sends(fifo, "80 80 | 04 66 69 66 6f | 00 00 00 | a4 11 00 00 | 00 | 00")
	c.sends(dev, "80 98 | 03 64 65 76 | 00 00 00 | a4 21 00 00 | 05 | 81 2c")
	c.sends(sl, "a0 98 | 02 73 6c | 00 05 00 | e7 15 cd 5b | ff a1 00 00 | 05 61 2e 74 78 74")
	c.sends(dirE, "80 98 | 01 65 | 00 00 10 | ed 41 00 00")
	c.sends(dev2, "81 98 | 04 64 65 76 32 | 00 00 00 | a4 21 00 00 | 01")
	c.sends(aTxt, "92 98 | 05 61 2e 74 78 74 | 00 05 00 | a4 81 00 00")
	c.sends(dirD, "80 98 | 01 64 | 00 00 10 | ed 41 00 00")
	list := c.End(0)
	c.wants("end", "00 00")
	if list.Start() != 1 || list.Len() != 9 {
		t.Fatalf("first list starts at %d with %d entries", list.Start(), list.Len())
	}

	c.BeginDir(1, "d", 0)
	c.wants("list of d", "ff 65")
	c.sends(link, "82 b8 | 01 05 2f 6c 69 6e 6b | 08 | 00 05 00 | a4 81 00 00")
	c.sends(flist.Entry{Dir: "d", Name: "sub", Meta: meta(tree.Dir, 0o755, 4096)}, "80 b8 | 02 03 73 75 62 | 00 00 10 | ed 41 00 00")
	c.sends(flist.Entry{Dir: "d", Name: "big", Meta: meta(tree.File, 0o644, 70000)}, "80 b8 | 02 03 62 69 67 | 01 70 11 | a4 81 00 00")
	if list = c.End(0); list.Start() != 11 {
		t.Fatalf("second list starts at %d", list.Start())
	}
	c.wants("end", "00 00")
	if got := list.Path(11); got != "d/big" {
		t.Errorf("index 11 is %s", got)
	}
	if got := list.Path(13); got != "d/sub" || list.Kind(13) != tree.Dir {
		t.Errorf("index 13 is %s, %v", got, list.Kind(13))
	}

	c.BeginDir(3, "d/sub", 0)
	c.sends(flist.Entry{Dir: "d/sub", Name: "z", Meta: meta(tree.File, 0o644, 1)}, "ff 02 | 80 ba | 02 05 73 75 62 2f 7a | 00 01 00")
	c.End(0)
	c.BeginDir(2, "e", 0)
	c.End(0)
	c.EndOfLists()
	c.wants("tail", "00 00 | ff fe 80 67 00 00 | 00 00 | ff fe 80 02 00 00")
}

func TestEntriesMatchCaptures(t *testing.T) {
	type sent struct {
		ent  flist.Entry
		want string // "" if the capture does not show it
	}
	for _, c := range []struct {
		name string
		opts flist.Options
		sent []sent
	}{
		{"protocol 32 with two-byte flags", archive(32, wire.SafeFlist), []sent{
			{top, ""}, {fifo, ""}, {dev, ""},
			{sl, "9c 20 02 73 6c 00 05 00 e7 15 cd 5b ff a1 00 00 05 61 2e 74 78 74"},
			{dev2, "9c 01 04 64 65 76 32 00 00 00 a4 21 00 00 01"},
			{aTxt, "9c 12 05 61 2e 74 78 74 00 05 00 a4 81 00 00"},
		}},
		{"protocol 30 sends a minor for a fifo", archive(30, wire.VarintFlistFlags), []sent{
			{top, ""}, {abTxt, ""},
			{fifo, "81 80 | 04 66 69 66 6f | 00 00 00 | a4 11 00 00 | 00 | 00 | 00"},
		}},
		{"protocol 29", archive(29, 0), []sent{
			{top, ""}, {abTxt, ""},
			{fifo, "84 09 | 04 66 69 66 6f | 00 00 00 00 | a4 11 00 00 | 00 00 00 00 | 00 00 00 00 | 00"},
			{dev, "98 | 03 64 65 76 | 00 00 00 00 | a4 21 00 00 | 05 00 00 00 | 2c 01 00 00"},
			{sl, "98 | 02 73 6c | 05 00 00 00 | ff a1 00 00 | 05 00 00 00 61 2e 74 78 74"},
			{dev2, "9c 09 | 04 64 65 76 32 | 00 00 00 00 | a4 21 00 00 | 01"},
			{aTxt, "9c 02 | 05 61 2e 74 78 74 | 05 00 00 00 | a4 81 00 00 | 01 fe 00 00 | 91 89 a3 00"},
			{dirD, ""},
			{link, "bc 06 | 01 05 2f 6c 69 6e 6b | 05 00 00 00 | a4 81 00 00 | 91 89 a3 00"},
		}},
		{"protocol 27", archive(27, 0), []sent{
			{top, ""},
			{abTxt, "80 | 06 61 62 2e 74 78 74 | 05 00 00 00 | a4 81 00 00 | e8 03 00 00 | e8 03 00 00 | 01 fe 00 00 | a1 89 a3 00"},
			{fifo, ""},
			{dev, "98 | 03 64 65 76 | 00 00 00 00 | a4 21 00 00 | 2c 05 10 00"},
		}},
		{"a missing entry first in a list", archive(32, wire.VarintFlistFlags), []sent{
			{flist.Entry{Name: "nope"}, "80 82 | 04 6e 6f 70 65 | 00 00 00 | 00 | 00"},
		}},
		{"a missing entry after an ordinary one", archive(32, wire.VarintFlistFlags), []sent{
			{flist.Entry{Name: "file", Meta: meta(tree.File, 0o644, 1)}, ""},
			{flist.Entry{Name: "not-there-m"}, "18 | 0b 6e 6f 74 2d 74 68 65 72 65 2d 6d | 00 00 00 | 00 00 00 00 | 00 00 00 00"},
		}},
		{"hard links in one list are abbreviated", archive(32, wire.VarintFlistFlags), []sent{
			{top, ""}, {flist.Entry{Name: "x", Meta: meta(tree.File, 0o600, 1)}, ""},
			{flist.Entry{Name: "h2", Meta: three()}, "92 98 | 02 68 32 | 00 02 00 | a4 81 00 00"},
			{flist.Entry{Name: "h3", Meta: three()}, "82 ba | 01 01 33 | 02"},
			{flist.Entry{Name: "h1", Meta: three()}, "82 ba | 01 01 31 | 02"},
		}},
		{"implied and listed directories", archive(32, wire.VarintFlistFlags), []sent{
			{flist.Entry{Name: "d", Meta: meta(tree.Dir, 0o755, 4096), Top: true, NoContent: true}, "81 01 | 01 64 | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00"},
			{flist.Entry{Name: "e", Meta: meta(tree.Dir, 0o755, 4096), Top: true}, "80 9b | 01 65 | 00 00 10"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := newCapture(t, c.opts)
			out.Begin()
			for _, s := range c.sent {
				if s.want != "" {
					out.sends(s.ent, s.want)
				} else if err := out.Add(&s.ent); err != nil {
					t.Fatal(err)
				} else if err := out.w.Flush(); err != nil {
					t.Fatal(err)
				} else {
					out.buf.Reset()
				}
			}
		})
	}
}

func TestAccessAndCreationTimesMatchTheCapture(t *testing.T) {
	o := archive(32, wire.VarintFlistFlags)
	o.Atimes, o.SumLen = true, 16
	c := newCapture(t, o)
	c.Begin()
	c.sends(top, "01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 | 00")
	a := flist.Entry{Name: "a.txt", Meta: meta(tree.File, 0o644, 5), Sum: make([]byte, 16)}
	a.Atime.Sec = 0x6b039497
	c.sends(a, "80 98 | 05 61 2e 74 78 74 | 00 05 00 | a4 81 00 00 | 6b 97 94 03 |"+strings.Repeat("00", 16))
	node := dev
	node.Atime = a.Atime
	c.sends(node, "c0 98 40 | 03 64 65 76 | 00 00 00 | a4 21 00 00 | 05 | 81 2c")

	c = newCapture(t, flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, Crtimes: true})
	c.Begin()
	file := flist.Entry{Name: "x", Meta: meta(tree.File, 0o644, 0)}
	file.Crtime.Sec = stamp + 1
	c.sends(file, "18 | 01 78 | 00 00 00 | 65 00 f1 53 | 65 01 f1 53 | a4 81 00 00")
	file.Name, file.Crtime.Sec = "y", stamp
	c.sends(file, "c2 9a 00 | 01 79 | 00 00 00")
}

func three() tree.Meta {
	m := meta(tree.File, 0o644, 2)
	m.Nlink, m.Ino = 3, 77
	return m
}

func TestFlagsThatWouldBeZeroAreNotATerminator(t *testing.T) {
	q := flist.Entry{Name: "q", Meta: meta(tree.Dir, 0o700, 4096)}
	q.Meta.UID, q.Meta.GID = 1, 1
	q.Meta.Mtime.Sec = 1600000000
	for _, c := range []struct {
		name string
		opts flist.Options
		want string
	}{
		{"protocol 27", archive(27, 0), "40 | 01 00 00 00 | 71 | 00 10 00 00 | 00 10 5e 5f | c0 41 00 00 | 01 00 00 00 | 01 00 00 00"},
		{"protocol 28", archive(28, 0), "04 00 | 01 | 71 | 00 10 00 00 | 00 10 5e 5f | c0 41 00 00 | 01 00 00 00 | 01 00 00 00"},
		{"varint flags", archive(32, wire.VarintFlistFlags), "04 | 01 | 71 | 00 00 10 | 5f 00 10 5e | c0 41 00 00 | 01 | 01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := newCapture(t, c.opts)
			out.Begin()
			if err := out.Add(&flist.Entry{Name: "A", Meta: owned(meta(tree.File, 0o644, 0), 9)}); err != nil {
				t.Fatal(err)
			}
			out.w.Flush()
			out.buf.Reset()
			out.sends(q, c.want)
		})
	}
}

func TestTerminators(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    flist.Options
		ioError int32
		want    string
	}{
		{"varint flags", archive(32, wire.VarintFlistFlags), 0, "00 00"},
		{"varint flags with an error", archive(32, wire.VarintFlistFlags), 1, "00 01"},
		{"safe list", archive(31, 0), 0, "00"},
		{"safe list with an error", archive(31, 0), 1, "04 10 01"},
		{"protocol 29", archive(29, 0), 1, "00 01 00 00 00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := newCapture(t, c.opts)
			out.Begin()
			out.End(c.ioError)
			out.wants("terminator", c.want)
		})
	}
}

func TestIOErrorWithoutSafeListsGoesBeforeTheTerminator(t *testing.T) {
	c := newCapture(t, archive(30, 0))
	c.w.StartMux()
	c.Begin()
	c.End(1)
	c.wants("message, then the list", "04 00 00 1d 01 00 00 00 | 01 00 00 07 00")
}

func TestUnsendableEntriesLeaveNoTrace(t *testing.T) {
	c := newCapture(t, archive(32, wire.VarintFlistFlags))
	c.Begin()
	long := strings.Repeat("d/", 2047)
	for _, ent := range []flist.Entry{
		{Dir: tree.Path(long + "d"), Name: "x", Meta: meta(tree.File, 0o644, 0)},
		{Name: strings.Repeat("n", 256), Meta: meta(tree.File, 0o644, 0)},
		{Name: "s", Meta: meta(tree.Symlink, 0o777, 0), Target: strings.Repeat("t", 4096)},
		{},
	} {
		if err := c.Add(&ent); !errors.Is(err, flist.ErrUnsendable) {
			t.Errorf("Add = %v", err)
		}
	}
	c.wants("nothing", "")
	if list := c.End(0); list.Len() != 0 {
		t.Errorf("the list has %d entries", list.Len())
	}
}

func TestLongNamesUseTheLongLength(t *testing.T) {
	c := newCapture(t, archive(29, 0))
	c.Begin()
	dir := tree.Path(strings.Repeat("a", 200) + "/" + strings.Repeat("b", 200))
	if err := c.Add(&flist.Entry{Dir: dir, Name: "c", Meta: meta(tree.File, 0o644, 0)}); err != nil {
		t.Fatal(err)
	}
	c.w.Flush()
	if got := hex.EncodeToString(c.buf.Bytes()[:5]); got != "4093010000" {
		t.Errorf("flags and length are %s", got)
	}
}
