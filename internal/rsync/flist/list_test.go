package flist_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// million sends a list of n entries, a thousand to a directory.
func million(t testing.TB, n int) *flist.List {
	t.Helper()
	enc, err := flist.NewEncoder(wire.NewWriter(io.Discard), archive(32, wire.VarintFlistFlags), nil)
	if err != nil {
		t.Fatal(err)
	}
	enc.Begin()
	ent := flist.Entry{Meta: meta(tree.File, 0o644, 1000)}
	for i := range n {
		if i%1000 == 0 {
			ent.Dir = tree.Path(fmt.Sprintf("some/where/directory-%05d", i/1000))
		}
		ent.Name = fmt.Sprintf("file-%07d.dat", i)
		if err := enc.Add(&ent); err != nil {
			t.Fatal(err)
		}
	}
	return enc.End(0)
}

func TestAnEntryCostsTensOfBytes(t *testing.T) {
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list := million(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / n
	if list.Len() != n || per > 60 {
		t.Errorf("%d entries take %.1f bytes each", list.Len(), per)
	}
	if got := list.Path(n - 1); got != "some/where/directory-00199/file-0199999.dat" {
		t.Errorf("the last one is %s", got)
	}
}

func TestNamesOfAllLengthsAreKept(t *testing.T) {
	enc, err := flist.NewEncoder(wire.NewWriter(io.Discard), archive(32, wire.VarintFlistFlags), nil)
	if err != nil {
		t.Fatal(err)
	}
	enc.Begin()
	long := make([]byte, 255)
	for i := range long {
		long[i] = 'n'
	}
	const n = 2000
	for i := range n {
		name := fmt.Sprintf("%06d%s", i, long[:i%250])
		if err := enc.Add(&flist.Entry{Name: name, Meta: meta(tree.File, 0o644, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	list := enc.End(0)
	for i := range n {
		if got, want := list.Path(int32(i)), tree.Path(fmt.Sprintf("%06d%s", i, long[:i%250])); got != want {
			t.Fatalf("entry %d is %s", i, got)
		}
	}
	if list.Contains(n) || list.Contains(-1) || !list.Contains(0) {
		t.Error("Contains is wrong about the ends")
	}
	if list.Sent(7) {
		t.Error("nothing was sent")
	}
	if list.MarkSent(7); !list.Sent(7) || list.Sent(8) || list.Kind(7) != tree.File {
		t.Error("MarkSent marks something else")
	}
}

func BenchmarkList(b *testing.B) {
	for b.Loop() {
		million(b, 100_000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/entry")
}
