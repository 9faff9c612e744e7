package receiver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

var protocols = []int{27, 28, 29, 30, 31, 32}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	p := make([]byte, 0, n+8)
	for len(p) < n {
		p = binary.LittleEndian.AppendUint64(p, r.Uint64())
	}
	return p[:n]
}

// edited is p with some bytes put in and some changed.
func edited(p []byte) []byte {
	out := bytes.Clone(p[:len(p)/3])
	out = append(out, "put in here"...)
	out = append(out, p[len(p)/3:]...)
	out[len(out)-1] ^= 1
	return out
}

// phases are the notes of the end of a session.
func phases(protocol int) []string {
	if protocol < 29 {
		return []string{"phase done", "phase done", "ended"}
	}
	return []string{"phase done", "phase done", "phase done", "ended"}
}

func TestFilesArriveAtEveryProtocolAndMethod(t *testing.T) {
	old := noise(100000)
	files := map[string][]byte{"empty": {}, "small": []byte("hello"), "big": noise(600000), "updated": edited(old)}
	for _, protocol := range protocols {
		for _, m := range []compress.Method{compress.None, compress.Zlib, compress.Zlibx, compress.Zstd, compress.LZ4} {
			if m != compress.None && protocol%2 == 1 {
				continue
			}
			t.Run(fmt.Sprintf("protocol %d %v", protocol, m), func(t *testing.T) {
				s := newStream(t, protocol, func(p *receiver.Params) { p.Compress = m })
				s.put("updated", old)
				s.list(directory(""), regular("big", 600000), regular("empty", 0), regular("small", 5), regular("updated", len(files["updated"])))
				s.whole("big", files["big"])
				s.whole("empty", nil)
				s.whole("small", files["small"])
				s.update("updated", old, files["updated"])
				s.end()
				o := s.run()
				if o.err != nil {
					t.Fatal(o.err)
				}
				for name, want := range files {
					s.check(name, want)
				}
				end := o.notes[4:]
				if got := strings.Join(end, ", "); got != strings.Join(phases(protocol), ", ") {
					t.Errorf("notes after the files: %s", got)
				}
				if got := strings.Join(sorted(o.notes[:4]), ", "); got != "installed big, installed empty, installed small, installed updated" {
					t.Errorf("notes: %s", got)
				}
				total := int64(600000 + 5 + len(files["updated"]))
				if o.Transferred != 4 || o.TransferredSize != total || o.TotalSize != total || o.Literal+o.Matched != total || o.Matched < 80000 {
					t.Errorf("result %+v", o.Result)
				}
				if o.Files.Reg != 4 || o.Files.Dir != 1 || protocol >= 29 && o.Created.Reg != 3 {
					t.Errorf("counts %+v %+v", o.Files, o.Created)
				}
			})
		}
	}
}

func TestIncrementalListsComeBetweenFiles(t *testing.T) {
	for _, protocol := range []int{30, 31, 32} {
		s := newStream(t, protocol, incremental)
		s.put("d/.keep", nil)
		s.list(directory(""), directory("d"), directory("e"), regular("f", 1))
		before := len(s.bytes())
		s.sub(1, "d", regular("d/one", 3), regular("d/two", 3))
		lists := int64(len(s.bytes()) - before)
		s.echo("d", wire.ItemNew|wire.ItemLocalChange)
		s.whole("f", []byte("f"))
		s.whole("d/one", []byte("one"))
		s.done() // the first list
		before = len(s.bytes())
		s.sub(2, "e")
		s.enc.EndOfLists()
		lists += int64(len(s.bytes()) - before)
		s.whole("d/two", []byte("two"))
		s.done()
		s.end()
		o := s.run()
		if o.err != nil {
			t.Fatal(o.err)
		}
		// A generator asks for the DONE of a list once its files are noted: here
		// only those of the last list are sure to come first.
		notes := strings.Join(o.notes, ", ")
		if !strings.HasSuffix(notes, ", phase done, phase done, phase done, ended") || strings.Count(notes, "phase done") != 5 {
			t.Errorf("notes %s", notes)
		}
		s.check("f", []byte("f"))
		s.check("d/one", []byte("one"))
		s.check("d/two", []byte("two"))
		if o.Files.Reg != 3 || o.Files.Dir != 3 || o.Created.Dir != 1 || o.ListSize != lists {
			t.Errorf("result %+v, lists of %d bytes", o.Result, lists)
		}
	}
}

