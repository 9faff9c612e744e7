package compress

import (
	"fmt"
	"sync"

	"github.com/pierrec/lz4/v4"

	"lockstep/internal/rsync/wire"
)

// maxLZ4Output is the most bytes that one lz4 packet may unpack to. Peers have
// to allow 32912 (3.5).
const maxLZ4Output = 64 << 10

// unLZ4 reads packets that are an lz4 block each.
type unLZ4 struct {
	in    *section
	out   []byte // unpacked and not read
	state *unLZ4State
}

type unLZ4State struct {
	packet [maxPacket]byte
	out    [maxLZ4Output]byte
}

var unLZ4States = sync.Pool{New: func() any { return new(unLZ4State) }}

func newUnLZ4(in *section) *unLZ4 {
	return &unLZ4{in: in, state: unLZ4States.Get().(*unLZ4State)}
}

func (u *unLZ4) read(p []byte) (int, error) {
	if len(u.out) == 0 {
		packet, err := u.in.packet(u.state.packet[:])
		if err != nil {
			return 0, err
		}
		n, err := lz4.UncompressBlock(packet, u.state.out[:])
		if err != nil || n == 0 {
			return 0, fmt.Errorf("lz4 packet of %d bytes is broken or unpacks to more than %d bytes: %w",
				len(packet), maxLZ4Output, wire.ErrStream)
		}
		u.out = u.state.out[:n]
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *unLZ4) see([]byte, bool) {}

func (u *unLZ4) start() { u.out = nil }

func (u *unLZ4) close() {
	unLZ4States.Put(u.state)
	u.state = nil
}
