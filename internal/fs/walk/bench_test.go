package walk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// makeTree makes dirs directories of files empty files each, two levels deep.
func makeTree(tb testing.TB, root string, dirs, files int) {
	tb.Helper()
	for d := range dirs {
		dir := filepath.Join(root, fmt.Sprintf("group%d", d/50), fmt.Sprintf("directory%d", d))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		for f := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file number %d", f)), nil, 0o644); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

func benchmarkWalk(b *testing.B, dirs, files int) {
	dir := b.TempDir()
	makeTree(b, dir, dirs, files)
	for _, workers := range []int{1, 2, 4, 8, 0} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			r, err := walk.OpenRoot(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			var n atomic.Int64
			v := walk.Visitor{Workers: workers, Dir: func(_ tree.Path, _ tree.Meta, entries []tree.Entry, err error) {
				if err != nil {
					b.Error(err)
				}
				n.Add(int64(len(entries)))
			}}
			for b.Loop() {
				if err := r.Walk(context.Background(), tree.Root, v); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkWalk200kEntries(b *testing.B) { benchmarkWalk(b, 5000, 40) }

func BenchmarkWalkOneWideDirectory(b *testing.B) { benchmarkWalk(b, 1, 100000) }