func TestItemReportsAreTold(t *testing.T) {
	s := newStream(t, 31)
	s.list(directory(""), regular("a", 1), regular("b", 1))
	s.echo("", wire.ItemTime)
	s.echo("a", wire.ItemLocalChange|wire.ItemXnameFollows|wire.ItemNew)
	s.w.VString("b")
	s.whole("b", []byte("b"))
	s.done()
	s.done()
	s.echo("a", 0)
	s.done()
	s.w.Ndx(31, wire.NDXDelStats) // late reports and statistics come up to the last DONE
	for _, v := range []int32{1, 2, 3, 4, 5} {
		s.w.Varint(v)
	}
	s.echo("a", wire.ItemPerms)
	s.done()
	o := s.run()
	o.wantNotes(t, append([]string{"installed b"}, phases(31)...)...)
	want := []string{"after 0x8 ", "after 0x7000 a => b", "before 0xa000 b", "after 0xa000 b", "after 0x0 a", "after 0x10 a"}
	if got := strings.Join(o.talked.items, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("items:\n%s", got)
	}
	if c := o.Deleted; c.Reg != 1 || c.Dir != 2 || c.Link != 3 || c.Dev != 4 || c.Special != 5 {
		t.Errorf("deletions %+v", c)
	}
}

func TestTransfersBeforeProtocol29HaveNoDetails(t *testing.T) {
	s := newStream(t, 28)
	s.list(regular("a", 1))
	s.whole("a", []byte("a"))
	s.end()
	o := s.run()
	o.wantNotes(t, append([]string{"installed a"}, phases(28)...)...)
	if got := strings.Join(o.talked.items, ", "); got != "before 0x18000 a, after 0x18000 a" {
		t.Errorf("items: %s", got)
	}
}

// Values of attributes that were asked for stand between head and data. There are
// none for a hard link that the generator has made (1.3).
func TestAttributeValuesAreReadWhereTheyStand(t *testing.T) {
	value := noise(100)
	for _, protocol := range []int{30, 31} {
		s := newStream(t, protocol, func(p *receiver.Params) { p.Opt.Xattrs = 1 })
		a, b := regular("a", 1), regular("b", 1)
		a.Xattrs = []flist.Xattr{{Name: "user.long", Value: value}}
		s.list(a, b)
		var sets *flist.XattrSets
		s.listed = func(first *flist.Received) {
			sets = first.Xattrs
			sets.Ask(wire.NewWriter(io.Discard), first.Files[0].Xattrs, []int32{1})
		}
		s.echo("a", wanted|wire.ItemXattr)
		s.w.Varint(1)
		s.w.Varint(int32(len(value)))
		s.w.Write(value)
		s.w.Varint(0)
		s.data(delta.Head{}, nil, []byte("a"))
		s.echo("b", wire.ItemXattr|wire.ItemXnameFollows|wire.ItemLocalChange)
		s.w.VString("a")
		if protocol < 31 {
			s.w.Varint(0)
		}
		s.end()
		o := s.run()
		o.wantNotes(t, append([]string{"installed a"}, phases(protocol)...)...)
		if set := sets.Set(1); len(set) != 1 || !set[0].Known || !bytes.Equal(set[0].Value, value) {
			t.Errorf("attributes %+v", set)
		}
		got := make([]byte, 200)
		n, err := unix.Getxattr(filepath.Join(s.dir, "a"), "user.long", got)
		if err != unix.ENOTSUP && (err != nil || !bytes.Equal(got[:n], value)) {
			t.Errorf("attribute %x, error %v", got[:max(n, 0)], err)
		}
	}
}

func TestErrorsOfIncrementalListsArePassedOn(t *testing.T) {
	s := newStream(t, 31, incremental)
	s.list(directory(""), directory("d"))
	s.enc.BeginDir(1, "d", 0)
	s.enc.End(1)
	s.enc.EndOfLists()
	s.done()
	s.end()
	o := s.run()
	o.wantNotes(t, append([]string{"phase done"}, phases(31)...)...)
	if o.IOError != 1 || o.ills != 1 {
		t.Errorf("result %+v, noted %d", o.Result, o.ills)
	}
}

func TestStatisticsOfTheServerAreRead(t *testing.T) {
	for _, protocol := range protocols {
		s := newStream(t, protocol, func(p *receiver.Params) { p.Server = false })
		s.list(regular("a", 1))
		s.whole("a", []byte("a"))
		n := []int64{1, 70000, 1 << 40, 7, 9}
		dones := 3
		if protocol < 29 {
			dones, n = 2, n[:3]
		}
		for range dones {
			s.done()
		}
		for _, v := range n {
			if protocol >= 30 {
				s.w.Varlong(v, 3)
			} else {
				s.w.Longint(v)
			}
		}
		s.farewell()
		o := s.run()
		want := receiver.PeerStats{Read: 1, Written: 70000, TotalSize: 1 << 40}
		if protocol >= 29 {
			want.ListBuild, want.ListSend = 7*time.Millisecond, 9*time.Millisecond
		}
		if o.err != nil || o.Peer == nil || *o.Peer != want {
			t.Errorf("protocol %d: statistics %+v, error %v", protocol, o.Peer, o.err)
		}
	}
}

