package flist

import (
	"errors"
	"fmt"
	"slices"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// defaultMaxAlloc is the limit of rsync's --max-alloc where none is given.
const defaultMaxAlloc = 1 << 30

// ioErrorMask are the bits of io_error that a peer may set (section 1.8).
const ioErrorMask = 7

// Decoder reads the file lists of one session. It is used from one goroutine,
// the one that owns the Reader.
type Decoder struct {
	in   input
	opts Options
	recv Receive

	next  int32 // index at which the next list starts
	lists int
	dirs  []*File // directory table (section 2.2); nil once its list was read
	eof   bool

	prev    state
	name    []byte // of the previous entry, as on the wire
	spare   []byte // for the next one
	sweep   sweep
	list    *building
	store   store
	entries []*File // for building.files of incremental lists
	users   idNames
	groups  idNames
	links   linkSets
	access  aclLists
	initial aclLists
	sets    *XattrSets
}

// building is the list that is being read.
type building struct {
	start   int32
	dir     *File           // whose children these are
	files   []*File         // in transmission order
	founded map[int32]state // of first names of linked files, by index
	ioError int32
	dropped bool // a name could not be converted
}

// NewDecoder is ready for the session's first list.
func NewDecoder(r *wire.Reader, o Options, in Receive) (*Decoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if in.Prune && o.Incremental() {
		return nil, errors.New("file list: empty directories cannot be pruned from incremental lists")
	}
	if in.MaxAlloc <= 0 {
		in.MaxAlloc = defaultMaxAlloc
	}
	if in.Warn == nil {
		in.Warn = func(wire.Code, string) {}
	}
	if in.Accept == nil {
		in.Accept = func(tree.Path, bool) error { return nil }
	}
	d := &Decoder{in: input{r: r, protocol: o.Protocol}, opts: o, recv: in}
	if o.Incremental() {
		d.next = 1 // index 0 is the root's (section 2.2)
	}
	if o.Xattrs {
		d.sets = &XattrSets{limit: in.MaxAlloc}
	}
	return d, nil
}

// First reads the first list, or the only one, with the id lists and io_error
// that belong to it.
func (d *Decoder) First() (*Received, error) {
	if d.lists > 0 {
		return nil, fmt.Errorf("second first list: %w", ErrProtocol)
	}
	return d.read(nil)
}

// Sub reads the list of directory number dir, after its index -101-dir was read.
func (d *Decoder) Sub(dir int32) (*Received, error) {
	switch {
	case !d.opts.Incremental() || d.lists == 0 || d.eof:
		return nil, fmt.Errorf("list of directory %d where none is due: %w", dir, ErrProtocol)
	case dir < 0 || int64(dir) >= int64(len(d.dirs)):
		return nil, fmt.Errorf("list of directory %d of %d: %w", dir, len(d.dirs), ErrProtocol)
	case d.dirs[dir] == nil:
		return nil, fmt.Errorf("second list of directory %d: %w", dir, ErrProtocol)
	case d.dirs[dir].Dup:
		return nil, fmt.Errorf("list of directory %d, which was dropped: %w", dir, ErrProtocol)
	}
	f := d.dirs[dir]
	d.dirs[dir] = nil
	r, err := d.read(f)
	if err == nil {
		r.DirNumber = dir
	}
	return r, err
}

// EndOfLists takes note of NDX_FLIST_EOF: no list may follow.
func (d *Decoder) EndOfLists() {
	d.eof, d.dirs, d.links = true, nil, linkSets{}
}

// read reads one list to its end.
func (d *Decoder) read(dir *File) (*Received, error) {
	d.list = &building{start: d.next, dir: dir, files: d.entries}
	for d.in.err == nil {
		flags, more := d.flags()
		if !more {
			break
		}
		d.entry(flags)
		if d.in.err != nil {
			d.in.err = fmt.Errorf("entry %d: %w", len(d.list.files)+1, d.in.err)
		}
	}
	if d.in.err == nil && d.opts.listNames() {
		d.idLists()
	}
	if d.opts.Protocol < 30 {
		d.list.ioError |= d.in.int() & ioErrorMask
	}
	if d.in.err != nil {
		return nil, fmt.Errorf("file list %d: %w", d.lists+1, d.in.err)
	}
	d.lists++
	if d.recv.Arrived != nil {
		d.recv.Arrived(d.list.files)
	}
	return d.finish()
}

// flags reads the flags of an entry. At the end of the list it reads the
// terminator (section 1.8), and more is false.
func (d *Decoder) flags() (flags uint32, more bool) {
	if d.opts.varintFlags() {
		if flags = uint32(d.in.varint()); flags == 0 {
			d.list.ioError |= d.in.varint() & ioErrorMask
			return 0, false
		}
	} else {
		flags = uint32(d.in.byte())
		if flags == 0 {
			return 0, false
		}
		if d.opts.Protocol >= 28 && flags&flagExtended != 0 {
			flags |= uint32(d.in.byte()) << 8
		}
		if flags == flagIOErrorEnd {
			if !d.opts.safeLists() {
				d.in.failf(ErrProtocol, "terminator of a safe list, which was not agreed on")
			}
			d.list.ioError |= d.in.varint() & ioErrorMask
			return 0, false
		}
	}
	if flags&^flagsKnown != 0 {
		d.in.failf(wire.ErrStream, "flags %#x", flags)
	}
	return flags, d.in.err == nil
}

// add appends an entry in transmission order.
func (d *Decoder) add(f *File) {
	const pointer = 8 // bytes: the reference counts the same
	n := int64(len(d.list.files))
	if (n+1)*pointer > d.recv.MaxAlloc || int64(d.list.start)+n >= 1<<31-2 {
		d.in.failf(ErrMemory, "%d entries", n)
		return
	}
	d.list.files = append(d.list.files, f)
}

// finish turns what was read into a list.
func (d *Decoder) finish() (*Received, error) {
	b := d.list
	d.list = nil
	d.mapIDs(b.files)
	if d.opts.Incremental() { // such lists are many and short
		d.entries = b.files[:0]
		b.files = slices.Clone(b.files)
		clear(d.entries[:len(b.files)])
	}
	order := d.sorted(b.files)
	if err := d.clean(order, b.start); err != nil {
		return nil, fmt.Errorf("file list %d: %w", d.lists, err)
	}
	r := &Received{Number: d.lists, Start: b.start, Dir: b.dir, Files: order, Order: order, IOError: b.ioError, Dropped: b.dropped, Xattrs: d.sets}
	if d.opts.Iconv {
		r.Files = b.files
	}
	for i, f := range r.Files {
		f.Index = r.Start + int32(i)
	}
	d.next = r.Start + int32(len(r.Files)) + 1
	if d.opts.Incremental() {
		if d.lists == 1 && len(order) > 0 && order[0].Path.IsRoot() && order[0].Meta.IsDir() {
			r.Dir = order[0]
		}
		for _, f := range r.Files {
			if f.Meta.IsDir() {
				d.dirs = append(d.dirs, f)
			}
		}
	}
	return r, nil
}
