package generator_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// quiet is a Talk that says nothing.
type quiet struct{}

func (quiet) Text(wire.Code, string)         {}
func (quiet) Item(*output.Event, bool)       {}
func (quiet) Deleted(tree.Path, tree.Meta)   {}
func (quiet) Progress(output.Progress, bool) {}

const (
	benchDirs  = 200
	benchFiles = 100
)

// BenchmarkNothingToDo goes through a tree that is in step.
func BenchmarkNothingToDo(b *testing.B) {
	dir := b.TempDir()
	dst := filepath.Join(dir, "dst")
	for d := range benchDirs {
		p := filepath.Join(dst, fmt.Sprint("dir", d))
		if err := os.MkdirAll(p, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range benchFiles {
			if err := os.WriteFile(filepath.Join(p, fmt.Sprint("file", f)), []byte("x"), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, words := range [][]string{{"-a"}, {"-a", "--delete"}, {"-aH"}} {
		for _, inc := range []bool{false, true} {
			b.Run(fmt.Sprint(words, " incremental ", inc), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					benchRun(b, dst, words, inc)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(benchDirs*benchFiles), "ns/entry")
			})
		}
	}
}

func benchRun(b *testing.B, dst string, words []string, inc bool) {
	b.StopTimer()
	opt, err := option.Parse(option.Input{Words: append(words[:len(words):len(words)], "a", "b")})
	if err != nil {
		b.Fatal(err)
	}
	all := benchLists(b, dst, inc)
	lists, notes := flist.NewLists(), dest.NewNotes()
	for _, l := range all {
		lists.Add(l)
	}
	lists.End(nil)
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 31, Talk: quiet{}, File: checksum.MD5}, dst, dest.List{Entries: 2, First: all[0].Files[0]})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for range len(all) + 2 {
		notes.Put(dest.Note{Kind: dest.PhaseDone})
	}
	notes.Put(dest.Note{Kind: dest.Ended})
	w := wire.NewWriter(io.Discard)
	w.StartMux()
	p := generator.Params{Opt: opt, Protocol: 31, Seed: 7, Xfer: checksum.MD5}
	if inc {
		p.Compat = wire.IncRecurse
	}
	b.StartTimer()
	res, err := generator.Run(b.Context(), w, p, d.As("generator"), lists, notes, quiet{})
	if err != nil || res.Requested != 0 {
		b.Fatal(res, err)
	}
}

// benchLists lists dst as it is.
func benchLists(b *testing.B, dst string, inc bool) []*flist.Received {
	root, err := walk.OpenRoot(dst)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	entries := func(dir tree.Path) (all []*flist.File) {
		found, err := root.ReadDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range found {
			all = append(all, &flist.File{Path: dir.Join(e.Name), Meta: flist.MetaOf(e.Meta), Content: e.Meta.Kind == tree.Dir})
		}
		return all
	}
	m, _ := root.Lstat(tree.Root)
	top := &flist.File{Meta: flist.MetaOf(m), Content: true, Top: true}
	dirs := entries(tree.Root)
	if !inc {
		l := &flist.Received{Number: 1, Files: []*flist.File{top}}
		for _, d := range dirs {
			l.Files = append(append(l.Files, d), entries(d.Path)...)
		}
		number(l, 0)
		return []*flist.Received{l}
	}
	first := &flist.Received{Number: 1, Dir: top, Files: append([]*flist.File{top}, dirs...)}
	number(first, 1)
	lists := []*flist.Received{first}
	for _, d := range dirs {
		last := lists[len(lists)-1]
		l := &flist.Received{Number: last.Number + 1, Dir: d, Files: entries(d.Path)}
		number(l, last.Start+int32(len(last.Files))+1)
		lists = append(lists, l)
	}
	return lists
}