func TestWrongDigestIsAskedForAgainOnce(t *testing.T) {
	for _, protocol := range []int{28, 31} {
		for _, size := range []int{5, 600000} {
			s := newStream(t, protocol)
			s.opt.Info[option.InfoName] = 1
			s.put("bad", []byte("old"))
			content := noise(size)
			s.list(regular("bad", size), regular("good", size))
			s.spoiled("bad", content)
			s.spoiled("good", content)
			s.done()
			s.spoiled("bad", content)
			s.whole("good", content)
			for range 1 + protocol/29 {
				s.done()
			}
			s.farewell()
			o := s.run()
			if o.err != nil {
				t.Fatal(o.err)
			}
			got := append(sorted(o.notes[:2]), o.notes[2])
			got = append(append(got, sorted(o.notes[3:5])...), o.notes[5:]...)
			want := []string{"redo bad", "redo good", "phase done", "failed bad", "installed good"}
			if strings.Join(got, ", ") != strings.Join(append(want, phases(protocol)[1:]...), ", ") {
				t.Errorf("notes %v", o.notes)
			}
			if s.content("bad") != "old" {
				t.Error("a file with a wrong digest was installed")
			}
			s.check("good", content)
			if len(s.names()) != 2 {
				t.Errorf("files %v", s.names())
			}
			said := o.talked.said()
			for _, line := range []string{
				"WARNING WARNING: bad failed verification -- update discarded (will try again).",
				"ERROR_XFER ERROR: bad failed verification -- update discarded.",
			} {
				if !strings.Contains(said, line) {
					t.Errorf("%q is missing in\n%s", line, said)
				}
			}
			if o.Transferred != 4 { // two files, each twice
				t.Errorf("%d files are counted", o.Transferred)
			}
		}
	}
}

func TestFirstWrongDigestInTheRedoPassIsFinal(t *testing.T) {
	s := newStream(t, 31)
	s.list(regular("late", 1))
	s.done()
	s.spoiled("late", []byte("x"))
	s.done()
	s.done()
	s.done()
	o := s.run()
	o.wantNotes(t, "phase done", "failed late", "phase done", "phase done", "ended")
}

func TestWarningOfARedoIsSilentUnlessNamesArePrinted(t *testing.T) {
	s := newStream(t, 31)
	s.list(regular("bad", 1))
	s.spoiled("bad", []byte("x"))
	s.done()
	s.whole("bad", []byte("x"))
	s.done()
	s.done()
	s.farewell()
	o := s.run()
	o.wantNotes(t, "redo bad", "phase done", "installed bad", "phase done", "phase done", "ended")
	if said := o.talked.said(); said != "" {
		t.Errorf("said %s", said)
	}
}

func TestDryRunReadsHeadersOnly(t *testing.T) {
	s := newStream(t, 31)
	s.opt.DryRun = true
	s.list(regular("a", 3))
	s.echo("a", wanted)
	s.end()
	o := s.run()
	o.wantNotes(t, append([]string{"installed a"}, phases(31)...)...)
	if len(s.names()) != 0 || o.Transferred != 1 || o.TransferredSize != 3 || len(o.talked.items) != 2 {
		t.Errorf("files %v, result %+v, items %v", s.names(), o.Result, o.talked.items)
	}
}

func TestServerOfAnOnlyWrittenBatchReadsHeadersOnly(t *testing.T) {
	s := newStream(t, 31)
	s.opt.OnlyWriteBatch = "X"
	s.list(regular("a", 3))
	s.echo("a", wanted)
	s.end()
	o := s.run()
	o.wantNotes(t, append([]string{"installed a"}, phases(31)...)...)
}

func TestClientThatOnlyWritesABatchThrowsDataAway(t *testing.T) {
	s := newStream(t, 30, func(p *receiver.Params) { p.Server, p.Compress = false, compress.Zlib })
	s.opt.OnlyWriteBatch = "batch"
	old := noise(100000)
	s.put("a", old)
	s.list(regular("a", 3))
	s.update("a", old, edited(old))
	s.done()
	s.done()
	s.done()
	for range 5 {
		s.w.Varlong(0, 3)
	}
	o := s.run()
	o.wantNotes(t, append([]string{"installed a"}, phases(30)...)...)
	if s.content("a") != string(old) {
		t.Error("the file was changed")
	}
}

