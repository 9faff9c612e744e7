package receiver_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"lockstep/internal/rsync/flist"
)

// benchmark receives a recorded session into an empty directory, again and again.
func benchmark(b *testing.B, record func(s *stream) int64, old map[string][]byte) {
	s := newStream(b, 32)
	b.SetBytes(record(s))
	s.end()
	data := s.bytes()
	root := s.dir
	for b.Loop() {
		b.StopTimer()
		s.dir = must1(os.MkdirTemp(root, "d"))
		for name, content := range old {
			s.put(name, content)
		}
		b.StartTimer()
		o := s.runOn(context.Background(), bytes.NewReader(data), nil)
		b.StopTimer()
		if o.err != nil {
			b.Fatal(o.err)
		}
		os.RemoveAll(s.dir)
		b.StartTimer()
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func BenchmarkSmallFiles(b *testing.B) {
	const files, size = 2000, 4 << 10
	content := noise(size)
	benchmark(b, func(s *stream) int64 {
		var entries []flist.Entry
		for i := range files {
			entries = append(entries, regular(fmt.Sprint(i), size))
		}
		s.list(entries...)
		for i := range files {
			s.whole(fmt.Sprint(i), content)
		}
		return files * size
	}, nil)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/files, "µs/file")
}

func BenchmarkLargeFile(b *testing.B) {
	content := noise(128 << 20)
	benchmark(b, func(s *stream) int64 {
		s.list(regular("f", len(content)))
		s.whole("f", content)
		return int64(len(content))
	}, nil)
}

func BenchmarkUpdate(b *testing.B) {
	old := noise(128 << 20)
	content := edited(old)
	benchmark(b, func(s *stream) int64 {
		s.list(regular("f", len(content)))
		s.update("f", old, content)
		return int64(len(content))
	}, map[string][]byte{"f": old})
}
