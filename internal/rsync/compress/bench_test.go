package compress_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/wire"
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

func benchmarkDecoder(b *testing.B, size, blocks int) {
	r := rand.New(rand.NewPCG(1, 1))
	data := text(r, size)
	block := text(r, 700)
	for _, m := range allMethods {
		b.Run(m.String(), func(b *testing.B) {
			o := compress.Options{Method: m, Protocol: 31}
			var stream bytes.Buffer
			e := newEncoder(b, &stream, o)
			for n := range blocks {
				if err := errors.Join(e.Literal(data[n:n+1]), e.Block(n, block)); err != nil {
					b.Fatal(err)
				}
			}
			if err := errors.Join(e.Literal(data), e.End()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size + 700*blocks))
			buf := make([]byte, 256<<10)
			for b.Loop() {
				d, err := compress.NewDecoder(wire.NewReader(bytes.NewReader(stream.Bytes())), o)
				if err != nil {
					b.Fatal(err)
				}
				d.Start(blocks)
				for {
					token, err := d.Next(buf)
					if err != nil {
						b.Fatal(err)
					}
					if token.End() {
						break
					}
					for range token.Blocks {
						d.See(block, true)
					}
				}
				d.Close()
			}
		})
	}
}

func BenchmarkDecodeLargeFiles(b *testing.B)        { benchmarkDecoder(b, 4<<20, 0) }
func BenchmarkDecodeSmallEditsInFiles(b *testing.B) { benchmarkDecoder(b, 700, 99) }
