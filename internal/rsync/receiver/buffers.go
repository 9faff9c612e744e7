package receiver

import (
	"math/bits"
	"sync"
)

// Buffers come in sizes of 4, 16, 64 and 256 KiB.
const (
	smallestLog = 12
	stepLog     = 2
	sizes       = 4
)

var buffers [sizes]sync.Pool

// sizeOf is the number of the least size that holds n bytes.
func sizeOf(n int64) int {
	if n <= 1<<smallestLog {
		return 0
	}
	return (bits.Len64(uint64(n-1)) - smallestLog + stepLog - 1) / stepLog
}

// getBuffer returns a buffer of at least n bytes, at most chunkSize.
func getBuffer(n int64) []byte {
	i := sizeOf(n)
	if p, ok := buffers[i].Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 1<<(smallestLog+stepLog*i))
}

// putBuffer gives a buffer back.
func putBuffer(p []byte) {
	buffers[sizeOf(int64(len(p)))].Put(&p)
}
