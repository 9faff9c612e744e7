package flist

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"slices"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// Attr is one attribute of a set that was listed.
type Attr struct {
	Name   string
	Number int32  // in its set, from 1: requests name it
	Value  []byte // valid if Known; not to be changed
	Known  bool   // the value came with the list, was learned, or was answered

	// A long value is listed as its digest.
	Long   bool
	Size   int // bytes that the value had when it was listed
	Digest [md5.Size]byte
}

// attr is an Attr with its place in the exchange of long values.
type attr struct {
	Attr
	asked, answered bool
}

// XattrSets are the attribute sets of a session, numbered from 1, with the long
// values as far as they are known. What was learned or answered is kept: no
// value may be asked for twice. It may be used from any goroutine.
type XattrSets struct {
	mu    sync.Mutex
	sets  [][]attr
	names map[string]string // one copy of each name
	limit int64             // bytes of a value
}

// Set is a set's list in the order of the sender; nil for number 0.
func (x *XattrSets) Set(number int32) []Attr {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if number < 1 || int(number) > len(x.sets) {
		return nil
	}
	set := make([]Attr, len(x.sets[number-1]))
	for i := range set {
		set[i] = x.sets[number-1][i].Attr
	}
	return set
}

// find is an attribute of a set; x is locked.
func (x *XattrSets) find(set, number int32) *attr {
	if set < 1 || int(set) > len(x.sets) || number < 1 || int(number) > len(x.sets[set-1]) {
		return nil
	}
	return &x.sets[set-1][number-1]
}

// Learn offers a value that was found here. It reports whether it is the listed
// one; then it is kept and not asked for any more.
func (x *XattrSets) Learn(set, number int32, value []byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := x.find(set, number)
	switch {
	case a == nil:
		return false
	case a.Known:
		return bytes.Equal(a.Value, value)
	case md5.Sum(value) != a.Digest:
		return false
	}
	a.Value, a.Known = bytes.Clone(value), true
	return true
}

// Ask writes the request for values of a set: those of numbers that are neither
// known nor were asked for before.
func (x *XattrSets) Ask(w *wire.Writer, set int32, numbers []int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var due []int32
	for _, number := range numbers {
		if a := x.find(set, number); a != nil && !a.Known && !a.asked {
			a.asked = true
			due = append(due, number)
		}
	}
	slices.Sort(due)
	WriteXattrRequest(w, due)
}

// Answer reads the sender's answer for a set. A value that it could not read
// any more stays unknown.
func (x *XattrSets) Answer(r *wire.Reader, set int32) error {
	return ReadXattrValues(r, x.limit, func(number int32, value []byte) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		a := x.find(set, number)
		if a == nil || !a.asked || a.answered {
			return fmt.Errorf("value of xattr %d of set %d, which was not asked for: %w", number, set, ErrProtocol)
		}
		a.answered = true
		if len(value) > 0 && !a.Known {
			a.Value, a.Known = value, true
		}
		return nil
	})
}

// readXattrs reads an entry's attributes, see writeXattrs. The result is the
// number of its set.
func (d *Decoder) readXattrs() int32 {
	in, x := &d.in, d.sets
	number := in.varint()
	x.mu.Lock()
	sets := len(x.sets)
	x.mu.Unlock()
	if number < 0 || int64(number) > int64(sets) {
		in.failf(wire.ErrStream, "attribute set %d of %d", number, sets)
	}
	if number != 0 || in.err != nil {
		return number
	}
	var set []attr
	total := 0
	for n := in.varcount("number of xattrs", maxXattrs); n > 0 && in.err == nil; n-- {
		a := d.readXattr()
		a.Number = int32(len(set) + 1)
		if total += len(a.Name) + 1 + a.Size; total > maxXattrSet {
			in.failf(wire.ErrStream, "xattrs of %d bytes", total)
		}
		set = append(set, a)
	}
	if in.err != nil {
		return 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sets = append(x.sets, slices.Clip(set))
	return int32(len(x.sets))
}

// readXattr reads one attribute:
//
//	nameLen:varint (NUL included) valueLen:varint name NUL value or MD5:16
func (d *Decoder) readXattr() (a attr) {
	in := &d.in
	nameLen := in.varcount("length of an xattr's name", maxXattrName+1)
	a.Size = in.varcount("length of an xattr", maxXattrValue)
	name := in.bytes(nameLen)
	if in.err != nil {
		return a
	}
	if i := bytes.IndexByte(name, 0); i < 1 || i != len(name)-1 {
		in.failf(wire.ErrStream, "xattr name %s", tree.Quote(string(name)))
		return a
	}
	a.Name = d.sets.intern(name[:nameLen-1])
	if a.Size > inlineXattr {
		a.Long = true
		in.full(a.Digest[:])
	} else {
		a.Known, a.Value = true, in.bytes(a.Size)
	}
	return a
}

// intern is name as a string that equal names share. Only the Decoder calls it.
func (x *XattrSets) intern(name []byte) string {
	if s, ok := x.names[string(name)]; ok {
		return s
	}
	if x.names == nil {
		x.names = make(map[string]string)
	}
	s := string(name)
	x.names[s] = s
	return s
}
