package receiver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

const seed = 0x12345678

// stream is a sender's side of a session, written in advance: its lists, echoes,
// data and DONEs.
type stream struct {
	t      testing.TB
	opt    *option.Set
	p      receiver.Params
	dir    string // the destination
	out    bytes.Buffer
	w      *wire.Writer
	enc    *flist.Encoder
	tokens compress.Encoder
	index  map[string]int32
	meta   map[string]tree.Meta
	listed func(first *flist.Received) // called before the run, if set
}

// newStream is ready for the list. adjust may change what the session has agreed
// on; the method is in Opt.CompressChoice.
func newStream(t testing.TB, protocol int, adjust ...func(*receiver.Params)) *stream {
	t.Helper()
	s := &stream{t: t, dir: t.TempDir(), opt: option.New(), index: make(map[string]int32), meta: make(map[string]tree.Meta)}
	s.opt.Recurse, s.opt.Dirs, s.opt.Times, s.opt.Perms = true, true, true, true
	s.p = receiver.Params{Opt: s.opt, Protocol: protocol, Seed: seed, Server: true, Xfer: checksum.XXH128}
	if protocol < 30 {
		s.p.Xfer = checksum.MD4Old
	}
	for _, f := range adjust {
		f(&s.p)
	}
	s.w = wire.NewWriter(&s.out)
	var err error
	if s.enc, err = flist.NewEncoder(s.w, s.options(), nil); err != nil {
		t.Fatal(err)
	}
	if s.tokens, err = compress.New(s.w, compress.Options{Method: s.p.Compress, Protocol: protocol}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.tokens.Close)
	return s
}

func (s *stream) options() flist.Options {
	return flist.Options{Protocol: s.p.Protocol, Compat: s.p.Compat, Xattrs: s.opt.Xattrs > 0, HardLinks: s.opt.HardLinks}
}

func incremental(p *receiver.Params) {
	p.Compat |= wire.IncRecurse | wire.SafeFlist | wire.VarintFlistFlags
}

// regular is an entry for a file.
func regular(name string, size int) flist.Entry {
	dir, base := filepath.Split(name)
	return flist.Entry{
		Dir: tree.Path(strings.TrimSuffix(dir, "/")), Name: base,
		Meta: tree.Meta{Kind: tree.File, Perm: 0o644, Size: int64(size), Mtime: tree.Time{Sec: 1600000000}},
	}
}

// directory is an entry for a directory, "" for the root.
func directory(name string) flist.Entry {
	dir, base := filepath.Split(name)
	return flist.Entry{
		Dir: tree.Path(strings.TrimSuffix(dir, "/")), Name: base, Top: name == "",
		Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755, Mtime: tree.Time{Sec: 1500000000}},
	}
}

// list writes the first list.
func (s *stream) list(entries ...flist.Entry) {
	s.t.Helper()
	s.enc.Begin()
	s.entries(entries)
}

// sub writes the list of directory number n.
func (s *stream) sub(n int32, dir string, entries ...flist.Entry) {
	s.t.Helper()
	s.enc.BeginDir(n, tree.Path(dir), 0)
	s.entries(entries)
}

func (s *stream) entries(entries []flist.Entry) {
	s.t.Helper()
	for i := range entries {
		if err := s.enc.Add(&entries[i]); err != nil {
			s.t.Fatal(err)
		}
		s.meta[string(entries[i].Path())] = entries[i].Meta
	}
	l := s.enc.End(0)
	for i := range int32(l.Len()) {
		s.index[string(l.Path(l.Start()+i))] = l.Start() + i
	}
}

// echo writes the head of an answer.
func (s *stream) echo(name string, flags wire.Item) {
	s.t.Helper()
	index, ok := s.index[name]
	if !ok {
		s.t.Fatalf("no entry %q", name)
	}
	s.echoIndex(index, flags)
}

