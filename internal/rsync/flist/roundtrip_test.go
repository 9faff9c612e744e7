package flist_test

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// world is a random session: its options, and the entries of each directory.
type world struct {
	rng     *rand.Rand
	opts    flist.Options
	recv    flist.Receive
	ioError int32
	dirs    []tree.Path
	entries map[tree.Path][]flist.Entry // by directory, in transmission order
	inodes  []tree.Meta                 // of linked things
	targets map[uint64]string           // of linked symlinks
	left    map[uint64]uint32           // names that an inode has yet to get
	ino     uint64                      // given last
}

func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

// swapCase is a conversion that is its own inverse.
func swapCase(p []byte) ([]byte, error) {
	out := bytes.Clone(p)
	for i, c := range out {
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			out[i] ^= 0x20
		}
	}
	return out, nil
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), entries: map[tree.Path][]flist.Entry{}, targets: map[uint64]string{}, left: map[uint64]uint32{}}
	o := &w.opts
	o.Protocol = 27 + w.rng.IntN(6)
	if o.Protocol >= 30 {
		for _, bit := range []wire.Compat{wire.IncRecurse, wire.VarintFlistFlags, wire.SafeFlist, wire.ID0Names, wire.SymlinkIconv} {
			if w.one(2) {
				o.Compat |= bit
			}
		}
		o.ACLs, o.Xattrs = w.one(2), w.one(2)
		o.Crtimes = o.Compat.Has(wire.VarintFlistFlags) && w.one(2)
	}
	for _, on := range []*bool{&o.Owner, &o.Group, &o.Links, &o.Devices, &o.Specials, &o.HardLinks, &o.NumericIDs, &o.Atimes, &o.AnyXattr} {
		*on = w.one(2)
	}
	o.SumLen = []int{0, 0, 8, 16, 20}[w.rng.IntN(5)]
	if w.one(4) {
		o.Iconv = true
		o.Convert = swapCase
	}
	if o.Protocol >= 31 || o.Protocol < 30 || o.Compat&(wire.VarintFlistFlags|wire.SafeFlist) != 0 {
		w.ioError = int32(w.rng.IntN(8))
	}
	w.recv = flist.Receive{DeleteMissing: true, Relative: w.one(2)}
	w.grow("", 3)
	return w
}

// grow fills a directory and those below it.
func (w *world) grow(dir tree.Path, depth int) {
	names := map[string]bool{}
	var list []flist.Entry
	if dir == "" {
		list = append(list, w.entry(dir, "", tree.Dir))
	}
	for range w.rng.IntN(12) {
		name := strconv.FormatUint(w.rng.Uint64()>>w.rng.IntN(64), 36)
		if w.one(10) {
			name += string(bytes.Repeat([]byte{byte(1 + w.rng.IntN(46))}, w.rng.IntN(240)))
		}
		if names[name] {
			continue
		}
		names[name] = true
		kind := []tree.Kind{tree.Dir, tree.Dir, tree.File, tree.File, tree.File, tree.Symlink, tree.CharDevice, tree.BlockDevice, tree.Fifo, tree.Socket, tree.Missing}[w.rng.IntN(11)]
		if kind == tree.Dir && depth == 0 {
			kind = tree.File
		}
		list = append(list, w.entry(dir, name, kind))
	}
	w.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	w.dirs = append(w.dirs, dir)
	w.entries[dir] = list
	for _, e := range list {
		if e.Meta.IsDir() && e.Name != "" {
			w.grow(dir.Join(e.Name), depth-1)
		}
	}
}

func (w *world) entry(dir tree.Path, name string, kind tree.Kind) flist.Entry {
	e := flist.Entry{Dir: dir, Name: name, Meta: w.meta(kind)}
	if kind == tree.Missing {
		return e
	}
	e.Top, e.NoContent = w.one(3), w.one(3)
	e.Atime.Sec, e.Crtime.Sec = w.seconds(), w.seconds()
	if w.one(3) {
		e.Crtime.Sec = e.Meta.Mtime.Sec
	}
	if kind == tree.Symlink {
		e.Target = strconv.FormatUint(w.rng.Uint64(), 36)
		if e.Meta.Nlink > 1 {
			e.Target = w.targets[e.Meta.Ino]
		}
	}
	if kind == tree.File {
		e.Sum = bytes.Repeat([]byte{byte(e.Meta.Size)}, w.opts.SumLen)
	}
	if e.Meta.Nlink > 1 { // what all names share
		e.Atime.Sec, e.Crtime.Sec = e.Meta.Mtime.Sec+1, int64(e.Meta.Size)
	}
	if kind != tree.Symlink {
		e.Access = w.acl(e.Meta.Perm, true)
	}
	if kind == tree.Dir {
		e.Default = w.acl(e.Meta.Perm, false)
	}
	e.Xattrs = w.attrs()
	return e
}

