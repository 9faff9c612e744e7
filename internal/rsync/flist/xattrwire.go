package flist

import (
	"fmt"

	"lockstep/internal/rsync/wire"
)

// Long values travel when they are asked for (section 6.2). Both blocks stand
// behind the item flags, the basis and the name of an item, and before the sum
// head of a transfer:
//
//	request  { delta:varint }* 0
//	answer   { delta:varint length:varint value }* 0
//
// delta is the difference between an attribute's number and the one before.

// XattrBlock reports whether an item with those flags has the blocks. In a dry
// run none has.
func (o *Options) XattrBlock(flags wire.Item) bool {
	if !o.Xattrs || flags&wire.ItemXattr == 0 {
		return false
	}
	const link = wire.ItemXnameFollows | wire.ItemLocalChange
	shortcut := o.Protocol >= 31 && !o.Compat.Has(wire.AvoidXattrOptim)
	return !shortcut || flags&link != link
}

// WriteXattrRequest asks for the attributes of a set that have these numbers;
// XattrSets.Ask does it so that none is asked for twice.
func WriteXattrRequest(w *wire.Writer, numbers []int32) {
	last := int32(0)
	for _, number := range numbers {
		w.Varint(number - last)
		last = number
	}
	w.Varint(0)
}

// ReadXattrRequest reads what WriteXattrRequest writes. Each number is at least
// 1, and there are no more than a set can have.
func ReadXattrRequest(r *wire.Reader) (numbers []int32, err error) {
	last := int32(0)
	for {
		if last, err = nextXattr(r, last); err != nil || last == 0 {
			return numbers, err
		}
		if len(numbers) == maxXattrs {
			return nil, fmt.Errorf("request for more than %d xattrs: %w", maxXattrs, ErrProtocol)
		}
		numbers = append(numbers, last)
	}
}

// nextXattr is the number of the next attribute of a block, 0 at its end.
func nextXattr(r *wire.Reader, last int32) (int32, error) {
	delta, err := r.Varint()
	if err != nil || delta == 0 {
		return 0, unexpected(err)
	}
	number := int64(last) + int64(delta)
	if number < 1 || number > maxXattrs {
		return 0, fmt.Errorf("xattr %d of a set: %w", number, ErrProtocol)
	}
	return int32(number), nil
}

// XattrValue is a long value in an answer.
type XattrValue struct {
	Number int32 // of the attribute in its set, from 1
	Value  []byte
}

// WriteXattrValues answers a request.
func WriteXattrValues(w *wire.Writer, values []XattrValue) {
	last := int32(0)
	for _, v := range values {
		w.Varint(v.Number - last)
		w.Varint(int32(len(v.Value)))
		w.Write(v.Value)
		last = v.Number
	}
	w.Varint(0)
}

// ReadXattrValues reads what WriteXattrValues writes and calls each for every
// value, which is its to keep. An error of each ends the reading, and so does a
// value of more than limit bytes.
func ReadXattrValues(r *wire.Reader, limit int64, each func(number int32, value []byte) error) error {
	last, err := int32(0), error(nil)
	for {
		if last, err = nextXattr(r, last); err != nil || last == 0 {
			return err
		}
		size, err := r.Varint()
		if err != nil {
			return unexpected(err)
		}
		if size < 0 || size > maxXattrValue {
			return fmt.Errorf("xattr of %d bytes: %w", size, ErrProtocol)
		}
		if int64(size) > limit {
			return fmt.Errorf("xattr of %d bytes: %w", size, ErrMemory)
		}
		value, err := readGrowing(r, int(size))
		if err != nil {
			return unexpected(err)
		}
		if err := each(last, value); err != nil {
			return err
		}
	}
}

// readGrowing reads n bytes and takes memory only as they come.
func readGrowing(r *wire.Reader, n int) ([]byte, error) {
	const step = 64 << 10 // the longest attribute of Linux
	var value []byte
	for len(value) < n {
		part := min(n-len(value), max(step, len(value)))
		value = append(value, make([]byte, part)...)
		if err := r.ReadFull(value[len(value)-part:]); err != nil {
			return nil, fmt.Errorf("xattr of %d bytes: %w", n, unexpected(err))
		}
	}
	return value, nil
}
