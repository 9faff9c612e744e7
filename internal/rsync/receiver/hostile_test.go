package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

// Every row is a stream that ends in something a sender must not send.
func TestHostileStreamsAreRefused(t *testing.T) {
	const broken = -1 // the code of errors that wrap wire.ErrStream
	tests := []struct {
		name     string
		protocol int
		code     int
		want     string // in the error
		send     func(s *stream)
	}{
		{"index after the last entry", 31, 2, "Invalid file index: 9", func(s *stream) { s.echoIndex(9, wanted) }},
		{"report for no entry", 30, 2, "Invalid file index: 9", func(s *stream) { s.echoIndex(9, 0) }},
		{"negative index", 29, 2, "Invalid file index: -7", func(s *stream) { s.w.Int(-7) }},
		{"end of lists without incremental lists", 31, 2, "Invalid file index: -2", func(s *stream) { s.w.Ndx(31, wire.NDXFlistEOF) }},
		{"list of a directory without incremental lists", 31, 2, "Invalid file index: -101", func(s *stream) { s.w.Ndx(31, wire.NDXFlistOffset) }},
		{"deletion statistics before protocol 31", 30, 2, "Invalid file index: -3", func(s *stream) { s.w.Ndx(30, wire.NDXDelStats) }},
		{"too many deletions", 31, 2, "deletion statistics", func(s *stream) { s.w.Ndx(31, wire.NDXDelStats); s.w.Varint(1 << 29) }},
		{"negative deletions", 31, 2, "deletion statistics", func(s *stream) { s.w.Ndx(31, wire.NDXDelStats); s.w.Varint(-1) }},
		{"data for a directory", 31, 2, "non-regular file", func(s *stream) { s.echo("d", wanted) }},
		{"data for a symlink", 31, 2, "non-regular file", func(s *stream) { s.echo("l", wanted) }},
		{"data after the redo pass", 31, 2, "phase 2", func(s *stream) { s.done(); s.done(); s.echo("f", wanted) }},
		{"data in the farewell", 31, 2, "phase 2", func(s *stream) { s.done(); s.done(); s.done(); s.echo("f", wanted) }},
		{"fuzzy basis that nobody asked for", 31, 2, "basis type 0x83", func(s *stream) {
			s.echo("f", wanted|wire.ItemBasisFollows|wire.ItemXnameFollows)
			s.w.Byte(0x83)
			s.w.VString("../../etc/passwd")
		}},
		{"alternate directory that there is none of", 31, 2, "", func(s *stream) {
			s.echo("f", wanted|wire.ItemBasisFollows)
			s.w.Byte(7)
			s.ints(1, 700, 2, 1, -1, 0)
			s.digest([]byte("x"))
			s.end()
		}},
		{"name of 4096 bytes", 31, broken, "string", func(s *stream) {
			s.echo("f", wire.ItemXnameFollows)
			s.w.VString(strings.Repeat("x", 4096))
		}},
		{"negative block count", 31, 2, "sum header", func(s *stream) { s.echo("f", wanted); s.ints(-1, 700, 2, 0) }},
		{"blocks of 128 KiB and a byte", 31, 2, "sum header", func(s *stream) { s.echo("f", wanted); s.ints(1, 131073, 2, 0) }},
		{"blocks of no bytes", 31, 2, "sum header", func(s *stream) { s.echo("f", wanted); s.ints(1, 0, 2, 0) }},
		{"strong sum longer than the digest", 31, 2, "sum header", func(s *stream) { s.echo("f", wanted); s.ints(1, 700, 17, 0) }},
		{"remainder longer than a block", 31, 2, "sum header", func(s *stream) { s.echo("f", wanted); s.ints(1, 700, 2, 701) }},
		{"block of an empty basis", 31, 2, "Invalid block index 0 (count=0) [receiver]", func(s *stream) { s.echo("f", wanted); s.ints(0, 0, 0, 0, -1) }},
		{"block after the last", 31, 2, "Invalid block index 1 (count=1) [receiver]", func(s *stream) { s.echo("f", wanted); s.ints(1, 700, 2, 5, -2) }},
		{"block of a file that is not there", 31, 2, `got a block match with no basis file for "f" [receiver]`, func(s *stream) {
			s.echo("f", wanted)
			s.ints(1, 700, 2, 5, -1, 0)
			s.digest(nil)
			s.end()
		}},
		{"literal that is cut off", 31, 0, io.ErrUnexpectedEOF.Error(), func(s *stream) { s.echo("f", wanted); s.ints(0, 0, 0, 0, 100, 1) }},
		{"digest that is cut off", 31, 0, io.ErrUnexpectedEOF.Error(), func(s *stream) { s.echo("f", wanted); s.ints(0, 0, 0, 0, 0, 1) }},
		{"no goodbye", 31, 0, io.ErrUnexpectedEOF.Error(), func(s *stream) { s.done(); s.done(); s.done() }},
		{"nothing", 31, 0, io.ErrUnexpectedEOF.Error(), func(s *stream) {}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream(t, test.protocol)
			s.opt.Links = true
			link := regular("l", 0)
			link.Meta.Kind, link.Target = 3, "f"
			s.list(directory("d"), regular("f", 5), link)
			test.send(s)
			o := s.run()
			var coded interface{ ExitCode() int }
			switch {
			case o.err == nil:
				t.Fatal("no error")
			case test.code == broken && !errors.Is(o.err, wire.ErrStream):
			case test.code > 0 && (!errors.As(o.err, &coded) || coded.ExitCode() != test.code):
			case strings.Contains(o.err.Error(), test.want):
				return
			}
			t.Errorf("error %v", o.err)
		})
	}
}