func (w *world) seconds() int64 {
	return []int64{0, stamp, stamp + 1, int64(w.rng.Uint32()), -int64(w.rng.Uint32()), w.rng.Int64() >> 8}[w.rng.IntN(6)]
}

func (w *world) id() uint32 { return []uint32{0, 1, 1000, 4000000000, w.rng.Uint32()}[w.rng.IntN(5)] }

func (w *world) meta(kind tree.Kind) tree.Meta {
	m := tree.Meta{Kind: kind}
	if kind == tree.Missing {
		return m
	}
	m.Perm, m.Nlink = uint16(w.rng.IntN(0o10000)), 1
	m.UID, m.GID = w.id(), w.id()
	m.Mtime = tree.Time{Sec: w.seconds(), Nsec: uint32(w.rng.IntN(2) * w.rng.IntN(1e9))}
	w.ino++
	m.Dev, m.Ino = uint64(w.rng.IntN(3)), w.ino<<(40*w.rng.IntN(2))
	if kind.IsDevice() {
		m.Major, m.Minor = uint32(w.rng.IntN(4)), uint32(w.rng.IntN(600))
	} else if !kind.IsSpecial() {
		m.Size = w.rng.Int64() >> w.rng.IntN(63)
	}
	if kind == tree.Dir || !w.one(3) {
		return m
	}
	if w.one(2) {
		for _, old := range w.inodes {
			if old.Kind == kind && w.left[old.Ino] > 0 {
				w.left[old.Ino]--
				return old
			}
		}
	}
	m.Nlink = 2 + uint32(w.rng.IntN(3))
	w.left[m.Ino] = m.Nlink - 1
	w.targets[m.Ino] = strconv.FormatUint(w.rng.Uint64(), 36)
	w.inodes = append(w.inodes, m)
	w.rng.Shuffle(len(w.inodes), func(i, j int) { w.inodes[i], w.inodes[j] = w.inodes[j], w.inodes[i] })
	return m
}

// acl is a value as the kernel would have it for those permissions.
func (w *world) acl(perm uint16, access bool) []byte {
	if !w.opts.ACLs || w.one(2) {
		return nil
	}
	bits := func() uint16 { return uint16(w.rng.IntN(8)) }
	u, g, o := perm>>6&7, perm>>3&7, perm&7
	if !access {
		u, g, o = bits(), bits(), bits()
	}
	entries := []ace{{userObj, u, nobody}}
	for i := range w.rng.IntN(3) {
		entries = append(entries, ace{user, bits(), uint32(i*1000) + w.id()%1000})
	}
	entries = append(entries, ace{groupObj, bits(), nobody})
	for i := range w.rng.IntN(3) {
		entries = append(entries, ace{group, bits(), uint32(i*1000) + w.id()%1000})
	}
	if len(entries) == 2 && w.one(2) {
		entries[1].perm = g
	} else {
		entries = append(entries, ace{mask, g, nobody})
	}
	return kernelACL(append(entries, ace{other, o, nobody})...)
}

func (w *world) attrs() []flist.Xattr {
	var set []flist.Xattr
	for i := range w.rng.IntN(4) {
		name := fmt.Sprintf("%s%d", []string{"user.", "trusted.x", "system.", "user.rsync.%"}[w.rng.IntN(4)], i)
		set = append(set, flist.Xattr{Name: name, Value: bytes.Repeat([]byte{'v'}, []int{0, 1, 32, 33, 1000}[w.rng.IntN(5)])})
	}
	return set
}

// send writes all lists, the directories in a random order that a peer accepts.
func (w *world) send(t *testing.T, wr *wire.Writer) (lists []*flist.List, announced []int32) {
	t.Helper()
	enc, err := flist.NewEncoder(wr, w.opts, nil)
	must(t, err)
	add := func(dir tree.Path) {
		for i := range w.entries[dir] {
			must(t, enc.Add(&w.entries[dir][i]))
		}
	}
	enc.Begin()
	if !w.opts.Incremental() {
		for _, dir := range w.dirs {
			add(dir)
		}
		return append(lists, enc.End(w.ioError)), nil
	}
	type pending struct {
		number int32
		path   tree.Path
	}
	var queue []pending
	dirs := int32(0)
	end := func() {
		list := enc.End(w.ioError)
		lists = append(lists, list)
		list.Directories(func(_ int32, path tree.Path) bool {
			if path != "" {
				queue = append(queue, pending{dirs, path})
			}
			dirs++
			return true
		})
	}
	add("")
	end()
	for len(queue) > 0 {
		i := w.rng.IntN(len(queue))
		next := queue[i]
		queue = slices.Delete(queue, i, i+1)
		enc.BeginDir(next.number, next.path, 0)
		announced = append(announced, next.number)
		add(next.path)
		end()
	}
	enc.EndOfLists()
	return lists, announced
}

