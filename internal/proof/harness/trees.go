package harness

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// Tree describes a tree of small files to make.
type Tree struct {
	Files  int
	PerDir int // files in each directory, 100 by default
	Size   int // bytes of each file are between 1 and Size, 1000 by default
	Seed   uint64
}

// Name is the path of file i of the tree.
func (t Tree) Name(i int) string {
	per := t.perDir()
	dir := i / per
	return fmt.Sprintf("d%03d/e%03d/file-%06d", dir/100, dir%100, i)
}

func (t Tree) perDir() int {
	if t.PerDir == 0 {
		return 100
	}
	return t.PerDir
}

// Make writes the tree below root, with two writers.
func (t Tree) Make(root string) error {
	size := max(t.Size, 1)
	if t.Size == 0 {
		size = 1000
	}
	const writers = 2
	var errs [writers]error
	var wait sync.WaitGroup
	dirs := (t.Files + t.perDir() - 1) / t.perDir()
	for w := range writers {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(t.Seed, uint64(w)))
			for dir := w; dir < dirs && errs[w] == nil; dir += writers {
				errs[w] = t.directory(root, dir, size, rng)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("make a tree: %w", err)
		}
	}
	return nil
}

func (t Tree) directory(root string, dir, size int, rng *rand.Rand) error {
	first := dir * t.perDir()
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(t.Name(first))), 0o755); err != nil {
		return err
	}
	for i := first; i < min(first+t.perDir(), t.Files); i++ {
		if err := os.WriteFile(filepath.Join(root, t.Name(i)), Noise(rng, 1+rng.IntN(size)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Noise is n random bytes, which no compressor and no delta can shorten.
func Noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n+7)
	for i := 0; i < n; i += 8 {
		v := rng.Uint64()
		for j := range 8 {
			if i+j < len(b) {
				b[i+j] = byte(v >> (8 * j))
			}
		}
	}
	return b[:n]
}
