package flist

// pieceLen is how many items all pieces have but the first, which grows up to
// that: most lists are short.
const pieceLen = 4096

// Pieces is a growing array that is never copied as a whole once it is long.
type Pieces[T any] struct {
	pieces [][]T // all but the last have pieceLen
}

// Expect makes room for some items that are about to be added to an empty array.
func (p *Pieces[T]) Expect(n int) {
	if len(p.pieces) == 0 && n > 0 {
		p.pieces = append(p.pieces, make([]T, 0, min(n, pieceLen)))
	}
}

// Add appends an item.
func (p *Pieces[T]) Add(item T) {
	last := len(p.pieces) - 1
	switch {
	case last < 0:
		p.pieces = append(p.pieces, nil)
		last = 0
	case len(p.pieces[last]) == pieceLen:
		p.pieces = append(p.pieces, make([]T, 0, pieceLen))
		last++
	}
	p.pieces[last] = append(p.pieces[last], item)
}

// At is item i, which must be there.
func (p *Pieces[T]) At(i int) *T { return &p.pieces[i/pieceLen][i%pieceLen] }

// Len is the number of items.
func (p *Pieces[T]) Len() int {
	last := len(p.pieces) - 1
	if last < 0 {
		return 0
	}
	return last*pieceLen + len(p.pieces[last])
}
