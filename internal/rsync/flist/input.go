package flist

import (
	"errors"
	"fmt"
	"io"

	"lockstep/internal/rsync/wire"
)

// input reads the values of a list. After the first failure everything is
// zero, so that a record is read as it is written and checked once. Counts
// must still be checked before they drive a loop.
type input struct {
	r        *wire.Reader
	protocol int
	err      error
}

// fail makes err the failure, unless there was one.
func (in *input) fail(err error) {
	if in.err == nil && err != nil {
		in.err = unexpected(err)
	}
}

// unexpected turns the end of the stream into one in the middle of something.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// failf fails with a kind of error and what is wrong.
func (in *input) failf(kind error, format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), kind)
	}
}

// take passes on a value that was read.
func take[T any](in *input, v T, err error) T {
	in.fail(err)
	if in.err != nil {
		var zero T
		return zero
	}
	return v
}

func (in *input) byte() byte {
	if in.err != nil {
		return 0
	}
	b, err := in.r.Byte()
	return take(in, b, err)
}

func (in *input) int() int32 {
	if in.err != nil {
		return 0
	}
	v, err := in.r.Int()
	return take(in, v, err)
}

func (in *input) varint() int32 {
	if in.err != nil {
		return 0
	}
	v, err := in.r.Varint()
	return take(in, v, err)
}

func (in *input) varlong(minimum int) int64 {
	if in.err != nil {
		return 0
	}
	v, err := in.r.Varlong(minimum)
	return take(in, v, err)
}

func (in *input) longint() int64 {
	if in.err != nil {
		return 0
	}
	v, err := in.r.Longint()
	return take(in, v, err)
}

// int30 reads a value whose form changed with protocol 30.
func (in *input) int30() int32 {
	if in.protocol >= 30 {
		return in.varint()
	}
	return in.int()
}

// count reads an int30 that says how much follows: 0 to limit.
func (in *input) count(what string, limit int) int { return in.limited(in.int30(), what, limit) }

// varcount is count for what came with protocol 30, and has that form in a
// local copy at any protocol.
func (in *input) varcount(what string, limit int) int { return in.limited(in.varint(), what, limit) }

func (in *input) limited(n int32, what string, limit int) int {
	if n < 0 || int64(n) > int64(limit) {
		in.failf(ErrProtocol, "%s %d is not 0 to %d", what, n, limit)
		return 0
	}
	return int(n)
}

// full fills p, or leaves it as it is after a failure.
func (in *input) full(p []byte) {
	if in.err == nil {
		in.fail(in.r.ReadFull(p))
	}
}

// bytes reads n bytes of their own; n must have been checked.
func (in *input) bytes(n int) []byte {
	if in.err != nil {
		return nil
	}
	p := make([]byte, n)
	in.full(p)
	return p
}

// shortName reads a user or group name after its length.
func (in *input) shortName() string { return string(in.bytes(int(in.byte()))) }
