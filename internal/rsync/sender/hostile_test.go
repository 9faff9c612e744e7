package sender_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// script is what a peer sends, in the form of one protocol.
type script struct {
	proto int
	buf   bytes.Buffer
	w     *wire.Writer
}

func newScript(proto int) *script {
	s := &script{proto: proto}
	s.w = wire.NewWriter(&s.buf)
	return s
}

func (s *script) done(times int) *script {
	for range times {
		s.w.Ndx(s.proto, wire.NDXDone)
	}
	return s
}

func (s *script) index(ndx int32) *script {
	s.w.Ndx(s.proto, ndx)
	return s
}

func (s *script) raw(b ...byte) *script {
	s.w.Write(b)
	return s
}

func (s *script) item(ndx int32, flags uint16, rest ...byte) *script {
	s.w.Ndx(s.proto, ndx)
	if s.proto >= 29 {
		s.w.Short(flags)
	}
	s.w.Write(rest)
	return s
}

func (s *script) ints(v ...int32) *script {
	for _, n := range v {
		s.w.Int(n)
	}
	return s
}

func (s *script) bytes() []byte {
	s.w.Flush()
	return s.buf.Bytes()
}

// answers runs a job against a script; the streams are not multiplexed.
func answers(t testing.TB, params sender.Params, job sender.Job, requests []byte) ([]byte, sender.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	if params.Protocol >= 30 {
		w.StartMux()
	}
	in := &afterwards{r: bytes.NewReader(requests), ready: make(chan struct{})}
	job.OnProgress = in.listed
	res, err := sender.Run(ctx, wire.NewReader(in), w, params, job)
	return out.Bytes(), res, err
}

// afterwards is a stream that begins when all lists are sent, and after do.
type afterwards struct {
	r     io.Reader
	ready chan struct{}
	done  bool
	do    func()
}

func (a *afterwards) listed(p sender.Progress) {
	if p.ListedAll && !a.done {
		a.done = true
		close(a.ready)
	}
}

func (a *afterwards) Read(p []byte) (int, error) {
	<-a.ready
	if a.do != nil {
		a.do()
		a.do = nil
	}
	return a.r.Read(p)
}

func paramsOf(proto int) sender.Params {
	opt := option.New()
	opt.DeleteMissingArgs, opt.Links, opt.HardLinks = true, true, true
	p := sender.Params{Opt: opt, Protocol: proto, Seed: 1}
	p.Xfer, p.File = checksum.Default(proto)
	if proto >= 30 {
		p.Compat = wire.SafeFlist | wire.VarintFlistFlags | wire.ChecksumSeedFix
		opt.Xattrs = 1
	}
	return p
}

