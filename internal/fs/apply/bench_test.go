package apply_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

const benchFiles = 10000 // of 4 KiB, in 100 directories

func makeSources(b *testing.B, dir string) []tree.Path {
	var paths []tree.Path
	content := make([]byte, 4096)
	for i := range benchFiles {
		sub := fmt.Sprintf("dir%d", i/100)
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			b.Fatal(err)
		}
		_, _ = rand.Read(content)
		p := tree.Path(sub).Join(fmt.Sprintf("file%d", i))
		if err := os.WriteFile(filepath.Join(dir, string(p)), content, 0o644); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func copyAll(b *testing.B, from *walk.Root, to *apply.Root, paths []tree.Path, how apply.Copy) {
	for _, p := range paths {
		m, err := from.Lstat(p)
		if err != nil {
			b.Fatal(err)
		}
		f, err := from.Open(p)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := to.CopyFile(p, f, m, how); err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}

// BenchmarkCopy10000Files tells the wall time of 10,000 files of 4 KiB: new,
// replaced, and compared with equal ones. Let TMPDIR name a fresh file system:
// ext4 is slow at creating after many removals.
func BenchmarkCopy10000Files(b *testing.B) {
	for _, workers := range []int{1, 2} {
		source := b.TempDir()
		paths := makeSources(b, source)
		from, err := walk.OpenRoot(source)
		if err != nil {
			b.Fatal(err)
		}
		defer from.Close()
		to, err := apply.OpenRoot(b.TempDir(), archive)
		if err != nil {
			b.Fatal(err)
		}
		defer to.Close()
		for i := range benchFiles / 100 {
			if _, err := to.Mkdir(tree.Path(fmt.Sprintf("dir%d", i)), tree.Meta{Kind: tree.Dir, Perm: 0o755}, nil); err != nil {
				b.Fatal(err)
			}
		}
		for _, run := range []struct {
			name string
			how  apply.Copy
		}{{"new", apply.Copy{}}, {"replaced", apply.Copy{}}, {"compared", apply.Copy{Compare: true}}} {
			b.Run(fmt.Sprintf("%s, workers=%d", run.name, workers), func(b *testing.B) {
				if b.N > 1 {
					b.Skip("one time only: use -benchtime 1x")
				}
				var group sync.WaitGroup
				for w := range workers {
					part := len(paths) / workers
					group.Go(func() { copyAll(b, from, to, paths[w*part:(w+1)*part], run.how) })
				}
				group.Wait()
			})
		}
	}
}
