package generator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// rig runs a generator between a source tree, which is listed as a sender would
// list it, and a destination. The peer is sender and receiver at once: it reads
// what the generator writes, writes it down, and puts the files in place.
type rig struct {
	t        *testing.T
	src, dst string
	words    []string // options
	protocol int
	inc      bool
	local    bool // both ends are here
	server   bool
	filters  []string
	compat   wire.Compat
	xfer     checksum.Algo // MD5 if zero
	seed     int32

	lists   []*flist.Received // made of src if nil
	ioError int32             // what the last list confesses
	refused func(p tree.Path, dir bool) bool
	// fate is what becomes of a requested file; nil installs all.
	fate    func(name string, try int) dest.NoteKind
	last    func()       // called before a DONE is answered
	stalled func() error // called before the peer waits
	// slow has lists come one by one, when the peer waits and slow says that it is
	// time for list i. nil: all are there from the beginning.
	slow func(i int) bool

	log    []string // what the generator wrote
	said   []string
	result generator.Result
	err    error

	opt    *option.Set
	d      *dest.Dest
	notes  *dest.Notes
	early  int32 // trouble of the sender that is heard of before it begins
	tries  map[string]int
	add    func(*flist.Received) // nil ends the lists
	given  int                   // lists given by add
	queue  []dest.Note           // until release
	mu     sync.Mutex
	phases int
}

func newRig(t *testing.T, protocol int, words ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, src: filepath.Join(dir, "src"), dst: filepath.Join(dir, "dst"), protocol: protocol, words: words}
	for _, d := range []string{r.src, r.dst} {
		check(t, os.Mkdir(d, 0o755))
	}
	return r
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// then is the modification time of everything that plant makes.
var then = time.Unix(1_500_000_000, 0)

// plant makes a tree of "path content" words: "d/" is a directory, "l -> x" a
// symlink, "b = a" a hard link, anything else a file with what follows the
// first space. Everything gets the same time.
func plant(t *testing.T, root string, items ...string) {
	t.Helper()
	for _, item := range items {
		name, content, _ := strings.Cut(item, " ")
		p := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			check(t, os.MkdirAll(p, 0o755))
		case strings.HasPrefix(content, "-> "):
			check(t, os.Symlink(content[3:], p))
		case strings.HasPrefix(content, "= "):
			check(t, os.Link(filepath.Join(root, content[2:]), p))
		default:
			check(t, os.WriteFile(p, []byte(content), 0o644))
		}
	}
	settle(t, root)
}

// settle gives everything below root the same time.
func settle(t *testing.T, root string) {
	t.Helper()
	r, err := walk.OpenRoot(root)
	check(t, err)
	defer r.Close()
	var all []string
	check(t, filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		all = append(all, p)
		return err
	}))
	for _, p := range slices.Backward(all) {
		setTime(t, p, then)
	}
}

// tree is what is below root: names with what they are.
func shape(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	names := map[uint64]string{}
	r, err := walk.OpenRoot(root)
	check(t, err)
	defer r.Close()
	check(t, filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		m, err := r.Lstat(tree.Path(rel))
		if err != nil {
			return err
		}
		switch m.Kind {
		case tree.Dir:
			rel += "/"
		case tree.Symlink:
			target, err := os.Readlink(p)
			check(t, err)
			rel += " -> " + target
		case tree.File:
			content, err := os.ReadFile(p)
			check(t, err)
			if first := names[m.Ino]; first != "" && m.Nlink > 1 {
				rel += " = " + first
			} else {
				names[m.Ino] = rel
				rel += " " + string(content)
			}
		default:
			rel += " " + m.Kind.String()
		}
		all = append(all, rel)
		return nil
	}))
	return all
}

// run runs the generator to its end.
func (r *rig) run() {
	r.t.Helper()
	r.start()
	if r.err != nil {
		r.t.Fatal(r.err)
	}
}

