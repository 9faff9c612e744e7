package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

func TestPartialKeepsWhatHasTheWrongDigest(t *testing.T) {
	tests := []struct {
		name, where, words string
		set                func(*option.Set)
	}{
		{"partial", "bad", "retained", func(o *option.Set) { o.Partial = true }},
		{"partial dir", ".part/bad", "put into partial-dir", func(o *option.Set) { o.Partial, o.PartialDir = true, ".part" }},
		{"in place", "bad", "retained", func(o *option.Set) { o.Inplace = true }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream(t, 31)
			test.set(s.opt)
			s.opt.Itemize = 1
			s.list(regular("bad", 5))
			s.spoiled("bad", []byte("12345"))
			s.done()
			s.done()
			s.done()
			s.farewell()
			o := s.run()
			o.wantNotes(t, append([]string{"redo bad"}, phases(31)...)...)
			if got := s.content(test.where); got != "12345" {
				t.Errorf("%s is %q, files %v", test.where, got, s.names())
			}
			if !strings.Contains(o.talked.said(), "update "+test.words+" (will try again).") {
				t.Errorf("said %s", o.talked.said())
			}
		})
	}
}

func TestDelayedUpdatesArePlacedInPhaseTwo(t *testing.T) {
	s := newStream(t, 31)
	s.opt.DelayUpdates, s.opt.Partial, s.opt.PartialDir = true, true, ".~tmp~"
	s.put("a", []byte("old"))
	s.list(directory(""), regular("a", 3), regular("b", 700000))
	big := noise(700000)
	s.whole("a", []byte("new"))
	s.whole("b", big)
	s.end()
	o := s.run()
	o.wantNotes(t, "phase done", "installed a", "installed b", "phase done", "phase done", "ended")
	s.check("a", []byte("new"))
	s.check("b", big)
	if len(s.names()) != 2 {
		t.Errorf("files %v", s.names())
	}
}

func TestDelayedUpdatesBeforeProtocol29ArePlacedAtTheEnd(t *testing.T) {
	s := newStream(t, 28)
	s.opt.DelayUpdates, s.opt.Partial, s.opt.PartialDir = true, true, ".~tmp~"
	s.list(regular("a", 3))
	s.whole("a", []byte("new"))
	s.end()
	o := s.run()
	o.wantNotes(t, "phase done", "installed a", "phase done", "ended")
	s.check("a", []byte("new"))
}

// A small file is with the reading goroutine when the stream breaks.
func TestPartOfASmallFileIsKeptIfWanted(t *testing.T) {
	for _, dir := range []string{"", "part"} {
		for _, partial := range []bool{false, true} {
			s := newStream(t, 31)
			s.opt.Partial = partial
			if partial {
				s.opt.PartialDir = dir
			}
			s.list(regular("a", 5000))
			s.echo("a", wanted)
			s.ints(0, 0, 0, 0)
			if err := s.tokens.Literal(noise(1000)); err != nil {
				t.Fatal(err)
			}
			o := s.run()
			if !errors.Is(o.err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v", o.err)
			}
			switch got := s.content(filepath.Join(dir, "a")); {
			case !partial && len(s.names()) > 0:
				t.Errorf("files %v", s.names())
			case partial && got != string(noise(1000)):
				t.Errorf("%d bytes are kept in %v", len(got), s.names())
			}
		}
	}
}

