package watch

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// A fanotify record, fanotify(7), native byte order:
//
//	 0  4  event_len     of the whole record
//	 4  1  vers          3
//	 5  1  reserved
//	 6  2  metadata_len  24
//	 8  8  mask
//	16  4  fd            -1 where identifiers are reported
//	20  4  pid
//
// then information records up to event_len:
//
//	 0  1  info_type
//	 1  1  pad
//	 2  2  len           of this one, padding included
//	 4  8  fsid
//	12  4  handle_bytes
//	16  4  handle_type
//	20  n  handle, then for the types with names a name and a NUL
const (
	fanHeader  = 24
	fanVersion = 3
	infoHeader = 4
	infoFixed  = 20 // header, fsid and the head of the handle

	// maxHandle is MAX_HANDLE_SZ of the kernel.
	maxHandle = 128
)

var errFanRecord = errors.New("malformed fanotify record")

// fanName is a directory and a name in it. The directory is identified by the
// bytes from fsid to the handle's end.
type fanName struct {
	dir  []byte
	name []byte
}

// key is n as a string, for maps.
func (n fanName) key() string { return string(n.dir) + string(n.name) }

// fanRecord is one record. Its slices point into the buffer it was read from.
type fanRecord struct {
	mask     uint64
	pid      int32
	at       fanName // where it happened
	old, new fanName // of a rename
	self     []byte  // the object itself
}

// nextFan cuts the first record off b.
func nextFan(b []byte) (rec fanRecord, rest []byte, err error) {
	if len(b) < fanHeader {
		return rec, nil, errFanRecord
	}
	size := binary.NativeEndian.Uint32(b)
	head := binary.NativeEndian.Uint16(b[6:])
	if b[4] != fanVersion || head < fanHeader || uint64(size) > uint64(len(b)) || uint32(head) > size {
		return rec, nil, errFanRecord
	}
	rec.mask = binary.NativeEndian.Uint64(b[8:])
	rec.pid = int32(binary.NativeEndian.Uint32(b[20:]))
	info := b[head:size]
	for len(info) > 0 {
		if len(info) < infoHeader {
			return rec, nil, errFanRecord
		}
		n := int(binary.NativeEndian.Uint16(info[2:]))
		if n < infoHeader || n > len(info) {
			return rec, nil, errFanRecord
		}
		if err := rec.info(info[0], info[:n]); err != nil {
			return rec, nil, err
		}
		info = info[n:]
	}
	return rec, b[size:], nil
}

func (rec *fanRecord) info(kind byte, b []byte) error {
	var into *fanName
	switch kind {
	case unix.FAN_EVENT_INFO_TYPE_FID, unix.FAN_EVENT_INFO_TYPE_DFID:
	case unix.FAN_EVENT_INFO_TYPE_DFID_NAME:
		into = &rec.at
	case unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		into = &rec.old
	case unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		into = &rec.new
	default:
		return nil // a kind that was not asked for
	}
	if len(b) < infoFixed {
		return errFanRecord
	}
	n := binary.NativeEndian.Uint32(b[12:])
	if n > maxHandle || infoFixed+int(n) > len(b) {
		return errFanRecord
	}
	id, rest := b[infoHeader:infoFixed+n], b[infoFixed+n:]
	switch {
	case kind == unix.FAN_EVENT_INFO_TYPE_FID:
		rec.self = id
	case kind == unix.FAN_EVENT_INFO_TYPE_DFID:
		rec.at.dir = id
	default:
		end := bytes.IndexByte(rest, 0)
		if end <= 0 || bytes.IndexByte(rest[:end], '/') >= 0 {
			return errFanRecord
		}
		into.dir, into.name = id, rest[:end]
	}
	return nil
}
