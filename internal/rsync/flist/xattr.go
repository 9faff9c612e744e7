package flist

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
)

// Limits that readers enforce (section 6.2), in bytes; names without their NUL.
const (
	maxXattrs     = 65536
	maxXattrName  = 4095
	maxXattrValue = 128<<20 - 1
	maxXattrSet   = 512 << 20

	// inlineXattr is the longest value that travels in the list itself;
	// longer ones are a digest there and are sent on request.
	inlineXattr = 32
)

// xattrTable numbers the attribute sets in the order of their first use.
type xattrTable struct {
	numbers map[string]int32
	sets    []xattrSet
}

// xattrSet is what is kept of a set to answer requests for its long values.
type xattrSet struct {
	names []string // "" for a value that was sent in the list
	asked []bool   // a long value may be asked for once
}

// Travels reports whether an attribute of that name is ever sent: system ones
// are not (ACLs have their own form), nor is rsync's own book-keeping.
func Travels(name string) bool {
	return !strings.HasPrefix(name, "system.") && !strings.HasPrefix(name, "user.rsync.%")
}

// CheckXattrs reports why a set of attributes, of which those that Travels
// refuses are left out, cannot be sent.
func CheckXattrs(set []Xattr) error { return checkXattrs(traveling(set, Travels)) }

func checkXattrs(set []Xattr) error {
	total := 0
	for _, x := range set {
		if len(x.Name) > maxXattrName || len(x.Value) > maxXattrValue {
			return fmt.Errorf("xattr %s: name of %d bytes, value of %d", tree.Quote(x.Name), len(x.Name), len(x.Value))
		}
		total += len(x.Name) + 1 + len(x.Value)
	}
	if len(set) > maxXattrs || total > maxXattrSet {
		return fmt.Errorf("%d xattrs of %d bytes together", len(set), total)
	}
	return nil
}

// carries reports whether entries of that kind have attributes at all.
func (e *Encoder) carries(k tree.Kind) bool {
	switch {
	case k == tree.File || k == tree.Dir:
		return true
	case k == tree.Symlink:
		return e.opts.Links
	case k.IsDevice():
		return e.opts.Devices
	case k.IsSpecial():
		return e.opts.Specials
	}
	return false
}

// writeXattrs writes an entry's attribute set, or its number if an equal one
// was sent before.
func (e *Encoder) writeXattrs(ent *Entry) {
	if !e.opts.Xattrs {
		return
	}
	var set []Xattr
	if e.carries(ent.Meta.Kind) {
		travels := Travels
		if e.opts.AnyXattr {
			travels = func(string) bool { return true }
		}
		if set = traveling(ent.Xattrs, travels); checkXattrs(set) != nil {
			set = nil
		}
	}
	literal := appendSet(nil, set)
	n, found := e.xattrs.numbers[string(literal)]
	if !found {
		n = e.xattrs.add(string(literal), set)
		e.w.Varint(0)
		e.writeSet(set)
	} else {
		e.w.Varint(n)
	}
	e.list.sets = append(e.list.sets, n)
}

// traveling is the part of set that is sent, by name.
func traveling(set []Xattr, travels func(name string) bool) []Xattr {
	out := make([]Xattr, 0, len(set))
	for _, x := range set {
		if travels(x.Name) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// onWire is a value as the list carries it: itself, or its digest.
func onWire(value []byte) []byte {
	if len(value) <= inlineXattr {
		return value
	}
	sum := md5.Sum(value)
	return sum[:]
}

// appendSet appends what makes two sets the same.
func appendSet(dst []byte, set []Xattr) []byte {
	for _, x := range set {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(x.Value)))
		dst = append(append(append(dst, x.Name...), 0), onWire(x.Value)...)
	}
	return dst
}

func (e *Encoder) writeSet(set []Xattr) {
	e.w.Varint(int32(len(set)))
	for _, x := range set {
		e.w.Varint(int32(len(x.Name) + 1))
		e.w.Varint(int32(len(x.Value)))
		e.w.Write([]byte(x.Name))
		e.w.Byte(0)
		e.w.Write(onWire(x.Value))
	}
}

// add gives the set the next number, 1 for the first.
func (t *xattrTable) add(literal string, set []Xattr) int32 {
	if t.numbers == nil {
		t.numbers = make(map[string]int32)
	}
	s := xattrSet{names: make([]string, len(set)), asked: make([]bool, len(set))}
	for i, x := range set {
		if len(x.Value) > inlineXattr {
			s.names[i] = x.Name
		}
	}
	t.sets = append(t.sets, s)
	t.numbers[literal] = int32(len(t.sets))
	return int32(len(t.sets))
}

// AskXattr takes a peer's request for the long value of attribute number of a
// set, both counted from 1, and returns the attribute's name. Each value may be
// asked for once in a session.
func (e *Encoder) AskXattr(set, number int32) (name string, err error) {
	if set < 1 || int(set) > len(e.xattrs.sets) {
		return "", fmt.Errorf("request for xattr %d of set %d, there are %d sets", number, set, len(e.xattrs.sets))
	}
	s := &e.xattrs.sets[set-1]
	switch {
	case number < 1 || int(number) > len(s.names) || s.names[number-1] == "":
		return "", fmt.Errorf("request for xattr %d of set %d: no long value there", number, set)
	case s.asked[number-1]:
		return "", fmt.Errorf("second request for xattr %d of set %d", number, set)
	}
	s.asked[number-1] = true
	return s.names[number-1], nil
}