func TestInPlaceUpdatesKeepTheFile(t *testing.T) {
	s := newStream(t, 31)
	s.opt.Inplace = true
	old := noise(300000)
	content := bytes.Clone(old[:250000])
	content[100000] ^= 1
	s.put("a", old)
	before, err := os.Stat(filepath.Join(s.dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	s.list(regular("a", len(content)))
	s.update("a", old, content)
	s.end()
	o := s.run()
	o.wantNotes(t, append([]string{"installed a"}, phases(31)...)...)
	s.check("a", content)
	after, err := os.Stat(filepath.Join(s.dir, "a"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced, error %v", err)
	}
	if o.Literal > 2000 {
		t.Errorf("%d literal bytes", o.Literal)
	}
}

// appended writes the answer to a request that --append makes for a file with
// some of its bytes.
func (s *stream) appended(name string, have, content []byte, verify bool) {
	s.t.Helper()
	s.echo(name, wire.ItemTransfer|wire.ItemSize)
	delta.Geometry(int64(len(have)), s.p.Protocol, s.p.Xfer.Size()).Write(s.w)
	if err := errors.Join(s.tokens.Literal(content[len(have):]), s.tokens.End()); err != nil {
		s.t.Fatal(err)
	}
	if verify {
		s.digest(content)
	} else {
		s.digest(content[len(have):])
	}
}

func TestAppendedDataFollowWhatIsThere(t *testing.T) {
	content := noise(500000)
	for _, protocol := range []int{29, 30, 31} {
		for _, level := range []int{1, 2} {
			s := newStream(t, protocol)
			s.opt.Append, s.opt.Inplace = level, true
			verify := level == 2 || protocol < 30
			wrong := bytes.Clone(content[:1000])
			wrong[10] ^= 1
			s.put("good", content[:200000])
			s.put("wrong", wrong)
			s.list(regular("good", len(content)), regular("wrong", len(content)))
			s.appended("good", content[:200000], content, verify)
			s.appended("wrong", content[:1000], content, verify)
			s.done()
			if verify {
				s.update("wrong", wrong, content) // a redo, with sums and no appending
			}
			s.done()
			s.done()
			s.farewell()
			o := s.run()
			if o.err != nil {
				t.Fatal(o.err)
			}
			s.check("good", content)
			if verify {
				s.check("wrong", content)
			} else if got := s.content("wrong"); got != string(wrong)+string(content[1000:]) {
				t.Error("appending changed what was there")
			}
		}
	}
}

func TestFilesThatCannotBeWrittenAreReadAndFail(t *testing.T) {
	s := newStream(t, 31)
	s.put("d/x", nil)
	s.list(regular("d", 3), regular("e", 600000), regular("f", 1))
	s.put("e/x", nil)
	s.whole("d", []byte("abc"))
	s.whole("e", noise(600000))
	s.whole("f", []byte("f"))
	s.end()
	o := s.run()
	if o.err != nil {
		t.Fatal(o.err)
	}
	if got := strings.Join(sorted(o.notes[:3]), ", "); got != "failed d, failed e, installed f" {
		t.Errorf("notes %s", got)
	}
	if !strings.Contains(o.talked.said(), "ERROR_XFER") {
		t.Errorf("said %s", o.talked.said())
	}
	s.check("f", []byte("f"))
}

// A disk that is full ends the session (exit code 11), also while it waits for
// the peer.
func TestWriteErrorsEndTheSession(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		s := newStream(t, 31)
		s.opt.Inplace, s.opt.WriteDevices = true, true
		full := int(unix.Mkdev(1, 7)) // /dev/full
		if err := unix.Mknod(filepath.Join(s.dir, "f"), unix.S_IFCHR|0o666, full); err != nil {
			t.Skipf("cannot make a device: %v", err)
		}
		if f, err := os.OpenFile(filepath.Join(s.dir, "f"), os.O_WRONLY, 0); err != nil {
			t.Skipf("devices do not work here: %v", err)
		} else {
			f.Close()
		}
		s.list(regular("f", size))
		s.whole("f", noise(size))
		src, dst := io.Pipe()
		s.p.Interrupt = func() { src.CloseWithError(io.ErrClosedPipe) }
		sent := s.bytes()
		if size > 1<<18 {
			sent = sent[:len(sent)/2] // and then nothing: the rest is not waited for
		}
		go dst.Write(sent)
		o := s.runOn(context.Background(), src, nil)
		var coded interface{ ExitCode() int }
		if !errors.As(o.err, &coded) || coded.ExitCode() != 11 || !strings.Contains(o.err.Error(), "write failed on") {
			t.Errorf("%d bytes: error %v", size, o.err)
		}
	}
}

func TestManySmallFilesArriveInAnyOrder(t *testing.T) {
	const n = 500
	s := newStream(t, 32, func(p *receiver.Params) { p.Xfer = checksum.MD5 })
	s.put("d/.keep", nil)
	entries := []flist.Entry{directory("d")}
	for i := range n {
		entries = append(entries, regular(fmt.Sprintf("d/%03d", i), i))
	}
	s.list(entries...)
	for i := range n {
		s.whole(fmt.Sprintf("d/%03d", i), noise(i))
	}
	s.end()
	o := s.run()
	if o.err != nil || len(o.notes) != n+4 {
		t.Fatalf("%d notes, error %v", len(o.notes), o.err)
	}
	for i := range n {
		s.check(fmt.Sprintf("d/%03d", i), noise(i))
	}
}

// A file may be longer or shorter than its entry says.
func TestSizesOfTheListAreNoPromise(t *testing.T) {
	s := newStream(t, 31)
	s.list(regular("grown", 10), regular("shrunk", 300000), regular("vast", 10))
	s.whole("grown", noise(5000))
	s.whole("shrunk", noise(5))
	s.whole("vast", noise(1<<20))
	s.end()
	o := s.run()
	if o.err != nil {
		t.Fatal(o.err)
	}
	s.check("grown", noise(5000))
	s.check("shrunk", noise(5))
	s.check("vast", noise(1<<20))
}

func TestRunReturnsWhenItsContextEnds(t *testing.T) {
	for _, partial := range []bool{false, true} {
		s := newStream(t, 31)
		s.opt.Partial = partial
		s.list(regular("a", 3<<20))
		s.echo("a", wanted)
		delta.Head{}.Write(s.w)
		content := noise(2 << 20)
		if err := s.tokens.Literal(content); err != nil {
			t.Fatal(err)
		}
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(context.Background())
		src, dst := io.Pipe()
		s.p.Interrupt = func() { src.CloseWithError(io.ErrClosedPipe) }
		go func() {
			dst.Write(s.bytes())
			cancel(cause)
		}()
		o := s.runOn(ctx, src, nil)
		if !errors.Is(o.err, cause) {
			t.Errorf("error %v", o.err)
		}
		got, names := s.content("a"), s.names()
		switch {
		case !partial && len(names) != 0:
			t.Errorf("files %v are left", names)
		case partial && (len(got) < 1<<20 || got != string(content[:len(got)])):
			t.Errorf("%d bytes are kept", len(got))
		}
		if info, err := os.Stat(filepath.Join(s.dir, "a")); partial && (err != nil || info.ModTime().Unix() != 0) {
			t.Errorf("partial file: %v, error %v", info, err)
		}
	}
}