// TestWhatWasEncodedIsDecoded sends random trees with random options and
// compares what arrives. LOCKSTEP_FLIST_SEEDS sets how many.
func TestWhatWasEncodedIsDecoded(t *testing.T) {
	seeds := uint64(200)
	if n, err := strconv.ParseUint(os.Getenv("LOCKSTEP_FLIST_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for seed := range seeds {
		w := newWorld(seed)
		var buf bytes.Buffer
		wr := wire.NewWriter(&buf)
		lists, announced := w.send(t, wr)
		must(t, wr.Flush())
		r := wire.NewReader(&buf)
		dec, err := flist.NewDecoder(r, w.opts, w.recv)
		must(t, err)
		store := flist.NewLists()
		for i := range lists {
			var got *flist.Received
			if i == 0 {
				got, err = dec.First()
			} else {
				var ndx int32
				ndx, err = r.Ndx(w.opts.Protocol)
				must(t, err)
				if ndx != wire.NDXFlistOffset-announced[i-1] {
					t.Fatalf("seed %d: index %d before list %d", seed, ndx, i)
				}
				got, err = dec.Sub(announced[i-1])
			}
			if err != nil {
				t.Fatalf("seed %d, %+v: %v", seed, w.opts, err)
			}
			store.Add(got)
		}
		if w.opts.Incremental() {
			if ndx, err := r.Ndx(w.opts.Protocol); ndx != wire.NDXFlistEOF || err != nil {
				t.Fatalf("seed %d: index %d at the end, %v", seed, ndx, err)
			}
		}
		if _, err := r.Byte(); err != io.EOF {
			t.Fatalf("seed %d: more than the lists was written: %v", seed, err)
		}
		store.End(nil)
		w.compare(t, lists, store)
		if t.Failed() {
			t.Fatalf("seed %d, %+v", seed, w.opts)
		}
	}
}

func (w *world) compare(t *testing.T, lists []*flist.List, store *flist.Lists) {
	t.Helper()
	sent := map[tree.Path]*flist.Entry{}
	for _, list := range w.entries {
		for i := range list {
			sent[list[i].Path()] = &list[i]
		}
	}
	groups := map[tree.Inode]*flist.LinkGroup{}
	count := 0
	for n, list := range lists {
		got, err := store.Next(t.Context(), n)
		must(t, err)
		if got.Number != n+1 || got.Start != list.Start() || len(got.Files) != list.Len() || got.IOError != w.ioError {
			t.Errorf("list %d: number %d, start %d, %d entries, io_error %d", n+1, got.Number, got.Start, len(got.Files), got.IOError)
			return
		}
		for i := range int32(list.Len()) {
			f, err := store.Find(list.Start() + i)
			if err != nil || f.Path != list.Path(list.Start()+i) || f.Dup {
				t.Errorf("index %d is not %s: %v", list.Start()+i, list.Path(list.Start()+i), err)
				return
			}
			w.same(t, f, sent[f.Path], got.Xattrs, groups)
			count++
		}
		if n > 0 && got.Dir.Path != list.Parent() {
			t.Errorf("list %d is that of %s", n+1, got.Dir.Path)
		}
		if !slices.IsSortedFunc(got.Order, func(a, b *flist.File) int { return cmp.Compare(order(w, a, b), 0) }) {
			t.Errorf("list %d is not in order", n+1)
		}
	}
	if count != len(sent) || count != store.Known() {
		t.Errorf("%d of %d entries arrived", count, len(sent))
	}
}

// order compares siblings only: the rest is for TestIndexesName….
func order(w *world, a, b *flist.File) int {
	if a.Path.Parent() != b.Path.Parent() || a.Path == "" || b.Path == "" || w.opts.Protocol < 29 {
		return 0
	}
	return flist.CompareSiblings(w.opts.Protocol, a.Path.Base(), a.Meta.IsDir(), b.Path.Base(), b.Meta.IsDir())
}

func (w *world) same(t *testing.T, f *flist.File, e *flist.Entry, sets *flist.XattrSets, groups map[tree.Inode]*flist.LinkGroup) {
	t.Helper()
	meta := w.wantMeta(e)
	want := flist.File{Path: e.Path(), Index: f.Index, Meta: flist.MetaOf(meta), Gone: !e.Meta.Exists()}
	o, x := &w.opts, want.Own()
	x.Major, x.Minor = meta.Major, meta.Minor
	if o.Atimes && !e.Meta.IsDir() {
		x.Atime.Sec = e.Atime.Sec
	}
	if o.Crtimes {
		x.Crtime.Sec = e.Crtime.Sec
	}
	if o.Links {
		x.Target = e.Target
	}
	if o.SumLen > 0 {
		x.Sum = e.Sum
	}
	if len(e.Access) > 28 && o.ACLs { // more than the mode says
		x.Access = e.Access
	}
	x.Default = e.Default
	if got := fmt.Sprintf("%+v", describe(f)); got != fmt.Sprintf("%+v", describe(&want)) {
		t.Errorf("%s:\n got %s\nwant %+v", f.Path, got, describe(&want))
	}
	w.sameAttrs(t, f, e, sets)
	if f.Meta.IsDir() && o.Protocol >= 30 {
		if f.Implied != (e.Top && e.NoContent) || f.Content == e.NoContent || f.Top != (e.Top && !e.NoContent) {
			t.Errorf("directory %s: top %v, content %v, implied %v", f.Path, f.Top, f.Content, f.Implied)
		}
	}
	linked := o.HardLinks && e.Meta.Nlink > 1 && (o.Protocol > 27 || e.Meta.Kind == tree.File)
	switch {
	case !linked && f.Group() != nil, linked && f.Group() == nil && o.Incremental():
		t.Errorf("%s, %+v: group %v", f.Path, e.Meta, f.Group())
	case linked && f.Group() != nil:
		id := e.Meta.Inode()
		if o.Incremental() && groups[id] != nil && f.Group() != groups[id] {
			t.Errorf("%s is in another group than its other names", f.Path)
		}
		groups[id] = f.Group()
		if !slices.Contains(f.Group().Members, f) {
			t.Errorf("%s is not among the members of its group", f.Path)
		}
	}
}

// describe is what of a file is compared by value.
func describe(f *flist.File) []any {
	x := f.Extra()
	return []any{f.Path, f.Index, f.Full(), x.Atime, x.Crtime, f.Gone, f.Dup, x.Target, x.Sum, x.Access, x.Default}
}

func (w *world) wantMeta(e *flist.Entry) tree.Meta {
	o, m := &w.opts, e.Meta
	want := tree.Meta{Kind: m.Kind, Perm: m.Perm, Size: m.Size, Mtime: m.Mtime}
	if o.Protocol < 30 {
		want.Mtime.Sec = int64(uint32(m.Mtime.Sec))
	}
	if o.Protocol < 31 {
		want.Mtime.Nsec = 0
	}
	if o.Owner {
		want.UID = m.UID
	}
	if o.Group {
		want.GID = m.GID
	}
	if m.Kind.IsDevice() && o.Devices {
		want.Major, want.Minor = m.Major, m.Minor
	}
	return want
}

func (w *world) sameAttrs(t *testing.T, f *flist.File, e *flist.Entry, sets *flist.XattrSets) {
	t.Helper()
	var want []flist.Attr
	k := e.Meta.Kind
	carries := k == tree.File || k == tree.Dir || k == tree.Symlink && w.opts.Links || k.IsDevice() && w.opts.Devices || k.IsSpecial() && w.opts.Specials
	for _, x := range e.Xattrs {
		if !w.opts.Xattrs || !carries || !w.opts.AnyXattr && !flist.Travels(x.Name) {
			continue
		}
		a := flist.Attr{Name: x.Name, Size: len(x.Value), Known: true, Value: x.Value}
		if len(x.Value) > 32 {
			a.Known, a.Value, a.Long, a.Digest = false, nil, true, md5.Sum(x.Value)
		}
		want = append(want, a)
	}
	slices.SortFunc(want, func(a, b flist.Attr) int { return cmp.Compare(a.Name, b.Name) })
	for i := range want {
		want[i].Number = int32(i + 1)
	}
	if got := sets.Set(f.Xattrs); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%s has attributes %+v, not %+v", f.Path, got, want)
	}
}
