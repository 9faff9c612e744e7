package flist_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// stream writes raw values.
type stream struct {
	buf      bytes.Buffer
	w        *wire.Writer
	protocol int
}

func newStream(protocol int) *stream {
	s := &stream{protocol: protocol}
	s.w = wire.NewWriter(&s.buf)
	return s
}

func (s *stream) bytes() []byte {
	s.w.Flush()
	return s.buf.Bytes()
}

// head writes an entry up to its mode, with varint flags from protocol 30 on.
func (s *stream) head(flags int32, name string, mode int32) {
	if s.protocol >= 30 {
		s.w.Varint(flags)
	} else {
		s.w.Byte(byte(flags))
	}
	s.w.Byte(byte(len(name)))
	s.w.Write([]byte(name))
	s.size(0)
	if s.protocol >= 30 {
		s.w.Varlong(stamp, 4)
	} else {
		s.w.Int(stamp)
	}
	s.w.Int(mode)
}

func (s *stream) size(n int64) {
	if s.protocol >= 30 {
		s.w.Varlong(n, 3)
	} else {
		s.w.Longint(n)
	}
}

func (s *stream) end() {
	s.w.Byte(0)
	if s.protocol >= 30 {
		s.w.Varint(0)
	} else {
		s.w.Int(0)
	}
}

const (
	regular = 0o100644
	folder  = 0o040755
	symlink = 0o120777
)

// nameOnly is a list of one entry.
func nameOnly(name string, mode int32) func(s *stream) {
	return func(s *stream) { s.head(0x19, name, mode); s.end() }
}

// entryWith is an entry with whatever follows its mode.
func entryWith(mode int32, more func(w *wire.Writer)) func(s *stream) {
	return func(s *stream) { s.head(0x19, "x", mode); more(s.w) }
}

