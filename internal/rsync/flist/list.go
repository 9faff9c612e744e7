package flist

import (
	"fmt"
	"slices"

	"lockstep/internal/fs/tree"
)

// nameChunk is the unit, in bytes, in which a List allocates room for names.
// Chunks are never moved, so a growing list is never copied.
const nameChunk = 64 << 10

// firstChunk is the size of a list's first chunk: most lists of an incremental
// session hold one small directory.
const firstChunk = 512

// List is one list that was sent: what an index in a request means. Entries
// are added in transmission order; once the list has ended they are found by
// their sorted position.
type List struct {
	start   int32 // index of the entry at sorted position 0
	parent  tree.Path
	set     int32          // attribute set of parent
	records Pieces[record] // in transmission order
	order   []uint32       // sorted position -> transmission position; nil if equal
	dirs    []tree.Path
	chunks  [][]byte
	sets    []int32 // attribute set of each record, empty without -X
}

// record is one entry: its directory in List.dirs, and its last component in
// List.chunks.
type record struct {
	dir   uint32
	chunk uint32
	off   uint16 // nameChunk fits
	len   uint8  // tree.MaxName fits
	bits  uint8  // the kind, and sentBit
}

const (
	kindMask = 0x0f
	sentBit  = 0x80
)

// Len is the number of entries, duplicates included.
func (l *List) Len() int { return l.records.Len() }

// Start is the index of the list's first entry. Start()-1 stands for the
// directory that an incremental list describes.
func (l *List) Start() int32 { return l.start }

// Parent is the directory that an incremental list describes.
func (l *List) Parent() tree.Path { return l.parent }

// Contains reports whether index names an entry of l.
func (l *List) Contains(index int32) bool {
	return index >= l.start && int64(index)-int64(l.start) < int64(l.records.Len())
}

func (l *List) record(index int32) *record {
	i := uint32(index - l.start)
	if l.order != nil {
		i = l.order[i]
	}
	return l.records.At(int(i))
}

// Position is when the entry with that index, which l must contain, was sent: 0
// for the first of l.
func (l *List) Position(index int32) int {
	i := uint32(index - l.start)
	if l.order != nil {
		i = l.order[i]
	}
	return int(i)
}

// Path is the name of the entry with that index, which l must contain.
func (l *List) Path(index int32) tree.Path {
	r := l.record(index)
	return l.dirs[r.dir].Join(l.base(r))
}

// Split is Path as directory and last component.
func (l *List) Split(index int32) (dir tree.Path, base string) {
	r := l.record(index)
	return l.dirs[r.dir], l.base(r)
}

// Kind is the type of the entry with that index, which l must contain.
func (l *List) Kind(index int32) tree.Kind {
	return tree.Kind(l.record(index).bits & kindMask)
}

// Sent reports whether MarkSent was called for the entry before.
func (l *List) Sent(index int32) bool { return l.record(index).bits&sentBit != 0 }

// MarkSent notes that the content of the entry has been sent once.
func (l *List) MarkSent(index int32) { l.record(index).bits |= sentBit }

// XattrSet is the number of the attribute set of an entry, or of the parent for
// Start()-1; 1 is the first set, 0 none.
func (l *List) XattrSet(index int32) int32 {
	if index == l.start-1 {
		return l.set
	}
	i := uint32(index - l.start)
	if l.order != nil {
		i = l.order[i]
	}
	if int(i) >= len(l.sets) {
		return 0
	}
	return l.sets[i]
}

func (l *List) base(r *record) string {
	return string(l.chunks[r.chunk][r.off : int(r.off)+int(r.len)])
}

// add appends an entry in transmission order.
func (l *List) add(dir tree.Path, name string, kind tree.Kind) error {
	if len(name) > tree.MaxName {
		return fmt.Errorf("%s: name longer than %d bytes", tree.Quote(name), tree.MaxName)
	}
	if n := len(l.dirs); n == 0 || l.dirs[n-1] != dir {
		l.dirs = append(l.dirs, dir)
	}
	chunk := l.room(len(name))
	r := record{dir: uint32(len(l.dirs) - 1), chunk: chunk, off: uint16(len(l.chunks[chunk])), len: uint8(len(name)), bits: uint8(kind)}
	l.chunks[chunk] = append(l.chunks[chunk], name...)
	l.records.Add(r)
	return nil
}

// room is the number of a chunk with n bytes free.
func (l *List) room(n int) uint32 {
	last := len(l.chunks) - 1
	switch {
	case last < 0:
		l.chunks = append(l.chunks, make([]byte, 0, max(firstChunk, n)))
	case cap(l.chunks[last])-len(l.chunks[last]) < n:
		l.chunks = append(l.chunks, make([]byte, 0, min(2*cap(l.chunks[last]), nameChunk)))
	default:
		return uint32(last)
	}
	return uint32(last + 1)
}

// sort numbers the entries. It is stable; a list sent in order costs one pass.
func (l *List) sort(protocol int) {
	var x, y []byte // full names under comparison
	byName := func(i, j uint32) int {
		a, b := l.records.At(int(i)), l.records.At(int(j))
		x, y = l.appendFull(x[:0], a), l.appendFull(y[:0], b)
		return comparePaths(protocol, x, isDir(a), y, isDir(b))
	}
	sorted := true
	for i := 1; i < l.records.Len() && sorted; i++ {
		sorted = byName(uint32(i-1), uint32(i)) <= 0
	}
	if sorted {
		return
	}
	l.order = make([]uint32, l.records.Len())
	for i := range l.order {
		l.order[i] = uint32(i)
	}
	slices.SortStableFunc(l.order, byName)
}

func isDir(r *record) bool { return tree.Kind(r.bits&kindMask) == tree.Dir }

// appendFull appends the full name of r, "." for the root.
func (l *List) appendFull(dst []byte, r *record) []byte {
	dir, base := l.dirs[r.dir], l.chunks[r.chunk][r.off:int(r.off)+int(r.len)]
	return appendName(dst, dir, base)
}

// appendName appends the name of an entry as it travels.
func appendName[T string | []byte](dst []byte, dir tree.Path, base T) []byte {
	if dir == tree.Root && len(base) == 0 {
		return append(dst, '.')
	}
	if dir != tree.Root {
		dst = append(append(dst, dir...), '/')
	}
	return append(dst, base...)
}

// Directories calls yield for each directory of l in sorted order: the order
// in which both sides append them to their directory tables.
func (l *List) Directories(yield func(index int32, path tree.Path) bool) {
	for i := range l.records.Len() {
		index := l.start + int32(i)
		if l.Kind(index) == tree.Dir && !yield(index, l.Path(index)) {
			return
		}
	}
}
