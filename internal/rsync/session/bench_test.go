package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
)

// BenchmarkBatch sends one changed small file to a real daemon, over a session
// that is new, connected or started in advance.
func BenchmarkBatch(b *testing.B) {
	d := startRsyncd(b, "[mod]\npath = DIR/mod\nread only = no\n")
	src := b.TempDir()
	root := openRoot(b, src)
	opts := archive()
	opts.Recurse, opts.Relative, opts.DeleteMissing = false, true, true
	for i, advance := range []string{"nothing", "connected", "started"} {
		b.Run(advance+" in advance", func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				b.StopTimer()
				name := fmt.Sprint("file", n%10)
				write(b, filepath.Join(src, name), fmt.Sprint("content ", n), 0o644)
				c, err := session.Connect(b.Context(), d.module("mod", 0))
				if err != nil {
					b.Fatal(err)
				}
				if i == 0 {
					c.Close()
					b.StartTimer()
					if c, err = session.Connect(b.Context(), d.module("mod", 0)); err != nil {
						b.Fatal(err)
					}
				}
				if i == 1 {
					b.StartTimer()
				}
				s, err := c.Start(b.Context(), opts, "")
				if err != nil {
					b.Fatal(err)
				}
				if i == 2 {
					b.StartTimer()
				}
				if _, err := s.Send(b.Context(), sender.Job{Root: root, List: []sender.Item{{Path: tree.Path(name)}}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	os.RemoveAll(src)
}