func TestProgressIsReportedAtTheStartAndTheEnd(t *testing.T) {
	s := newStream(t, 31, func(p *receiver.Params) { p.Server = false })
	s.opt.Info[option.InfoProgress] = 1
	s.list(regular("a", 0), regular("b", 400000), regular("c", 1))
	s.whole("a", nil)
	s.whole("b", noise(400000))
	s.done()
	s.done()
	s.done()
	for range 5 {
		s.w.Varlong(0, 3)
	}
	s.done()
	o := s.run()
	if o.err != nil {
		t.Fatal(o.err)
	}
	p := o.talked.progress
	if len(p) != 3 || o.talked.ends != 2 {
		t.Fatalf("progress %+v", p)
	}
	if p[0].Transferred != 1 || p[0].Left != 2 || p[0].All != 3 || p[0].At != 0 {
		t.Errorf("end of a: %+v", p[0])
	}
	if p[1].At != 0 || p[1].Size != 400000 || p[2].At != 400000 || p[2].Left != 1 || p[2].TotalAt != 400000 || p[2].TotalSize != 400001 {
		t.Errorf("b: %+v", p[1:])
	}
}

func TestProgressOfAllFilesIsShownAtEachDone(t *testing.T) {
	s := newStream(t, 28, func(p *receiver.Params) { p.Server = false })
	s.opt.Info[option.InfoProgress] = 2
	s.list(regular("a", 3), regular("b", 4))
	s.whole("b", []byte("abcd"))
	s.done()
	s.done()
	for range 3 {
		s.w.Longint(0)
	}
	o := s.run()
	o.wantNotes(t, append([]string{"installed b"}, phases(28)...)...)
	p := o.talked.progress
	if last := p[len(p)-1]; len(p) != 4 || last.Transferred != 1 || last.All != 2 || last.Left != 0 || last.TotalAt != 4 || last.TotalSize != 7 {
		t.Errorf("progress %+v", p)
	}
}

func TestProgressOfAllFilesIsShownAtEachList(t *testing.T) {
	s := newStream(t, 31, incremental, func(p *receiver.Params) { p.Server = false })
	s.opt.Info[option.InfoProgress] = 2
	s.put("d/.keep", nil)
	s.list(directory(""), directory("d"), directory("e"))
	s.sub(1, "d", regular("d/x", 1), regular("d/y", 1))
	s.sub(2, "e", regular("e/z", 1))
	s.enc.EndOfLists()
	s.whole("d/x", []byte("x"))
	s.done()
	s.done()
	s.done()
	s.done()
	s.done()
	for range 5 {
		s.w.Varlong(0, 3)
	}
	s.done()
	o := s.run()
	if o.err != nil {
		t.Fatal(o.err)
	}
	var left []int
	for _, p := range o.talked.progress {
		left = append(left, p.Left)
	}
	if fmt.Sprint(left) != "[2 2 1 1 0]" { // at its start, its end, and at the lists' DONEs
		t.Errorf("left %v", left)
	}
}

func TestDigestsAndBytesOfDataAreShown(t *testing.T) {
	s := newStream(t, 31, func(p *receiver.Params) { p.Xfer = checksum.MD5 })
	s.list(regular("a", 3))
	s.whole("a", []byte("abc"))
	s.end()
	o := s.run()
	if got := strings.Join(o.talked.digests, " "); got != "0 32: 43 32:900150983cd24fb0d6963f7d28e17f72" {
		t.Errorf("%s, error %v", got, o.err)
	}
}

func TestMessagesBetweenDataAreHandled(t *testing.T) {
	s := newStream(t, 31)
	s.w.StartMux()
	s.list(regular("a", 3))
	s.w.Flush()
	s.w.Message(wire.CodeInfo, []byte("hello\n"))
	s.w.KeepAlive()
	s.whole("a", []byte("abc"))
	s.end()
	var said string
	o := s.runOn(context.Background(), bytes.NewReader(s.bytes()), func(r *wire.Reader) {
		r.StartMux(func(c wire.Code, p []byte) error { said = string(p); return nil })
	})
	o.wantNotes(t, append([]string{"installed a"}, phases(31)...)...)
	if said != "hello\n" {
		t.Errorf("said %q", said)
	}
}

func TestKeepAliveOfProtocol29IsPassedOver(t *testing.T) {
	s := newStream(t, 29)
	s.list(regular("a", 1))
	s.echoIndex(1, wire.ItemNew)
	s.whole("a", []byte("a"))
	s.end()
	o := s.run()
	o.wantNotes(t, append([]string{"installed a"}, phases(29)...)...)
}