// hostileLists are what no sender sends.
var hostileLists = []struct {
	name string
	opts flist.Options
	in   flist.Receive
	from int // lowest protocol
	data func(s *stream)
	want error
}{
	{"an absolute name", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("/etc/passwd", regular), flist.ErrUnsafe},
	{"an absolute root", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("/.", folder), flist.ErrUnsafe},
	{"a name that leads upwards", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("../x", regular), flist.ErrUnsafe},
	{"a name that leads upwards inside", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("a/../../x", regular), flist.ErrUnsafe},
	{"a name that leads upwards and back", flist.Options{Links: true}, flist.Receive{Relative: true}, 27, nameOnly("/a/../b", regular), flist.ErrUnsafe},
	{"two dots", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("..", folder), flist.ErrUnsafe},
	{"two dots at the end", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("a/..", folder), flist.ErrUnsafe},
	{"a NUL byte", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("a\x00b", regular), flist.ErrUnsafe},
	{"an empty name", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("", regular), flist.ErrUnsafe},
	{"the root as a file", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly(".", regular), flist.ErrProtocol},
	{"the root as a file, in other words", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly(".//.", regular), flist.ErrProtocol},
	{"the root as a symlink", flist.Options{}, flist.Receive{}, 27, nameOnly(".", symlink), flist.ErrProtocol},
	{"a missing root", flist.Options{Links: true}, flist.Receive{DeleteMissing: true}, 27, nameOnly(".", 0), flist.ErrProtocol},
	{"a file in no directory", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("a/b", regular), flist.ErrProtocol},
	{"a directory in no directory", flist.Options{Links: true}, flist.Receive{Relative: true, DeleteMissing: true}, 27, nameOnly("a/b", folder), flist.ErrProtocol},
	{"a file below a file", flist.Options{Links: true}, flist.Receive{}, 27, func(s *stream) {
		s.head(0x19, "a", regular)
		s.head(0x19, "a/b", regular)
		s.end()
	}, flist.ErrProtocol},
	{"a file below a missing argument", flist.Options{Links: true}, flist.Receive{DeleteMissing: true}, 27, func(s *stream) {
		s.head(0x19, "a", 0)
		s.head(0x19, "a/b", regular)
		s.end()
	}, flist.ErrProtocol},
	{"a file below a symlink", flist.Options{}, flist.Receive{}, 27, func(s *stream) {
		s.head(0x19, "a", symlink)
		s.head(0x19, "a/b", regular)
		s.end()
	}, flist.ErrProtocol},
	{"mode 0", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("x", 0), flist.ErrProtocol},
	{"permissions of nothing", flist.Options{Links: true}, flist.Receive{DeleteMissing: true}, 27, nameOnly("x", 0o644), flist.ErrProtocol},
	{"an unknown type", flist.Options{Links: true}, flist.Receive{}, 27, nameOnly("x", 0o150644), flist.ErrProtocol},
	{"a negative size", flist.Options{Links: true}, flist.Receive{}, 27, func(s *stream) {
		s.w.Byte(0x18)
		s.w.Byte(1)
		s.w.Byte('x')
		s.size(-5)
	}, flist.ErrUnsafe},
	{"more of the previous name than there is", flist.Options{Links: true}, flist.Receive{}, 27, func(s *stream) {
		s.w.Byte(0x38)
		s.w.Byte(9)
		s.w.Byte(0)
	}, wire.ErrStream},
	{"a name of 4096 bytes", flist.Options{Links: true}, flist.Receive{}, 30, func(s *stream) {
		s.w.Varint(0x58)
		s.w.Varint(4096)
		s.w.Write(bytes.Repeat([]byte("x/"), 2048))
	}, flist.ErrProtocol},
	{"a negative length of a name", flist.Options{Links: true}, flist.Receive{}, 30, func(s *stream) {
		s.w.Varint(0x58)
		s.w.Varint(-1)
	}, flist.ErrProtocol},
	{"a name that grows to 4096 bytes", flist.Options{Links: true}, flist.Receive{}, 30, func(s *stream) {
		s.w.Varint(0x58)
		s.w.Varint(4000)
		s.w.Write(bytes.Repeat([]byte("x/"), 2000))
		s.size(0)
		s.w.Varlong(stamp, 4)
		s.w.Int(folder)
		s.w.Varint(0xf8)
		s.w.Byte(255)
		s.w.Varint(3841)
	}, flist.ErrUnsafe},
	{"unknown flags", flist.Options{Links: true}, flist.Receive{}, 30, func(s *stream) { s.w.Varint(0x8018) }, wire.ErrStream},
	{"too many nanoseconds", flist.Options{Links: true}, flist.Receive{}, 31, func(s *stream) {
		s.w.Varint(0x2018)
		s.w.Byte(1)
		s.w.Byte('x')
		s.size(0)
		s.w.Varlong(stamp, 4)
		s.w.Varint(1e9)
	}, flist.ErrProtocol},
	{"a symlink without a target", flist.Options{Links: true}, flist.Receive{}, 30, entryWith(symlink, func(w *wire.Writer) { w.Varint(0) }), flist.ErrProtocol},
	{"a long target", flist.Options{Links: true}, flist.Receive{}, 30, entryWith(symlink, func(w *wire.Writer) { w.Varint(4096) }), flist.ErrProtocol},
	{"a negative length of a target", flist.Options{Links: true}, flist.Receive{}, 30, entryWith(symlink, func(w *wire.Writer) { w.Varint(-1) }), flist.ErrProtocol},
	{"a target with a NUL byte", flist.Options{Links: true}, flist.Receive{}, 30, entryWith(symlink, func(w *wire.Writer) { w.Varint(2); w.Write([]byte{'a', 0}) }), flist.ErrProtocol},
	{"a hard link to what comes later", flist.Options{HardLinks: true}, flist.Receive{}, 30, func(s *stream) {
		s.w.Varint(0x218)
		s.w.Byte(1)
		s.w.Byte('x')
		s.w.Varint(0)
	}, flist.ErrProtocol},
	{"a hard link to a negative index", flist.Options{HardLinks: true}, flist.Receive{}, 30, func(s *stream) {
		s.w.Varint(0x218)
		s.w.Byte(1)
		s.w.Byte('x')
		s.w.Varint(-1)
	}, flist.ErrProtocol},
	{"a hard link to what is not linked", flist.Options{HardLinks: true}, flist.Receive{}, 30, func(s *stream) {
		s.head(0x19, "a", folder)
		s.w.Varint(0x218)
		s.w.Byte(1)
		s.w.Byte('x')
		s.w.Varint(0)
	}, flist.ErrProtocol},
	{"a directory as the first of a set", flist.Options{HardLinks: true}, flist.Receive{}, 30, func(s *stream) { s.head(0x1218, "x", folder) }, flist.ErrProtocol},
	{"the number of an ACL that was not sent", flist.Options{ACLs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) { w.Varint(1) }), wire.ErrStream},
	{"a negative number of an ACL", flist.Options{ACLs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) { w.Varint(-1) }), wire.ErrStream},
	{"an ACL with too many permissions", flist.Options{ACLs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) { w.Varint(0); w.Byte(1); w.Varint(8) }), wire.ErrStream},
	{"an ACL with too many entries", flist.Options{ACLs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) { w.Varint(0); w.Byte(16); w.Varint(65537) }), flist.ErrProtocol},
	{"a named entry with too many permissions", flist.Options{ACLs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) {
		w.Varint(0)
		w.Byte(16)
		w.Varint(1)
		w.Varint(5)
		w.Varint(8 << 2)
	}), wire.ErrStream},
	{"the number of a set that was not sent", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) { w.Varint(1) }), wire.ErrStream},
	{"too many attributes", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) { w.Varint(0); w.Varint(65537) }), flist.ErrProtocol},
	{"an attribute without a name", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) {
		w.Varint(0)
		w.Varint(1)
		w.Varint(1)
		w.Varint(0)
		w.Byte(0)
	}), wire.ErrStream},
	{"an attribute whose name has no end", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) {
		w.Varint(0)
		w.Varint(1)
		w.Varint(3)
		w.Varint(0)
		w.Write([]byte("abc"))
	}), wire.ErrStream},
	{"an attribute with a NUL byte in its name", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) {
		w.Varint(0)
		w.Varint(1)
		w.Varint(3)
		w.Varint(0)
		w.Write([]byte{'a', 0, 0})
	}), wire.ErrStream},
	{"an attribute of 128 MiB", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) {
		w.Varint(0)
		w.Varint(1)
		w.Varint(3)
		w.Varint(128 << 20)
	}), flist.ErrProtocol},
	{"a set of more than 512 MiB", flist.Options{Xattrs: true}, flist.Receive{}, 30, entryWith(regular, func(w *wire.Writer) {
		w.Varint(0)
		w.Varint(5)
		for range 5 {
			w.Varint(3)
			w.Varint(127 << 20)
			w.Write([]byte("ab\x00"))
			w.Write(make([]byte, 16))
		}
	}), wire.ErrStream},
	{"more entries than memory for them", flist.Options{}, flist.Receive{MaxAlloc: 3 * 8}, 27, func(s *stream) {
		for range 4 {
			s.head(0x19, "x", regular)
		}
		s.end()
	}, flist.ErrMemory},
	{"the end of the stream", flist.Options{Links: true}, flist.Receive{}, 27, func(s *stream) { s.head(0x19, "x", regular) }, io.ErrUnexpectedEOF},
	{"the end of the stream at once", flist.Options{Links: true}, flist.Receive{}, 27, func(*stream) {}, io.ErrUnexpectedEOF},
}

