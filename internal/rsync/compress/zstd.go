package compress

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdFrame writes one zstd frame for the whole session, never ended (3.4). The
// frame begins with the first literal.
type zstdFrame struct {
	packets packets
	pool    *sync.Pool
	state   *zstdState
}

type zstdState struct {
	enc *zstd.Encoder
	out buffer
}

// buffer collects a compressor's output.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// zstdPools is indexed by zstd.EncoderLevel.
var zstdPools [zstd.SpeedBestCompression + 1]sync.Pool

// zstdWindows are the window sizes, about those of the reference's library at
// the levels that each stands for, less at the high end: memory is needed for
// every session.
var zstdWindows = [...]int{
	zstd.SpeedFastest:           1 << 20,
	zstd.SpeedDefault:           2 << 20,
	zstd.SpeedBetterCompression: 4 << 20,
	zstd.SpeedBestCompression:   8 << 20,
}

func newZstd(k packets, level int) *zstdFrame {
	speed := zstd.EncoderLevelFromZstd(level)
	pool := &zstdPools[speed]
	z := &zstdFrame{packets: k, pool: pool}
	z.state, _ = pool.Get().(*zstdState)
	if z.state == nil {
		// Concurrency 1: no goroutines, output is complete when Flush returns.
		// With less memory the encoder would move the whole window for each block:
		// a third of its time.
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithWindowSize(zstdWindows[speed]),
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(false))
		if err != nil {
			panic("compress: zstd refuses constant options: " + err.Error())
		}
		z.state = &zstdState{enc: enc}
	}
	z.state.out = z.state.out[:0]
	z.state.enc.Reset(&z.state.out)
	return z
}

func (z *zstdFrame) literal(p []byte) error {
	if _, err := z.state.enc.Write(p); err != nil {
		return err
	}
	out, err := z.packets.writeFull(z.state.out)
	z.state.out = out
	return err
}

func (z *zstdFrame) flush() error {
	if err := z.state.enc.Flush(); err != nil {
		return err
	}
	out := z.state.out
	z.state.out = out[:0]
	return z.packets.write(out)
}

func (z *zstdFrame) block([]byte) {}
func (z *zstdFrame) end()         {}

func (z *zstdFrame) close() {
	z.pool.Put(z.state)
	z.state = nil
}