// bed is a small tree: index 0 ".", 1 "a", 2 "b", 3 "link", 4 "d", 5 "d/f".
func bed(t testing.TB) *walk.Root {
	t.Helper()
	dir := tempDir(t)
	for _, err := range []error{
		os.WriteFile(dir+"/a", []byte("hello"), 0o644),
		os.WriteFile(dir+"/b", random(1, 5000), 0o644),
		os.Symlink("a", dir+"/link"),
		os.Mkdir(dir+"/d", 0o755),
		os.WriteFile(dir+"/d/f", []byte("f"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := walk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

const (
	transfer = 0x8000
	isNew    = 0x2000
	xname    = 0x1000
	basis    = 0x0800
	xattr    = 0x0100
)

func TestRequestsOutsideTheProtocolAreRefused(t *testing.T) {
	root := bed(t)
	for _, c := range []struct {
		name     string
		proto    int
		requests *script
		want     error
	}{
		{"an index beyond the list", 31, newScript(31).item(6, isNew), sender.ErrProtocol},
		{"a negative index", 29, newScript(29).item(-7, isNew), sender.ErrProtocol},
		{"data of a directory", 31, newScript(31).item(4, transfer).ints(0, 0, 0, 0), sender.ErrProtocol},
		{"data of a symlink", 27, newScript(27).item(3, 0).ints(0, 0, 0, 0), sender.ErrProtocol},
		{"data after the redo pass", 31, newScript(31).done(2).item(1, transfer).ints(0, 0, 0, 0), sender.ErrProtocol},
		{"data after the last phase", 29, newScript(29).done(3).item(1, transfer).ints(0, 0, 0, 0), sender.ErrProtocol},
		{"a negative block count", 31, newScript(31).item(1, transfer).ints(-1, 700, 2, 0), sender.ErrProtocol},
		{"blocks that are too long", 31, newScript(31).item(1, transfer).ints(1, 1<<17+1, 2, 0), sender.ErrProtocol},
		{"blocks of nothing", 31, newScript(31).item(1, transfer).ints(1, 0, 2, 0), sender.ErrProtocol},
		{"strong sums longer than the digest", 31, newScript(31).item(1, transfer).ints(1, 700, 17, 0), sender.ErrProtocol},
		{"a last block longer than the others", 31, newScript(31).item(1, transfer).ints(1, 700, 2, 701), sender.ErrProtocol},
		{"sums for more memory than there is", 31, newScript(31).item(1, transfer).ints(0x7fffffff, 700, 16, 0), sender.ErrProtocol},
		{"sums that do not arrive", 31, newScript(31).item(1, transfer).ints(1<<20, 700, 16, 0), io.ErrUnexpectedEOF},
		{"a name that is too long", 31, newScript(31).item(1, xname|isNew, 0xff, 0xff), wire.ErrStream},
		{"deletion statistics below protocol 31", 30, newScript(30).item(-3, 0), sender.ErrProtocol},
		{"deletion statistics that are negative", 31, newScript(31).index(-3).raw(0xf0, 0xff, 0xff, 0xff, 0xff), sender.ErrProtocol},
		{"an end of lists from the wrong side", 31, newScript(31).item(-2, 0), sender.ErrProtocol},
		{"an attribute that does not exist", 31, newScript(31).item(1, xattr, 1, 0), sender.ErrProtocol},
		{"an attribute before the first", 31, newScript(31).item(1, xattr, 0xf0, 0xff, 0xff, 0xff, 0xff, 0), sender.ErrProtocol},
		{"the end of the stream instead of the goodbye", 31, newScript(31).done(4), io.ErrUnexpectedEOF},
		{"the end of the stream at once", 29, newScript(29), io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := answers(t, paramsOf(c.proto), sender.Job{Root: root, Whole: true}, c.requests.bytes())
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// after cuts the file list, as a run without requests sends it, off an answer.
func after(t *testing.T, params sender.Params, job sender.Job, answer []byte) []byte {
	t.Helper()
	list, _, _ := answers(t, params, job, nil)
	if !bytes.HasPrefix(answer, list) {
		t.Fatalf("the answer does not begin with the list")
	}
	return answer[len(list):]
}

func TestReportsAfterTheLastDoneAreNotEchoed(t *testing.T) {
	root := bed(t)
	job := sender.Job{Root: root, Whole: true}
	report := func(s *script) *script { return s.item(1, isNew|xname|basis, 0x83, 1, 'x') }
	params := paramsOf(29)
	requests := report(report(newScript(29)).done(3)).done(1).bytes()
	out, _, err := answers(t, params, job, requests)
	if err != nil {
		t.Fatal(err)
	}
	want := report(newScript(29)).done(3).bytes()
	if got := after(t, params, job, out); !bytes.Equal(got, want) {
		t.Errorf("answer %x, want %x", got, want)
	}
}

func TestKeepAliveOfProtocol29IsNotAnswered(t *testing.T) {
	root := bed(t)
	job := sender.Job{Root: root, Whole: true}
	params := paramsOf(29)
	out, _, err := answers(t, params, job, newScript(29).item(6, isNew).done(4).bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after(t, params, job, out), newScript(29).done(3).bytes(); !bytes.Equal(got, want) {
		t.Errorf("answer %x, want %x", got, want)
	}
}

func TestDeletionStatisticsComeAnywhere(t *testing.T) {
	root := bed(t)
	stats := func(s *script) *script { return s.index(-3).raw(1, 2, 3, 4, 5) }
	for dones := range 5 {
		requests := stats(newScript(31).done(dones)).done(5 - dones).bytes()
		_, res, err := answers(t, paramsOf(31), sender.Job{Root: root, Whole: true}, requests)
		if err != nil || res.Deleted != 15 || res.DelStats.Specials != 5 {
			t.Errorf("after %d DONEs: %+v, %v", dones, res, err)
		}
	}
}

func TestFilesThatAreGoneAreAccountedFor(t *testing.T) {
	for _, proto := range []int{29, 31} {
		dir := tempDir(t)
		check(t, os.WriteFile(dir+"/gone", []byte("x"), 0o644))
		check(t, os.WriteFile(dir+"/swapped", []byte("x"), 0o644))
		root, err := walk.OpenRoot(dir)
		check(t, err)
		defer root.Close()
		// The requests are read when the list is complete.
		requests := newScript(proto).item(1, transfer).ints(0, 0, 0, 0).item(2, transfer).ints(0, 0, 0, 0).done(5).bytes()
		in := &afterwards{r: bytes.NewReader(requests), do: func() {
			check(t, os.Remove(dir+"/gone"))
			check(t, os.Remove(dir+"/swapped"))
			check(t, os.Symlink("/etc/passwd", dir+"/swapped"))
		}, ready: make(chan struct{})}
		var out bytes.Buffer
		w := wire.NewWriter(&out)
		if proto >= 30 {
			w.StartMux()
		}
		res, err := sender.Run(t.Context(), wire.NewReader(in), w, paramsOf(proto), sender.Job{Root: root, Whole: true, OnProgress: in.listed})
		check(t, err)
		if len(res.Missing) != 2 || res.Transferred != 0 || res.IOError != sender.IOErrorGeneral|sender.IOErrorVanished {
			t.Errorf("protocol %d: %+v", proto, res)
		}
		noSend := binary.LittleEndian.AppendUint32([]byte{4, 0, 0, 7 + 102}, 1)
		if bytes.Contains(out.Bytes(), noSend) != (proto >= 30) {
			t.Errorf("protocol %d: output %x", proto, out.Bytes())
		}
		if bytes.Contains(out.Bytes(), []byte("root:")) {
			t.Error("a symlink was followed")
		}
	}
}

func TestAFileThatShrinksIsSpoiled(t *testing.T) {
	dir := tempDir(t)
	check(t, os.WriteFile(dir+"/f", make([]byte, 3<<20), 0o644))
	root, err := walk.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	requests := newScript(31).item(1, transfer).ints(0, 0, 0, 0).done(5).bytes()
	shrink := &shrinker{path: dir + "/f", t: t}
	w := wire.NewWriter(shrink)
	w.StartMux()
	params := paramsOf(31)
	var heard error
	in := &afterwards{r: bytes.NewReader(requests), ready: make(chan struct{})}
	res, err := sender.Run(t.Context(), wire.NewReader(in), w, params,
		sender.Job{Root: root, Whole: true, OnProgress: in.listed, OnError: func(_ tree.Path, err error) { heard = err }})
	check(t, err)
	if len(res.Missing) != 1 || res.Literal != 3<<20 || heard == nil {
		t.Errorf("%+v, %v", res, heard)
	}
	// The tokens end, then comes a digest of nothing but zeros, then the DONEs.
	if want := make([]byte, 4+16); !bytes.Contains(shrink.tail, want) {
		t.Errorf("tail %x", shrink.tail)
	}
}

// shrinker truncates a file when its data begins to arrive.
type shrinker struct {
	path string
	t    *testing.T
	seen int
	tail []byte
}

func (s *shrinker) Write(p []byte) (int, error) {
	if s.seen += len(p); s.seen > 100_000 && s.path != "" {
		check(s.t, os.Truncate(s.path, 1<<20))
		s.path = ""
	}
	s.tail = append(s.tail, p...)
	s.tail = s.tail[max(0, len(s.tail)-100):]
	return len(p), nil
}

func TestCancelEndsARun(t *testing.T) {
	root := bed(t)
	for _, proto := range []int{29, 32} {
		in, feed := io.Pipe()
		ctx, cancel := context.WithCancelCause(t.Context())
		params := paramsOf(proto)
		params.Interrupt = func() { in.CloseWithError(os.ErrDeadlineExceeded) }
		reason := errors.New("enough")
		w := wire.NewWriter(io.Discard)
		ended := make(chan error, 1)
		go func() {
			_, err := sender.Run(ctx, wire.NewReader(in), w, params, sender.Job{Root: root, Whole: true})
			ended <- err
		}()
		_, err := feed.Write(newScript(proto).item(1, isNew).bytes())
		check(t, err)
		cancel(reason)
		select {
		case err := <-ended:
			if !errors.Is(err, reason) {
				t.Errorf("error %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the run goes on")
		}
	}
}

func TestJobsThatMakeNoSense(t *testing.T) {
	root := bed(t)
	for _, c := range []struct {
		name   string
		params sender.Params
		job    sender.Job
	}{
		{"no root", paramsOf(31), sender.Job{Whole: true}},
		{"neither whole nor list", paramsOf(31), sender.Job{Root: root}},
		{"whole and list", paramsOf(31), sender.Job{Root: root, Whole: true, List: items("a")}},
		{"a list in incremental mode", sender.Params{Opt: option.New(), Protocol: 31, Compat: wire.IncRecurse}, sender.Job{Root: root, List: items("a")}},
		{"a path that leaves the tree", paramsOf(31), sender.Job{Root: root, List: items("../x")}},
		{"a transfer root that leaves the tree", paramsOf(31), sender.Job{Root: root, Dir: "..", Whole: true}},
		{"a transfer root that is not there", paramsOf(31), sender.Job{Root: root, Dir: "none", Whole: true}},
		{"a transfer root that is a file", paramsOf(31), sender.Job{Root: root, Dir: "a", Whole: true}},
		{"an unknown protocol", paramsOf(26), sender.Job{Root: root, Whole: true}},
	} {
		out, _, err := answers(t, c.params, c.job, newScript(31).done(5).bytes())
		if err == nil || len(out) > 0 {
			t.Errorf("%s: %v after %d bytes", c.name, err, len(out))
		}
	}
}

func FuzzRequests(f *testing.F) {
	root := bed(f)
	for _, proto := range []int{27, 29, 30, 31, 32} {
		f.Add(uint8(proto), newScript(proto).item(1, transfer).ints(1, 700, 2, 5).raw(1, 2, 3, 4, 5, 6).done(5).bytes())
		f.Add(uint8(proto), newScript(proto).item(1, isNew|xname|basis|xattr, 0x83, 1, 'x', 1, 0).item(5, transfer).ints(0, 0, 0, 0).done(4).bytes())
		f.Add(uint8(proto), newScript(proto).done(2).index(-3).raw(1, 2, 3, 4, 5).done(3).bytes())
	}
	f.Fuzz(func(t *testing.T, proto uint8, requests []byte) {
		params := paramsOf(27 + int(proto%6))
		if params.Protocol >= 30 && proto&0x80 != 0 {
			params.Compat |= wire.IncRecurse
		}
		params.Opt.DryRun = proto&0x40 != 0
		_, res, err := answers(t, params, sender.Job{Root: root, Whole: true}, requests)
		if err == nil && res.Files != 6 {
			t.Errorf("%+v", res)
		}
	})
}
