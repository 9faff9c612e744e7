package flist

import (
	"errors"
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// maxPrefix is the most bytes of the previous name that an entry may reuse.
const maxPrefix = 255

// maxTarget is the longest symlink target, in bytes.
const maxTarget = 4095

// ErrUnsendable marks an entry that the wire cannot carry; nothing of it has
// been written and the list goes on without it.
var ErrUnsendable = errors.New("the file list cannot carry it")

// Encoder writes the file lists of one session. It is used from one goroutine,
// the one that owns the Writer.
type Encoder struct {
	w    *wire.Writer
	opts Options
	list *List // being built
	next int32 // index at which the next list starts

	prev     state
	any      bool   // an entry has been sent
	name     []byte // of the previous entry, as on the wire
	scratch  []byte
	users    idTable
	groups   idTable
	links    linkTable
	access   aclTable
	defaults aclTable
	xattrs   xattrTable
}

// state is what an entry may refer to instead of repeating it (section 1.5). It
// lives as long as the connection.
type state struct {
	mode     uint32
	mtime    int64
	uid, gid uint32
	rdev     uint32 // protocol 27
	major    uint32 // protocol 28 and up
	dev      uint64 // of the previous linked entry, protocols 28 and 29
	atime    int64  // of the previous non-directory, with -U
}

// NewEncoder is ready for the session's first list. names may be nil.
func NewEncoder(w *wire.Writer, opts Options, names *Names) (*Encoder, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if names == nil {
		names = new(Names)
	}
	e := &Encoder{w: w, opts: opts}
	e.users.name, e.groups.name = names.User, names.Group
	if opts.Incremental() {
		e.next = 1 // index 0 is the root's (section 2.2)
	}
	return e, nil
}

// Begin starts the first list, or the only one.
func (e *Encoder) Begin() { e.list = &List{start: e.next} }

// BeginDir announces and starts the list of the directory with that number in
// the directory table (section 2.2). set is what LastXattrSet returned after the
// directory's own entry was added.
func (e *Encoder) BeginDir(number int32, dir tree.Path, set int32) {
	e.w.Ndx(e.opts.Protocol, wire.NDXFlistOffset-number)
	e.list = &List{start: e.next, parent: dir, set: set}
}

// Expect makes room for as many entries as the list that was begun is about to
// get, before the first of them.
func (e *Encoder) Expect(n int) { e.list.records.Expect(n) }

// EndOfLists says that no incremental list follows.
func (e *Encoder) EndOfLists() { e.w.Ndx(e.opts.Protocol, wire.NDXFlistEOF) }

// End terminates the list that was begun, sends the id lists where they are
// due, and numbers the entries. ioError is what the list has to confess
// (section 1.8): 0, or bits that keep the receiving side from deleting.
func (e *Encoder) End(ioError int32) *List {
	e.terminator(ioError)
	if e.opts.listNames() {
		e.idLists()
	}
	if e.opts.Protocol < 30 {
		e.w.Int(ioError)
	}
	list := e.list
	if !e.opts.Iconv { // else entries keep the order in which they were sent (section 1.9)
		list.sort(e.opts.Protocol)
	}
	e.next = list.start + int32(list.records.Len()) + 1
	e.list = nil
	return list
}

func (e *Encoder) terminator(ioError int32) {
	switch {
	case e.opts.varintFlags():
		e.w.Varint(0)
		e.w.Varint(ioError)
	case ioError == 0 || e.opts.Protocol < 30:
		e.w.Byte(0)
	case e.opts.safeLists():
		e.w.Short(flagIOErrorEnd)
		e.w.Varint(ioError)
	default: // it counts only if it is read before the list has ended
		e.w.Message(wire.CodeIOError, []byte{byte(ioError), byte(ioError >> 8), byte(ioError >> 16), byte(ioError >> 24)})
		e.w.Byte(0)
	}
}

// Add sends one entry. An error wraps ErrUnsendable; failures of the stream
// itself show at the Writer.
func (e *Encoder) Add(ent *Entry) error {
	if err := e.sendable(ent); err != nil {
		return err
	}
	target, err := e.target(ent)
	if err != nil {
		return err
	}
	first, partner := e.linkOf(ent)
	position := e.list.start + int32(e.list.records.Len())
	if err := e.list.add(ent.Dir, ent.Name, ent.Meta.Kind); err != nil {
		return fmt.Errorf("%s: %w: %w", ent.Path(), ErrUnsendable, err)
	}
	flags := e.flags(ent, first, partner)
	owner, group := e.ownerNames(ent, partner, &flags)
	e.writeFlags(flags, ent.Meta.Kind)
	e.writeName(flags, ent)
	if partner != nil && e.writeReference(partner) {
		e.prev.copyLinked(partner, ent.Meta.Kind)
	} else {
		e.writeFields(flags, ent, owner, group, target)
	}
	if first {
		e.links.declare(ent, position)
	}
	e.any = true
	e.writeACLs(ent)
	e.writeXattrs(ent)
	if ent.Name == "" && e.opts.Incremental() {
		e.list.set = e.LastXattrSet()
	}
	return nil
}

// LastXattrSet is the number of the attribute set of the entry added last, 0
// without -X.
func (e *Encoder) LastXattrSet() int32 {
	if n := len(e.list.sets); n > 0 {
		return e.list.sets[n-1]
	}
	return 0
}

// ConvertError is about a name that the charset of the wire cannot have. It is an
// ErrUnsendable.
type ConvertError struct {
	What string // "filename" or "symlink data for"
	Err  error
}

func (e *ConvertError) Error() string { return fmt.Sprintf("%s: %v: %v", e.What, e.Err, ErrUnsendable) }

func (e *ConvertError) Unwrap() []error { return []error{e.Err, ErrUnsendable} }

// sendable checks what the decoder at the other end would call an attack.
func (e *Encoder) sendable(ent *Entry) error {
	e.scratch = appendName(e.scratch[:0], ent.Dir, ent.Name)
	if e.opts.Convert != nil {
		name, err := convertName(e.opts.Convert, e.scratch)
		if err != nil {
			return &ConvertError{"filename", err}
		}
		e.scratch = append(e.scratch[:0], name...)
	}
	switch {
	case len(e.scratch) > tree.MaxPath:
		return fmt.Errorf("path of %d bytes: %w", len(e.scratch), ErrUnsendable)
	case len(ent.Name) > tree.MaxName:
		return fmt.Errorf("name of %d bytes: %w", len(ent.Name), ErrUnsendable)
	case ent.Meta.Kind == tree.Missing && ent.Name == "":
		return fmt.Errorf("the transfer root as a missing entry: %w", ErrUnsendable)
	case e.list.records.Len() >= 1<<30:
		return fmt.Errorf("list of more than %d entries: %w", 1<<30, ErrUnsendable)
	}
	return nil
}

// target is a symlink's target as it travels, "" for what has none.
func (e *Encoder) target(ent *Entry) (string, error) {
	if ent.Meta.Kind != tree.Symlink || !e.opts.Links {
		return "", nil
	}
	target := ent.Target
	if e.opts.Convert != nil && e.opts.Compat&wire.SymlinkIconv != 0 {
		converted, err := e.opts.Convert([]byte(target))
		if err != nil {
			return "", &ConvertError{"symlink data for", err}
		}
		target = string(converted)
	}
	if len(target) == 0 || len(target) > maxTarget {
		return "", fmt.Errorf("symlink target of %d bytes: %w", len(target), ErrUnsendable)
	}
	return target, nil
}

// flags computes the flag bits except those of names that follow.
func (e *Encoder) flags(ent *Entry, first bool, partner *linkGroup) uint32 {
	m, p := &ent.Meta, e.opts.Protocol
	var flags uint32
	if m.IsDir() {
		if ent.Top {
			flags |= flagTop
		}
		if ent.NoContent && p >= 30 {
			flags |= flagNoContent
		}
	} else if e.linked(ent) && p >= 28 {
		flags |= flagLinked
		if first && p >= 30 {
			flags |= flagLinkFirst
		}
		if p < 30 && m.Dev == e.prev.dev {
			flags |= flagSameDev
		}
	}
	if m.Mode() == e.prev.mode {
		flags |= flagSameMode
	}
	if !e.opts.Owner || e.any && m.UID == e.prev.uid {
		flags |= flagSameUID
	}
	if !e.opts.Group || e.any && m.GID == e.prev.gid {
		flags |= flagSameGID
	}
	if e.seconds(m.Mtime) == e.prev.mtime {
		flags |= flagSameTime
	}
	if p >= 31 && m.Mtime.Nsec != 0 {
		flags |= flagNsec
	}
	if e.opts.Crtimes && ent.Crtime.Sec == m.Mtime.Sec {
		flags |= flagCrtimeSame
	}
	if e.opts.Atimes && p >= 28 && !m.IsDir() && ent.Atime.Sec == e.prev.atime {
		flags |= flagSameAtime
	}
	return flags | e.nameFlags() | e.rdevFlags(m)
}

// seconds is a time as the protocol can carry it: modulo 2^32 below 30.
func (e *Encoder) seconds(t tree.Time) int64 {
	if e.opts.Protocol < 30 {
		return int64(uint32(t.Sec))
	}
	return t.Sec
}

// nameFlags compares the name in scratch with the previous one.
func (e *Encoder) nameFlags() uint32 {
	var flags uint32
	n := e.prefix()
	if n > 0 {
		flags |= flagSameName
	}
	if len(e.scratch)-n > 255 {
		flags |= flagLongName
	}
	return flags
}

// prefix is how many bytes of the previous name begin the one in scratch.
func (e *Encoder) prefix() int {
	limit := min(len(e.name), len(e.scratch), maxPrefix)
	n := 0
	for n < limit && e.name[n] == e.scratch[n] {
		n++
	}
	return n
}

// writeFlags writes flags in one of the three forms, none of which may look
// like a terminator (section 1.2).
func (e *Encoder) writeFlags(flags uint32, kind tree.Kind) {
	switch {
	case e.opts.varintFlags():
		if flags == 0 {
			flags = flagExtended
		}
		e.w.Varint(int32(flags))
	case e.opts.Protocol >= 28:
		if flags == 0 && kind != tree.Dir {
			flags = flagTop
		}
		if flags == 0 || flags&0xff00 != 0 {
			e.w.Short(uint16(flags | flagExtended))
		} else {
			e.w.Byte(byte(flags))
		}
	default:
		e.w.Byte(byte(flags27(flags, kind)))
	}
}

// flags27 makes an all-zero flags byte of protocol 27 differ from the
// terminator. The length of the name depends on it: see writeName.
func flags27(flags uint32, kind tree.Kind) uint32 {
	switch {
	case flags&0xff != 0:
		return flags & 0xff
	case kind == tree.Dir:
		return flagLongName
	}
	return flagTop
}

// writeName writes the name in scratch, which becomes the previous one.
func (e *Encoder) writeName(flags uint32, ent *Entry) {
	n := e.prefix()
	if n > 0 {
		e.w.Byte(byte(n))
	}
	if e.opts.Protocol == 27 {
		flags = flags27(flags, ent.Meta.Kind)
	}
	suffix := e.scratch[n:]
	if flags&flagLongName != 0 {
		e.int30(uint32(len(suffix)))
	} else {
		e.w.Byte(byte(len(suffix)))
	}
	e.w.Write(suffix)
	e.name, e.scratch = e.scratch, e.name
}

// int30 writes a value whose form changed with protocol 30.
func (e *Encoder) int30(v uint32) {
	if e.opts.Protocol >= 30 {
		e.w.Varint(int32(v))
	} else {
		e.w.Int(int32(v))
	}
}
