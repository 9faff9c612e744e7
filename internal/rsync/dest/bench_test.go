package dest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
)

// benchDest is an empty destination for -a.
func benchDest(b *testing.B, dir string) *dest.Dest {
	b.Helper()
	opt := options()
	archive(opt)
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: new(talk)}, dir, dest.List{Entries: 2})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	return d
}

// benchFiles are files in directories of a hundred.
func benchFiles(b *testing.B, dir string, n int) []*flist.File {
	b.Helper()
	files := make([]*flist.File, n)
	for i := range files {
		sub := fmt.Sprintf("%04d", i/100)
		if i%100 == 0 {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		files[i] = &flist.File{Path: tree.Path(fmt.Sprintf("%s/file%d", sub, i)), Meta: flist.MetaOf(tree.Meta{Kind: tree.File, Perm: 0o644, Size: 4096,
			Mtime: tree.Time{Sec: 1e9}, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})}
	}
	return files
}

// BenchmarkStore makes files of 4 KiB, then replaces them.
func BenchmarkStore(b *testing.B) {
	content := []byte(strings.Repeat("content ", 512))
	for _, kind := range []string{"new", "replaced"} {
		b.Run(kind, func(b *testing.B) {
			dir := b.TempDir()
			d, files := benchDest(b, dir), benchFiles(b, dir, b.N)
			store := func(absent bool) {
				for _, f := range files {
					if _, err := d.Store(f, content, false, absent); err != nil {
						b.Fatal(err)
					}
				}
			}
			if kind == "replaced" {
				store(true)
			}
			b.ReportAllocs()
			b.ResetTimer()
			store(kind == "new")
		})
	}
}

// BenchmarkStat looks at files that are up to date.
func BenchmarkStat(b *testing.B) {
	dir := b.TempDir()
	d, files := benchDest(b, dir), benchFiles(b, dir, 10_000)
	for _, f := range files {
		if _, err := d.Store(f, make([]byte, 4096), false, false); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one by one", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			f := files[i%len(files)]
			have, err := d.Stat(f)
			if same, err2 := d.QuickCheck(f, &have); !same || err != nil || err2 != nil || d.Differs(f, &have, 0, false) != 0 {
				b.Fatal(same, err, err2)
			}
			if changed, err := d.SetAttrs(f, &have); changed || err != nil {
				b.Fatal(changed, err)
			}
		}
	})
	b.Run("in folders", func(b *testing.B) {
		b.ReportAllocs()
		var have dest.Found
		for i := 0; i < b.N; i += 100 {
			folder, err := d.Folder(files[i%len(files)].Path.Parent())
			if err != nil {
				b.Fatal(err)
			}
			for _, f := range files[i%len(files):][:100] {
				if err := folder.Stat(f, &have); err != nil || have.Size != 4096 {
					b.Fatal(have, err)
				}
			}
			_ = folder.Close()
		}
	})
}
