package receiver

import (
	"fmt"
	"time"

	"lockstep/internal/rsync/wire"
)

// statistics reads the block that a sender writes which is the server (1.9):
//
//	longint  bytes that it has read
//	longint  bytes that it has written
//	longint  bytes of all files
//	longint  milliseconds for building the list     protocol 29 and up
//	longint  milliseconds for sending the list      protocol 29 and up
//
// From protocol 30 on a longint is a varlong of at least three bytes.
func (m *run) statistics() error {
	var v [5]int64
	fields := v[:]
	if m.params.Protocol < itemFlagsMin {
		fields = v[:3]
	}
	for i := range fields {
		n, err := m.longint()
		if err != nil {
			return err
		}
		if n < 0 {
			return fmt.Errorf("statistics of the sender: %d is negative: %w", n, wire.ErrStream)
		}
		fields[i] = n
	}
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	m.result.Peer = &PeerStats{
		Read: v[0], Written: v[1], TotalSize: v[2],
		ListBuild: time.Duration(min(v[3], longest)) * time.Millisecond,
		ListSend:  time.Duration(min(v[4], longest)) * time.Millisecond,
	}
	return nil
}

func (m *run) longint() (int64, error) {
	if m.params.Protocol >= shortIntsMin {
		return m.r.Varlong(3)
	}
	return m.r.Longint()
}

// maxDelStat bounds the numbers of deleted items (rsync-session 7).
const maxDelStat = 1 << 28

// delStats reads the numbers of deletions, as five varints: regular files,
// directories, symlinks, devices, specials (1.8).
func (m *run) delStats() error {
	c := &m.result.Deleted
	for _, field := range [...]*int{&c.Reg, &c.Dir, &c.Link, &c.Dev, &c.Special} {
		v, err := m.r.Varint()
		if err != nil {
			return err
		}
		if v < 0 || v > maxDelStat {
			return &Error{Code: codeProtocol, Text: fmt.Sprintf("deletion statistics of %d items [receiver]", v)}
		}
		*field += int(v)
	}
	return nil
}
