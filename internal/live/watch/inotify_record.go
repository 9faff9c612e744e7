package watch

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// An inotify record, inotify(7), native byte order:
//
//	 0  4  wd      the watch, -1 with IN_Q_OVERFLOW
//	 4  4  mask
//	 8  4  cookie  the same in both halves of a move
//	12  4  len     of the name, padding included
//	16  n  name    NUL-padded, empty for the watched directory itself
const inoHeader = 16

// maxInoName bounds len: NAME_MAX, a NUL, and padding to a whole header.
const maxInoName = 256 + inoHeader

var errInoRecord = errors.New("malformed inotify record")

// inoRecord is one record. Its name points into the buffer it was read from.
type inoRecord struct {
	wd     int32
	mask   uint32
	cookie uint32
	name   []byte
}

// nextIno cuts the first record off b.
func nextIno(b []byte) (rec inoRecord, rest []byte, err error) {
	if len(b) < inoHeader {
		return rec, nil, errInoRecord
	}
	n := binary.NativeEndian.Uint32(b[12:])
	if n > maxInoName || int(n) > len(b)-inoHeader {
		return rec, nil, errInoRecord
	}
	rec = inoRecord{
		wd:     int32(binary.NativeEndian.Uint32(b)),
		mask:   binary.NativeEndian.Uint32(b[4:]),
		cookie: binary.NativeEndian.Uint32(b[8:]),
		name:   b[inoHeader : inoHeader+n],
	}
	if i := bytes.IndexByte(rec.name, 0); i >= 0 {
		rec.name = rec.name[:i]
	}
	if bytes.IndexByte(rec.name, '/') >= 0 {
		return rec, nil, errInoRecord
	}
	return rec, b[inoHeader+n:], nil
}

// pairWindow is how many records after the first half of a move are searched
// for the second. The kernel writes both in one go, so that only records of
// other processors can come between.
const pairWindow = 256

// takePair finds the second half of the move in b and takes it out by clearing
// its mask. sure says that, if it was not found, it will not come either: the
// move leads out of what is watched.
func takePair(b []byte, cookie uint32) (to inoRecord, found, sure bool) {
	for range pairWindow {
		if len(b) == 0 {
			return to, false, false
		}
		rec, rest, err := nextIno(b)
		if err != nil {
			return to, false, true
		}
		if rec.cookie == cookie && rec.mask&unix.IN_MOVED_TO != 0 {
			clear(b[4:8])
			return rec, true, true
		}
		b = rest
	}
	return to, false, true
}
