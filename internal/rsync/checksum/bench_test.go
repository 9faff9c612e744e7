package checksum_test

import (
	"testing"

	"lockstep/internal/rsync/checksum"
)

func BenchmarkSum1(b *testing.B) {
	for _, size := range []int{700, 16384} {
		b.Run(map[int]string{700: "700", 16384: "16K"}[size], func(b *testing.B) {
			block := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				checksum.Sum1(block)
			}
		})
	}
}
