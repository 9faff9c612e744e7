package watch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

func eachBackend(b *testing.B, f func(b *testing.B, v variant)) {
	for _, v := range variants {
		if v.tune != nil || v.backend == watch.Fanotify && os.Geteuid() != 0 {
			continue
		}
		b.Run(v.name, func(b *testing.B) { f(b, v) })
	}
}

// BenchmarkSetUp arms 50,000 directories in two levels, a file in each.
func BenchmarkSetUp(b *testing.B) {
	dir := b.TempDir()
	for i := range 50_000 {
		d := fmt.Sprintf("%s/%d/%d", dir, i/100, i)
		if err := os.MkdirAll(d, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(d+"/f", nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	eachBackend(b, func(b *testing.B, v variant) {
		b.ReportAllocs()
		for b.Loop() {
			w, err := watch.Open(b.Context(), watch.Config{Root: dir, Backend: v.backend})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if s := w.Stats(); s.Unwatched > 0 {
				b.Fatalf("not enough watches: %s", s.Limit)
			}
			_ = w.Close()
			b.StartTimer()
		}
	})
}

// BenchmarkLatency is from close() to the event in hand.
func BenchmarkLatency(b *testing.B) {
	eachBackend(b, func(b *testing.B, v variant) {
		if v.backend == watch.Poll {
			b.Skip("as long as the interval")
		}
		dir := b.TempDir()
		w, err := watch.Open(b.Context(), watch.Config{Root: dir, Backend: v.backend, Events: watch.CloseWrite})
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			p := tree.Path(fmt.Sprintf("f%d", i%1000))
			f, err := os.Create(filepath.Join(dir, string(p)))
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			f.Close()
			for told := false; !told; {
				for _, ev := range <-w.Events() {
					told = told || ev.Path == p
				}
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	})
}

// BenchmarkThroughput is the time for each of many queued changes, in 100
// directories, to come out of the watch.
func BenchmarkThroughput(b *testing.B) {
	const files = 5000
	eachBackend(b, func(b *testing.B, v variant) {
		if v.backend == watch.Poll {
			b.Skip("bound by stat")
		}
		dir := b.TempDir()
		for i := range 100 {
			if err := os.Mkdir(fmt.Sprintf("%s/%d", dir, i), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		w, err := watch.Open(b.Context(), watch.Config{Root: dir, Backend: v.backend, Events: watch.CloseWrite | watch.Create})
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		events := 0
		b.ResetTimer()
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			resume := watch.PauseReading(w)
			for i := range files {
				if err := os.WriteFile(fmt.Sprintf("%s/%d/%d-%d", dir, i%100, n, i), nil, 0o644); err != nil {
					b.Fatal(err)
				}
			}
			last := tree.Path(fmt.Sprintf("%d/%d-%d", (files-1)%100, n, files-1))
			b.StartTimer()
			resume()
			for told := false; !told; {
				batch := <-w.Events()
				events += len(batch)
				told = batch[len(batch)-1].Path == last
			}
		}
		b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	})
}