func TestHostileListsAreRefused(t *testing.T) {
	for _, c := range hostileLists {
		t.Run(c.name, func(t *testing.T) {
			for protocol := c.from; protocol <= 32; protocol++ {
				s := newStream(protocol)
				c.data(s)
				o := c.opts
				o.Protocol = protocol
				if protocol >= 30 {
					o.Compat = wire.VarintFlistFlags
				}
				dec, _ := decoding(t, s.bytes(), o, c.in)
				_, err := dec.First()
				if !errors.Is(err, c.want) {
					t.Errorf("protocol %d: %v", protocol, err)
				}
			}
		})
	}
}

func TestTheTerminatorOfASafeListNeedsOne(t *testing.T) {
	for _, protocol := range []int{28, 29, 30} {
		dec, _ := decoding(t, []byte{4, 0x10, 1}, flist.Options{Protocol: protocol}, flist.Receive{})
		if _, err := dec.First(); !errors.Is(err, flist.ErrProtocol) {
			t.Errorf("protocol %d: %v", protocol, err)
		}
	}
}

// TestSubListsKeepToTheirDirectory sends lists of directories that break the
// rules of section 2.5.
func TestSubListsKeepToTheirDirectory(t *testing.T) {
	list := func(names ...string) func(s *stream) {
		return func(s *stream) {
			for _, name := range names {
				mode := int32(regular)
				if trimmed, ok := strings.CutSuffix(name, "/"); ok {
					name, mode = trimmed, folder
				}
				s.head(0x19, name, mode)
			}
			s.end()
		}
	}
	for _, c := range []struct {
		name  string
		first func(s *stream)
		subs  []int32
		next  []func(s *stream)
		want  error
	}{
		{"children", list("d/", "f"), []int32{0}, []func(*stream){list("d/x", "d/y/")}, nil},
		{"a grandchild in the first list", list("d/", "d/x"), nil, nil, flist.ErrUnsafe},
		{"a grandchild", list("d/"), []int32{0}, []func(*stream){list("d/x/y")}, flist.ErrUnsafe},
		{"a sibling", list("d/"), []int32{0}, []func(*stream){list("x")}, flist.ErrUnsafe},
		{"the directory itself", list("d/"), []int32{0}, []func(*stream){list("d/")}, flist.ErrUnsafe},
		{"the root", list("d/"), []int32{0}, []func(*stream){list("./")}, flist.ErrUnsafe},
		{"the root below the root", list("./"), []int32{0}, []func(*stream){list("./")}, flist.ErrUnsafe},
		{"a name that only begins like it", list("d/"), []int32{0}, []func(*stream){list("de/x")}, flist.ErrUnsafe},
		{"a second list", list("d/"), []int32{0, 0}, []func(*stream){list(), list()}, flist.ErrProtocol},
		{"a directory that does not exist", list("d/"), []int32{1}, []func(*stream){list()}, flist.ErrProtocol},
		{"a negative directory", list("d/"), []int32{-1}, []func(*stream){list()}, flist.ErrProtocol},
		{"a duplicate", list("d/", "d/"), []int32{1}, []func(*stream){list()}, flist.ErrProtocol},
		{"the first of two", list("d/", "d/"), []int32{0}, []func(*stream){list("d/x")}, nil},
		{"a hard link to a set that does not exist", list("a", "d/"), []int32{0}, []func(*stream){func(s *stream) {
			s.w.Varint(0x219)
			s.w.Byte(3)
			s.w.Write([]byte("d/x"))
			s.w.Varint(1)
			s.size(0)
			s.w.Varlong(stamp, 4)
			s.w.Int(regular)
			s.end()
		}}, flist.ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(32)
			c.first(s)
			for _, next := range c.next {
				next(s)
			}
			dec, _ := decoding(t, s.bytes(), flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags | wire.IncRecurse, HardLinks: true, NumericIDs: true}, flist.Receive{})
			if _, err := dec.Sub(0); !errors.Is(err, flist.ErrProtocol) {
				t.Errorf("a list before the first: %v", err)
			}
			_, err := dec.First()
			for _, dir := range c.subs {
				if err == nil {
					_, err = dec.Sub(dir)
				}
			}
			if !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
				t.Errorf("error %v, not %v", err, c.want)
			}
			dec.EndOfLists()
			if _, err := dec.Sub(0); !errors.Is(err, flist.ErrProtocol) {
				t.Errorf("a list after the end: %v", err)
			}
		})
	}
}