func (s *stream) ints(values ...int32) {
	for _, v := range values {
		s.w.Int(v)
	}
}

func TestHostileIncrementalStreamsAreRefused(t *testing.T) {
	tests := []struct {
		name string
		send func(s *stream)
	}{
		{"end of a pass before the lists", func(s *stream) { s.done() }},
		{"list of a directory that there is not", func(s *stream) { s.w.Ndx(31, wire.NDXFlistOffset-5); s.w.Byte(0) }},
		{"list of the highest number", func(s *stream) { s.w.Ndx(31, -1<<31+1); s.w.Byte(0) }},
		{"list after the last", func(s *stream) { s.enc.EndOfLists(); s.w.Ndx(31, wire.NDXFlistOffset-1) }},
		{"entry of a list that is done with", func(s *stream) {
			s.sub(1, "d", regular("d/x", 1))
			s.enc.EndOfLists()
			s.done()
			s.echo("f", 0)
		}},
		{"gap between two lists", func(s *stream) { s.echoIndex(200, 0) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream(t, 31, incremental)
			s.list(directory(""), directory("d"), regular("f", 5))
			test.send(s)
			if o := s.run(); o.err == nil || errors.Is(o.err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v", o.err)
			}
		})
	}
}

func TestHostileStatisticsAreRefused(t *testing.T) {
	s := newStream(t, 30, func(p *receiver.Params) { p.Server = false })
	s.list(regular("f", 1))
	s.done()
	s.done()
	s.done()
	s.w.Varlong(-1, 3)
	if o := s.run(); !errors.Is(o.err, wire.ErrStream) {
		t.Errorf("error %v", o.err)
	}
}

func TestCompressedGarbageEndsTheSession(t *testing.T) {
	for _, m := range []compress.Method{compress.Zlib, compress.Zlibx, compress.Zstd, compress.LZ4} {
		s := newStream(t, 31, func(p *receiver.Params) { p.Compress = m })
		s.list(regular("f", 5))
		s.echo("f", wanted)
		s.ints(0, 0, 0, 0)
		s.w.Write([]byte("\x40\x05garbage"))
		o := s.run()
		if !errors.Is(o.err, wire.ErrStream) || len(s.names()) != 0 {
			t.Errorf("%v: error %v, files %v", m, o.err, s.names())
		}
	}
}

// A stream that was cut anywhere leaves no temporary file behind.
func TestStreamsThatEndEarlyLeaveNothing(t *testing.T) {
	for _, m := range []compress.Method{compress.None, compress.Zstd} {
		s := newStream(t, 31, func(p *receiver.Params) { p.Compress = m })
		old := noise(3000)
		s.put("f", old)
		s.list(regular("f", 5), regular("g", 2000))
		listed := len(s.bytes())
		s.update("f", old, edited(old))
		s.whole("g", noise(2000))
		s.end()
		all := bytes.Clone(s.bytes())
		for n := listed; n < len(all); n += 61 {
			o := s.runOn(context.Background(), bytes.NewReader(all[:n]), nil)
			if !errors.Is(o.err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d: error %v", n, o.err)
			}
			for _, name := range s.names() {
				if name != "f" && name != "g" {
					t.Fatalf("cut at %d: %s is left", n, name)
				}
			}
			s.put("f", old)
		}
	}
}

// FuzzRun changes a recorded session of three files.
func FuzzRun(f *testing.F) {
	record := func(f testing.TB, protocol int, m compress.Method) (s *stream, list, rest []byte) {
		s = newStream(f, protocol, func(p *receiver.Params) { p.Compress, p.Server = m, protocol < 31 })
		old := noise(3000)
		s.put("updated", old)
		s.list(directory(""), regular("large", 9000), regular("small", 100), regular("updated", 3012))
		n := len(s.bytes())
		s.echo("", wire.ItemTime)
		s.whole("small", noise(100))
		s.update("updated", old, edited(old))
		s.whole("large", bytes.Repeat(noise(1000), 9))
		s.done()
		s.spoiled("small", noise(100))
		s.done()
		s.done()
		if !s.p.Server {
			for range 5 {
				s.w.Varlong(1000, 3)
			}
		}
		s.farewell()
		all := bytes.Clone(s.bytes())
		return s, all[:n], all[n:]
	}
	methods := []compress.Method{compress.None, compress.Zlib, compress.Zstd, compress.LZ4}
	for i, m := range methods {
		_, _, rest := record(f, 32, m)
		f.Add(rest, uint8(32), uint8(i))
	}
	_, _, rest := record(f, 28, compress.None)
	f.Add(rest, uint8(28), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, protocol, method uint8) {
		s, list, _ := record(t, 27+int(protocol)%6, methods[int(method)%len(methods)])
		o := s.runOn(context.Background(), io.MultiReader(bytes.NewReader(list), bytes.NewReader(data)), nil)
		if o.err == nil && o.notes[len(o.notes)-1] != "ended" {
			t.Errorf("notes %v", o.notes)
		}
		for _, name := range s.names() {
			if name != "small" && name != "large" && name != "updated" {
				t.Errorf("file %s", name)
			}
		}
		if len(data) < 10 && s.content("updated") != string(noise(3000)) {
			t.Error("a file was changed by nothing")
		}
	})
}
