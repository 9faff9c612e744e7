package compress_test

import (
	"io"
	"math/rand/v2"
	"testing"

	"lockstep/internal/rsync/compress"
)

func benchmark(b *testing.B, size, blocks int) {
	r := rand.New(rand.NewPCG(1, 1))
	data := text(r, size)
	block := text(r, 700)
	for _, m := range allMethods {
		b.Run(m.String(), func(b *testing.B) {
			e, err := compress.New(io.Discard, compress.Options{Method: m, Protocol: 31})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			b.SetBytes(int64(size + 700*blocks))
			b.ReportAllocs()
			for b.Loop() {
				for n := range blocks {
					if err := e.Block(n, block); err != nil {
						b.Fatal(err)
					}
				}
				if err := e.Literal(data); err != nil {
					b.Fatal(err)
				}
				if err := e.End(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLargeFiles(b *testing.B)        { benchmark(b, 4<<20, 0) }
func BenchmarkSmallFiles(b *testing.B)        { benchmark(b, 4<<10, 0) }
func BenchmarkSmallEditsInFiles(b *testing.B) { benchmark(b, 700, 99) }