// start is run for runs that may fail.
func (r *rig) start() {
	t := r.t
	t.Helper()
	r.opt = parse(t, r.words)
	if r.lists == nil {
		r.lists = r.listing()
	}
	r.log, r.said, r.phases = nil, nil, 0
	r.tries = map[string]int{}
	first := r.lists[0]
	list := dest.List{}
	for _, l := range r.lists {
		list.Entries += len(l.Files)
	}
	if len(first.Order) > 0 {
		list.First = first.Order[0]
	}
	d, err := dest.Open(dest.Params{Opt: r.opt, Protocol: r.protocol, Talk: r, File: checksum.MD5}, r.dst, list)
	check(t, err)
	defer d.Close()
	r.d = d.As("generator")
	r.notes = dest.NewNotes()
	r.notes.Ail(r.early)
	lists := flist.NewLists()
	if r.slow == nil {
		for _, l := range r.lists {
			lists.Add(l)
		}
		lists.End(nil)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	in, out := io.Pipe()
	peer := make(chan error, 1)
	r.add = func(l *flist.Received) {
		if l == nil {
			lists.End(nil)
			return
		}
		lists.Add(l)
	}
	go func() {
		err := r.peer(wire.NewReader(in))
		in.CloseWithError(cmpErr(err, io.ErrClosedPipe))
		if err != nil {
			cancel()
		}
		peer <- err
	}()
	w := wire.NewWriter(out)
	w.StartMux()
	p := generator.Params{
		Opt: r.opt, Protocol: r.protocol, Compat: r.compat, Seed: 7, Xfer: checksum.MD5,
		Server: r.server, Local: r.local, Scope: r.scope(), Refused: r.refused,
	}
	if r.inc {
		p.Compat |= wire.IncRecurse
	}
	r.result, r.err = generator.Run(ctx, w, p, r.d, lists, r.notes, r)
	out.CloseWithError(io.EOF)
	if err := <-peer; err != nil && r.err == nil {
		t.Fatalf("peer: %v; so far:\n%s", err, strings.Join(r.log, "\n"))
	} else if err != nil {
		r.err = errors.Join(r.err, err)
	}
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (r *rig) scope() *filter.Scope {
	var b filter.Builder
	for _, f := range r.filters {
		check(r.t, b.Filter(f))
	}
	var implied filter.Implied
	if r.opt.Backup && r.opt.Delete && r.opt.BackupDir == "" && !r.opt.DeleteExcluded {
		implied.BackupSuffix = r.opt.Suffix
	}
	if dir := r.opt.PartialDir; dir != "" && dir[0] != '/' {
		implied.PartialDir = dir
	}
	rules, err := b.Rules(implied)
	check(r.t, err)
	read := func(dir tree.Path, name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(r.dst, string(dir), name))
	}
	return rules.ScopeAt(filter.Place{Read: read, DeleteExcluded: r.opt.DeleteExcluded})
}

// Text implements output.Talk.
func (r *rig) Text(code wire.Code, text string) { r.say(fmt.Sprintf("%s: %s", code, text)) }

// Item implements output.Talk.
func (r *rig) Item(e *output.Event, before bool) {
	r.say("item: " + output.Itemize(e, r.opt.Times, true) + " " + string(e.Path))
}

// Deleted implements output.Talk.
func (r *rig) Deleted(name tree.Path, m tree.Meta) {
	if m.IsDir() {
		name += "/"
	}
	r.say("deleted: " + string(name))
}

// Progress implements output.Talk.
func (r *rig) Progress(output.Progress, bool) {}

func (r *rig) say(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, line)
}

// only picks the lines that begin with prefix, and cuts it off.
func only(lines []string, prefix string) []string {
	var all []string
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, prefix); ok {
			all = append(all, rest)
		}
	}
	return all
}

// equal compares lines. It shows those that only one side has; if there are
// none, the order differs.
func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	count := map[string]int{}
	for _, l := range got {
		count[l]++
	}
	for _, l := range want {
		count[l]--
	}
	var diff []string
	for _, l := range slices.Sorted(maps.Keys(count)) {
		switch n := count[l]; {
		case n > 0:
			diff = append(diff, "got  "+l)
		case n < 0:
			diff = append(diff, "want "+l)
		}
	}
	if diff == nil {
		diff = append(append([]string{"another order: got"}, got...), "want")
		diff = append(diff, want...)
	}
	t.Errorf("%s:\n\t%s", what, strings.Join(diff, "\n\t"))
}

// peer reads what the generator writes, until the goodbye.
func (r *rig) peer(in *wire.Reader) error {
	in.StartMux(func(c wire.Code, payload []byte) error {
		if c == wire.CodeSuccess {
			r.log = append(r.log, "success "+r.entry(int32(payload[0])|int32(payload[1])<<8).name())
		}
		return nil
	})
	in.OnWait(func() error {
		if r.slow != nil && r.given <= len(r.lists) {
			r.give()
		}
		if r.stalled != nil {
			return r.stalled()
		}
		return nil
	})
	phases := len(r.lists) + 1 // D1
	if r.protocol >= 29 {
		phases++
	}
	all := phases + 1 // goodbye
	if r.protocol >= 31 {
		all++
	}
	for r.phases < all {
		ndx, err := in.Ndx(r.protocol)
		if err != nil {
			return fmt.Errorf("after %q: %w", r.log, err)
		}
		switch {
		case ndx == wire.NDXDone:
			r.phases++
			r.log = append(r.log, "DONE")
			r.done(phases)
		case ndx == wire.NDXDelStats:
			line := "del-stats"
			for range 5 {
				n, err := in.Varint()
				if err != nil {
					return err
				}
				line += fmt.Sprint(" ", n)
			}
			r.log = append(r.log, line)
		default:
			if err := r.item(in, ndx); err != nil {
				return err
			}
		}
	}
	if _, err := in.Byte(); err != io.EOF {
		return fmt.Errorf("something after the goodbye: %v", err)
	}
	return nil
}