// FuzzDecode reads lists of any bytes with any options: it may fail, but not
// panic, and what it accepts keeps its promises.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(30) {
		w := newWorld(seed)
		var buf bytes.Buffer
		wr := wire.NewWriter(&buf)
		enc, err := flist.NewEncoder(wr, w.opts, nil)
		must(f, err)
		enc.Begin()
		for i := range w.entries[""] {
			must(f, enc.Add(&w.entries[""][i]))
		}
		enc.End(0)
		must(f, wr.Flush())
		f.Add(buf.Bytes(), seed, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, relative bool) {
		w := newWorld(seed % 1000)
		w.recv.Relative, w.recv.MaxAlloc = relative, 1<<20
		r := wire.NewReader(bytes.NewReader(data))
		dec, err := flist.NewDecoder(r, w.opts, w.recv)
		must(t, err)
		lists := flist.NewLists()
		list, err := dec.First()
		for err == nil {
			checkPromises(t, list)
			lists.Add(list)
			var ndx int32
			if ndx, err = r.Ndx(w.opts.Protocol); err == nil {
				list, err = dec.Sub(wire.NDXFlistOffset - ndx)
			}
		}
		lists.End(err)
		for n := range lists.Len() {
			_, err := lists.Next(t.Context(), n)
			must(t, err)
		}
	})
}

func checkPromises(t *testing.T, list *flist.Received) {
	t.Helper()
	if len(list.Order) != len(list.Files) {
		t.Fatalf("%d entries, %d in order", len(list.Files), len(list.Order))
	}
	for i, f := range list.Files {
		if f.Index != list.Start+int32(i) {
			t.Fatalf("index %d at %d", f.Index, list.Start+int32(i))
		}
		if f.Dup {
			continue
		}
		for part := range strings.SplitSeq(string(f.Path), "/") {
			if part == ".." || part == "." || part == "" && f.Path != "" || strings.Contains(part, "\x00") {
				t.Fatalf("path %q", f.Path)
			}
		}
		if f.Meta.Size < 0 || f.Meta.Mtime().Nsec > 999999999 || f.Meta.IsDir() && f.Group() != nil || f.Path == "" && !f.Meta.IsDir() {
			t.Fatalf("entry %+v", f)
		}
		for _, acl := range [][]byte{f.Extra().Access, f.Extra().Default} {
			if err := flist.CheckACL(acl); err != nil {
				t.Fatal(err)
			}
		}
		list.Xattrs.Set(f.Xattrs)
	}
}
