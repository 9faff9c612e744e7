package target

import (
	"bytes"
	"errors"
	"io"

	"lockstep/internal/fs/tree"
)

// compareSize is how much of a file is compared at once, in bytes.
const compareSize = 256 << 10

// equal reports whether the file at p has the same content at both ends. It
// writes nothing, and is for dry runs: a real one compares as it copies.
func (w *work) equal(p tree.Path) bool {
	ours, err := w.src.Open(p)
	if err != nil {
		return false
	}
	defer ours.Close()
	theirs, err := w.dst.Reader().Open(p)
	if err != nil {
		return false
	}
	defer theirs.Close()
	a, b := make([]byte, compareSize), make([]byte, compareSize)
	for w.ctx.Err() == nil {
		n, errA := io.ReadFull(ours, a)
		m, errB := io.ReadFull(theirs, b)
		w.pacer.read(n)
		if !bytes.Equal(a[:n], b[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return atEnd(errA) && atEnd(errB)
		}
	}
	return false
}

func atEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