// give adds the next list, or ends them.
func (r *rig) give() {
	if !r.slow(r.given) {
		return
	}
	if r.given == len(r.lists) {
		r.add(nil)
	} else {
		r.add(r.lists[r.given])
	}
	r.given++
}

// done answers a DONE as sender and receiver do.
func (r *rig) done(phases int) {
	if r.last != nil {
		r.last()
	}
	switch {
	case r.phases <= phases:
		if r.phases == len(r.lists)+1 && r.opt.DelayUpdates {
			r.d.PlaceDelayed(func(f *flist.File, err error) {
				n := dest.Note{Kind: dest.Installed, Index: f.Index}
				if err != nil {
					n.Kind = dest.Failed
				}
				r.notes.Put(n)
			})
		}
		r.notes.Put(dest.Note{Kind: dest.PhaseDone})
		if r.phases == phases && r.protocol < 31 {
			r.notes.Put(dest.Note{Kind: dest.Ended})
		}
	case r.protocol >= 31 && r.phases == phases+1:
		r.notes.Put(dest.Note{Kind: dest.Ended})
	}
}

// listed is an entry as an index names it.
type listed struct{ f *flist.File }

func (e listed) name() string {
	if e.f == nil {
		return "?"
	}
	if e.f.Path == tree.Root {
		return "."
	}
	return string(e.f.Path)
}

func (r *rig) entry(ndx int32) listed {
	for _, l := range r.lists {
		if f := l.Find(ndx); f != nil {
			return listed{f}
		}
	}
	return listed{}
}

// item reads an item report or a request.
func (r *rig) item(in *wire.Reader, ndx int32) error {
	e := r.entry(ndx)
	flags := wire.ItemTransfer
	if r.protocol >= 29 {
		v, err := in.Short()
		if err != nil {
			return err
		}
		flags = wire.Item(v)
	}
	event := &output.Event{Flags: flags, Path: e.f.Path, Meta: e.f.Full()}
	extra := ""
	if flags&wire.ItemBasisFollows != 0 {
		b, err := in.Byte()
		if err != nil {
			return err
		}
		extra += fmt.Sprintf(" basis %#x", b)
	}
	if flags&wire.ItemXnameFollows != 0 {
		x, err := in.VString(wire.VStringMax)
		if err != nil {
			return err
		}
		event.HasXname, event.Leader = true, x
		extra += fmt.Sprintf(" xname %q", x)
	}
	line := fmt.Sprintf("%04x %s %s%s", uint32(flags), output.Itemize(event, r.opt.Times, true), e.name(), extra)
	if flags&wire.ItemTransfer != 0 && !r.opt.DryRun {
		head, err := r.sums(in)
		if err != nil {
			return err
		}
		line += head
	}
	r.log = append(r.log, line)
	if flags&wire.ItemTransfer != 0 {
		r.deliver(e.f)
	}
	return nil
}

// sums reads a sum head and what follows.
func (r *rig) sums(in *wire.Reader) (string, error) {
	var h [4]int32
	for i := range h {
		var err error
		if h[i], err = in.Int(); err != nil {
			return "", err
		}
	}
	if h == [4]int32{} {
		return "", nil
	}
	if r.opt.Append == 0 {
		if err := in.ReadFull(make([]byte, int(h[0])*(4+int(h[2])))); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf(" sums %d*%d/%d s2 %d", h[0], h[1], h[3], h[2]), nil
}

// deliver puts a requested file in place and says so.
func (r *rig) deliver(f *flist.File) {
	name := string(f.Path)
	r.tries[name]++
	kind := dest.Installed
	if r.fate != nil {
		kind = r.fate(name, r.tries[name])
	}
	if (kind == dest.Installed || kind == later) && !r.opt.DryRun {
		content, err := os.ReadFile(filepath.Join(r.src, name))
		if err == nil {
			_, err = r.d.As("receiver").Store(f, content, r.tries[name] > 1, false)
		}
		if err != nil { // which was told
			kind = dest.Failed
		}
	}
	n := dest.Note{Kind: kind, Index: f.Index}
	switch kind {
	case silent:
		return
	case later:
		n.Kind = dest.Installed
		r.queue = append(r.queue, n)
		return
	}
	if r.opt.DelayUpdates && kind == dest.Installed {
		return // until it is renamed
	}
	r.notes.Put(n)
}

// Fates that no note tells as they are.
const (
	silent dest.NoteKind = 100 + iota // not sent, and nobody is told: below protocol 30
	later                             // installed, but told by release
)

// release tells what was held back.
func (r *rig) release() {
	for _, n := range r.queue {
		r.notes.Put(n)
	}
	r.queue = nil
}

func parse(t *testing.T, words []string) *option.Set {
	t.Helper()
	opt, err := option.Parse(option.Input{Words: append(slices.Clone(words), "a", "b")})
	check(t, err)
	return opt
}

type flistFile = flist.File

// same reports whether two trees hold the same.
func same(t *testing.T, a, b string) {
	t.Helper()
	equal(t, "tree", shape(t, b), shape(t, a)...)
}
