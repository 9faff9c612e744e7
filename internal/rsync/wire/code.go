package wire

import (
	"errors"
	"fmt"
)

// ErrStream is wrapped by every error about bytes that break the protocol.
var ErrStream = errors.New("invalid data in the rsync stream")

// Code says what a frame carries (rsync-session 5.4).
type Code byte

// The message codes. Those marked internal pass only between the two halves
// of a receiving side and are an error on the wire.
const (
	CodeData        Code = 0   // bytes of the data stream; may be empty
	CodeErrorXfer   Code = 1   // text: something was not transferred (exit code 23)
	CodeInfo        Code = 2   // text for standard output
	CodeError       Code = 3   // text of an error that by itself changes no exit code
	CodeWarning     Code = 4   // text
	CodeErrorSocket Code = 5   // internal
	CodeLog         Code = 6   // internal
	CodeClient      Code = 7   // internal
	CodeErrorUTF8   Code = 8   // internal
	CodeRedo        Code = 9   // internal
	CodeStats       Code = 10  // internal
	CodeIOError     Code = 22  // int32: io_error flags of the sender
	CodeIOTimeout   Code = 33  // int32: the daemon's timeout in seconds
	CodeNoop        Code = 42  // empty: keep-alive of protocol 30
	CodeErrorExit   Code = 86  // empty or int32: the peer ends with this exit code
	CodeSuccess     Code = 100 // int32 index: the entry may be removed at the source
	CodeDeleted     Code = 101 // name of what was deleted; a trailing NUL marks a directory
	CodeNoSend      Code = 102 // int32 index: this file will not be sent
)

// textLimit bounds text messages: 5120 bytes and more are an overflow (5.1).
const textLimit = 5119

// successLocal is the size of CodeSuccess between the halves of a local copy:
// index, device and inode.
const successLocal = 20

// shape is what a message's payload may look like.
type shape struct {
	name     string
	min, max int  // payload size in bytes
	also     int  // one more permitted size, if above zero
	internal bool // an error on the wire
}

var shapes = map[Code]shape{
	CodeData:        {name: "DATA", max: maxFrame},
	CodeErrorXfer:   {name: "ERROR_XFER", max: textLimit},
	CodeInfo:        {name: "INFO", max: textLimit},
	CodeError:       {name: "ERROR", max: textLimit},
	CodeWarning:     {name: "WARNING", max: textLimit},
	CodeErrorSocket: {name: "ERROR_SOCKET", internal: true},
	CodeLog:         {name: "LOG", internal: true},
	CodeClient:      {name: "CLIENT", internal: true},
	CodeErrorUTF8:   {name: "ERROR_UTF8", internal: true},
	CodeRedo:        {name: "REDO", internal: true},
	CodeStats:       {name: "STATS", internal: true},
	CodeIOError:     {name: "IO_ERROR", min: 4, max: 4},
	CodeIOTimeout:   {name: "IO_TIMEOUT", min: 4, max: 4},
	CodeNoop:        {name: "NOOP"},
	CodeErrorExit:   {name: "ERROR_EXIT", also: 4},
	CodeSuccess:     {name: "SUCCESS", min: 4, max: 4, also: successLocal},
	CodeDeleted:     {name: "DELETED", max: textLimit},
	CodeNoSend:      {name: "NO_SEND", min: 4, max: 4},
}

func (c Code) String() string {
	if s, ok := shapes[c]; ok {
		return s.name
	}
	return fmt.Sprintf("Code(%d)", byte(c))
}

// IsText reports whether c carries text for people.
func (c Code) IsText() bool {
	return c >= CodeErrorXfer && c <= CodeWarning
}

// checkFrame reports why a frame of n payload bytes can't be a message c.
func checkFrame(c Code, n int) error {
	s, ok := shapes[c]
	switch {
	case !ok:
		return fmt.Errorf("message code %d is unknown: %w", byte(c), ErrStream)
	case s.internal:
		return fmt.Errorf("message %s is not for the wire: %w", c, ErrStream)
	case n >= s.min && n <= s.max, s.also > 0 && n == s.also:
		return nil
	}
	return fmt.Errorf("message %s of %d bytes: %w", c, n, ErrStream)
}

// Frame header (rsync-session 5.1):
//
//	byte 0..2  payload length, little-endian
//	byte 3     7 + message code
const (
	headerSize = 4
	tagBase    = 7
	maxFrame   = 0xFFFFFF // most that a header can say
	maxPayload = 65532    // most that our Writer puts in one frame, as rsync does
)

func putHeader(b []byte, c Code, n int) {
	b[0], b[1], b[2], b[3] = byte(n), byte(n>>8), byte(n>>16), tagBase+byte(c)
}

func parseHeader(b []byte) (Code, int, error) {
	n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	if b[3] < tagBase {
		return 0, 0, fmt.Errorf("frame tag %#x: %w", b[3], ErrStream)
	}
	c := Code(b[3] - tagBase)
	return c, n, checkFrame(c, n)
}
