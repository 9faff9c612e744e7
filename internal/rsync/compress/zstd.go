package compress

import (
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdStream writes the literals of a session as zstd frames (3.4). Short files
// share one frame, which refers back to those before. What comes to more than
// zstdPiece before the receiver needs it ends that frame and is compressed by
// several goroutines, in a frame for each piece.
type zstdStream struct {
	packets packets
	pool    *sync.Pool
	speed   zstd.EncoderLevel
	state   *zstdState
	begun   bool // the frame that short files share has begun
}

type zstdState struct {
	enc    *zstd.Encoder
	out    buffer
	queued []byte       // literals since the last flush that are in no piece yet
	pieces []*zstdPiece // that are being compressed, the oldest first
	idle   []*zstdPiece
}

// zstdPiece is a part of a long literal.
type zstdPiece struct {
	in, out []byte
	done    chan struct{} // holds a value when out is complete
}

// zstdPieceSize is how many bytes a piece has at most: what is lost by not
// referring back to earlier ones is 1 to 2 % of the result.
const zstdPieceSize = 1 << 20

// zstdAtATime is how many pieces of a session are compressed at a time; less
// than 2 means that all goes into one frame.
var zstdAtATime = min(runtime.GOMAXPROCS(0), 4)

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

// zstdEncoders are what pieces are compressed with, by zstd.EncoderLevel.
var zstdEncoders [zstd.SpeedBestCompression + 1]struct {
	once sync.Once
	enc  *zstd.Encoder
}

// newZstdEncoder returns an encoder that has no goroutines of its own: output is
// complete when Flush returns.
func newZstdEncoder(speed zstd.EncoderLevel, atATime int) *zstd.Encoder {
	// With less memory the encoder would move the whole window for each block: a
	// third of its time.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithWindowSize(zstdWindows[speed]),
		zstd.WithEncoderConcurrency(atATime), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(false))
	if err != nil {
		panic("compress: zstd refuses constant options: " + err.Error())
	}
	return enc
}

func newZstd(k packets, level int) *zstdStream {
	speed := zstd.EncoderLevelFromZstd(level)
	pool := &zstdPools[speed]
	z := &zstdStream{packets: k, pool: pool, speed: speed}
	z.state, _ = pool.Get().(*zstdState)
	if z.state == nil {
		z.state = &zstdState{enc: newZstdEncoder(speed, 1)}
	}
	z.state.out, z.state.queued = z.state.out[:0], z.state.queued[:0]
	z.state.enc.Reset(&z.state.out)
	return z
}

func (z *zstdStream) literal(p []byte) error {
	if zstdAtATime < 2 {
		return z.share(p)
	}
	if len(z.state.queued)+len(p) > zstdPieceSize {
		if err := z.begin(); err != nil {
			return err
		}
	}
	z.state.queued = append(z.state.queued, p...)
	return nil
}

// share compresses p into the frame that short files share.
func (z *zstdStream) share(p []byte) error {
	z.begun = true
	if _, err := z.state.enc.Write(p); err != nil {
		return err
	}
	out, err := z.packets.writeFull(z.state.out)
	z.state.out = out
	return err
}

// begin has what is queued compressed as a piece.
func (z *zstdStream) begin() error {
	s := z.state
	if z.begun {
		z.begun = false
		if err := s.enc.Close(); err != nil {
			return err
		}
		err := z.packets.write(s.out)
		s.out = s.out[:0]
		s.enc.Reset(&s.out)
		if err != nil {
			return err
		}
	}
	if len(s.pieces) == zstdAtATime {
		if err := z.collect(); err != nil {
			return err
		}
	}
	var piece *zstdPiece
	if last := len(s.idle) - 1; last >= 0 {
		piece, s.idle = s.idle[last], s.idle[:last]
	} else {
		piece = &zstdPiece{done: make(chan struct{}, 1)}
	}
	piece.in, s.queued = s.queued, piece.in[:0]
	s.pieces = append(s.pieces, piece)
	go piece.compress(z.speed)
	return nil
}

func (p *zstdPiece) compress(speed zstd.EncoderLevel) {
	e := &zstdEncoders[speed]
	e.once.Do(func() { e.enc = newZstdEncoder(speed, zstdAtATime) })
	p.out = e.enc.EncodeAll(p.in, p.out[:0])
	p.done <- struct{}{}
}

// collect waits for the oldest piece and writes it.
func (z *zstdStream) collect() error { return z.packets.write(z.state.oldest().out) }

// oldest waits for the oldest piece. It is good until the next begins.
func (s *zstdState) oldest() *zstdPiece {
	piece := s.pieces[0]
	<-piece.done
	s.pieces = slices.Delete(s.pieces, 0, 1)
	s.idle = append(s.idle, piece)
	return piece
}

func (z *zstdStream) flush() error {
	s := z.state
	if len(s.pieces) > 0 {
		if err := z.begin(); err != nil {
			return err
		}
		for len(s.pieces) > 0 {
			if err := z.collect(); err != nil {
				return err
			}
		}
		return nil
	}
	for piece := range slices.Chunk(s.queued, maxPiece) {
		if err := z.share(piece); err != nil {
			return err
		}
	}
	s.queued = s.queued[:0]
	if err := s.enc.Flush(); err != nil {
		return err
	}
	err := z.packets.write(s.out)
	s.out = s.out[:0]
	return err
}

func (z *zstdStream) block([]byte) {}
func (z *zstdStream) end()         {}

func (z *zstdStream) close() {
	for len(z.state.pieces) > 0 {
		z.state.oldest()
	}
	z.pool.Put(z.state)
	z.state = nil
}