func (s *stream) echoIndex(index int32, flags wire.Item) {
	s.w.Ndx(s.p.Protocol, index)
	if s.p.Protocol >= 29 {
		s.w.Short(uint16(flags))
	}
}

const wanted = wire.ItemTransfer | wire.ItemNew

// whole writes the answer for a file without basis.
func (s *stream) whole(name string, content []byte) {
	s.t.Helper()
	s.echo(name, wanted)
	s.data(delta.Head{}, nil, content)
}

// update writes the answer for a file with a basis.
func (s *stream) update(name string, basis, content []byte) {
	s.t.Helper()
	s.echo(name, wire.ItemTransfer|wire.ItemSize|wire.ItemTime)
	s.data(delta.Geometry(int64(len(basis)), s.p.Protocol, s.p.Xfer.Size()), basis, content)
}

// data writes sum head, tokens and digest.
func (s *stream) data(head delta.Head, basis, content []byte) {
	s.t.Helper()
	s.tokenized(head, basis, content)
	s.digest(content)
}

func (s *stream) tokenized(head delta.Head, basis, content []byte) {
	s.t.Helper()
	head.Write(s.w)
	var raw bytes.Buffer
	blocks := s.p.Xfer.Blocks(seed, true)
	var signer delta.Signer
	if err := signer.Sign(&raw, bytes.NewReader(basis), head, blocks); err != nil {
		s.t.Fatal(err)
	}
	var sums delta.Sums
	if err := sums.Read(wire.NewReader(&raw), head, s.p.Protocol, s.p.Xfer.Size()); err != nil {
		s.t.Fatal(err)
	}
	var search delta.Searcher
	if _, err := search.Search(bytes.NewReader(content), int64(len(content)), &sums, blocks, io.Discard, s.tokens); err != nil {
		s.t.Fatal(err)
	}
	if err := s.tokens.End(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) digest(content []byte) {
	h := s.p.Xfer.New(seed)
	h.Write(content)
	s.w.Write(h.Sum(nil))
}

// spoiled writes the answer for a file without basis with a digest that is wrong.
func (s *stream) spoiled(name string, content []byte) {
	s.t.Helper()
	s.echo(name, wanted)
	s.tokenized(delta.Head{}, nil, content)
	s.w.Write(make([]byte, s.p.Xfer.Size()))
}

func (s *stream) done() { s.w.Ndx(s.p.Protocol, wire.NDXDone) }

// end writes the DONEs after the last data of the normal pass, and the D3 answer.
func (s *stream) end() {
	n := 3
	if s.p.Protocol < 29 {
		n = 2
	}
	for range n {
		s.done()
	}
	s.farewell()
}

func (s *stream) farewell() {
	if s.p.Protocol >= 31 && s.p.Batch == nil {
		s.done()
	}
}

func (s *stream) bytes() []byte {
	s.t.Helper()
	if err := s.w.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return s.out.Bytes()
}

// outcome is what a run did.
type outcome struct {
	receiver.Result
	err    error
	notes  []string
	ills   int32
	talked *talk
}

// run receives the stream.
func (s *stream) run() outcome {
	s.t.Helper()
	return s.runOn(context.Background(), bytes.NewReader(s.bytes()), nil)
}

// runOn receives what src has.
func (s *stream) runOn(ctx context.Context, src io.Reader, raw func(*wire.Reader)) outcome {
	s.t.Helper()
	r := wire.NewReader(src)
	if raw != nil {
		raw(r)
	}
	o, err := s.receive(ctx, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// receive is what a session does around a receiver. The error is one before it.
func (s *stream) receive(ctx context.Context, r *wire.Reader) (outcome, error) {
	dec, err := flist.NewDecoder(r, s.options(), flist.Receive{})
	if err != nil {
		return outcome{}, err
	}
	first, err := dec.First()
	if err != nil {
		return outcome{}, err
	}
	lists, notes, talked := flist.NewLists(), dest.NewNotes(), new(talk)
	lists.Add(first)
	if s.listed != nil {
		s.listed(first)
	}
	at := dest.List{Entries: len(first.Files)}
	if len(first.Files) > 0 {
		at.First = first.Files[0]
	}
	d, err := dest.Open(dest.Params{Opt: s.opt, Protocol: s.p.Protocol, Talk: talked, Sets: first.Xattrs}, s.dir, at)
	if err != nil {
		return outcome{}, err
	}
	defer d.Close()
	var o outcome
	o.talked = talked
	o.Result, o.err = receiver.Run(ctx, r, s.p, d.As("receiver"), dec, lists, notes, talked)
	o.ills = notes.Ills()
	for n, ok := notes.TryTake(); ok; n, ok = notes.TryTake() {
		o.notes = append(o.notes, s.describe(n))
	}
	return o, nil
}

// describe names a note.
func (s *stream) describe(n dest.Note) string {
	kinds := map[dest.NoteKind]string{
		dest.Installed: "installed", dest.Redo: "redo", dest.Failed: "failed", dest.NotSent: "not sent",
		dest.PhaseDone: "phase done", dest.Ended: "ended",
	}
	switch n.Kind {
	case dest.PhaseDone, dest.Ended:
		return kinds[n.Kind]
	}
	for name, index := range s.index {
		if index == n.Index {
			return kinds[n.Kind] + " " + name
		}
	}
	return fmt.Sprintf("%s %d", kinds[n.Kind], n.Index)
}

// put makes a file of the destination.
func (s *stream) put(name string, content []byte) {
	s.t.Helper()
	p := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// content is what a file of the destination holds, "<none>" if it is not there.
func (s *stream) content(name string) string {
	s.t.Helper()
	p, err := os.ReadFile(filepath.Join(s.dir, name))
	if os.IsNotExist(err) {
		return "<none>"
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return string(p)
}

// names are the files of the destination.
func (s *stream) names() []string {
	s.t.Helper()
	var all []string
	err := filepath.WalkDir(s.dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(s.dir, p)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// check compares a file of the destination with what it is to be.
func (s *stream) check(name string, want []byte) {
	s.t.Helper()
	if got := s.content(name); got != string(want) {
		s.t.Errorf("%s has %d bytes that differ from the %d wanted", name, len(got), len(want))
		return
	}
	info, err := os.Lstat(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	if m := s.meta[name]; info.ModTime().Unix() != m.Mtime.Sec || info.Mode().Perm() != os.FileMode(m.Perm) {
		s.t.Errorf("%s has mode %v and time %v", name, info.Mode(), info.ModTime())
	}
}

func (o *outcome) wantNotes(t testing.TB, want ...string) {
	t.Helper()
	if o.err != nil {
		t.Errorf("error %v", o.err)
	}
	if got := strings.Join(o.notes, ", "); got != strings.Join(want, ", ") {
		t.Errorf("notes: %s\nwant:  %s", got, strings.Join(want, ", "))
	}
}

// talk remembers what was said.
type talk struct {
	mu       sync.Mutex
	texts    []string
	items    []string
	digests  []string
	progress []output.Progress
	ends     int
}

func (k *talk) Text(c wire.Code, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.texts = append(k.texts, c.String()+" "+text)
}

func (k *talk) Item(e *output.Event, before bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	when := "after"
	if before {
		when = "before"
	}
	line := fmt.Sprintf("%s %#x %s", when, uint32(e.Flags), string(e.Path))
	if e.HasXname {
		line += " => " + e.Leader
	}
	k.items = append(k.items, line)
	k.digests = append(k.digests, fmt.Sprintf("%d %d:%s", e.Bytes, e.Digits, e.Digest))
}

func (k *talk) Deleted(tree.Path, tree.Meta) {}

func (k *talk) Progress(p output.Progress, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.progress = append(k.progress, p)
	if done {
		k.ends++
	}
}

func (k *talk) said() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.texts, "\n")
}

func sorted(p []string) []string {
	slices.Sort(p)
	return p
}
