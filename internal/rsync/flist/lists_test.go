package flist_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// listAt is list number n with k files from an index on; the last is a
// duplicate.
func listAt(n int, start int32, k int) *flist.Received {
	r := &flist.Received{Number: n, Start: start}
	if n > 1 {
		r.Dir = &flist.File{Path: tree.Path(fmt.Sprint("dir", n))}
	}
	for i := range k {
		r.Files = append(r.Files, &flist.File{Path: tree.Path(fmt.Sprint(n, ".", i)), Index: start + int32(i), Dup: i == k-1})
	}
	r.Order = r.Files
	return r
}

func TestListsAreTakenAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists := flist.NewLists()
		if r, more, err := lists.Poll(0); r != nil || more == nil || err != nil {
			t.Errorf("polled: %v, %v", r, err)
		}
		got := make(chan *flist.Received)
		go func() {
			for n := 0; ; n++ {
				r, err := lists.Next(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				if got <- r; r == nil {
					return
				}
			}
		}()
		for n := 1; n <= 3; n++ {
			synctest.Wait()
			r := listAt(n, int32(10*n), 4)
			lists.Add(r)
			if <-got != r {
				t.Fatalf("list %d is another", n)
			}
		}
		synctest.Wait()
		lists.End(nil)
		if r := <-got; r != nil {
			t.Errorf("list %d after the end", r.Number)
		}
	})
}

func TestAFailureComesAfterTheLists(t *testing.T) {
	lists := flist.NewLists()
	lists.Add(listAt(1, 1, 1))
	broken := errors.New("broken")
	lists.End(broken)
	lists.End(nil)
	if r, err := lists.Next(t.Context(), 0); err != nil || r == nil {
		t.Errorf("the first: %v", err)
	}
	if _, err := lists.Next(t.Context(), 1); !errors.Is(err, broken) {
		t.Errorf("the second: %v", err)
	}
	if r, more, err := lists.Poll(1); r != nil || more != nil || !errors.Is(err, broken) {
		t.Errorf("polled: %v, %v", r, err)
	}
	if err := lists.Ready(t.Context(), 1000); err != nil {
		t.Error(err)
	}
}

func TestWaitingForListsEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lists := flist.NewLists()
	if _, err := lists.Next(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := lists.Ready(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadyWaitsForEnoughEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists := flist.NewLists()
		ready := make(chan error, 1)
		go func() { ready <- lists.Ready(t.Context(), 5) }()
		for i, done := range []bool{false, true} {
			lists.Add(listAt(i+1, int32(10*i), 3))
			synctest.Wait()
			if (len(ready) == 1) != done {
				t.Errorf("after %d lists: %v", i+1, !done)
			}
		}
	})
}

func TestIndexesAreFoundInListsThatAreThere(t *testing.T) {
	lists := flist.NewLists()
	lists.Add(listAt(1, 1, 3)) // 1 to 3
	lists.Add(listAt(2, 5, 2)) // 5 and 6, directory 4
	lists.Add(listAt(3, 8, 0)) // directory 7
	lists.Add(listAt(4, 9, 2)) // 9 and 10, directory 8
	for index, want := range map[int32]string{
		-1: "", 0: "", 1: "1.0", 2: "1.1", 3: "", 4: "dir2", 5: "2.0", 6: "", 7: "dir3", 8: "dir4", 9: "4.0", 10: "", 11: "", 1 << 30: "",
	} {
		f, err := lists.Find(index)
		if want == "" {
			if !errors.Is(err, flist.ErrIndex) || !errors.Is(err, flist.ErrProtocol) {
				t.Errorf("%d: %v", index, err)
			}
			continue
		}
		if err != nil || string(f.Path) != want {
			t.Errorf("%d: %v, %v", index, f, err)
		}
	}
	if lists.Known() != 7 || lists.Len() != 4 || lists.Complete() || lists.Oldest().Number != 1 || lists.Of(7).Number != 3 {
		t.Errorf("%d entries in %d lists, the oldest is %d", lists.Known(), lists.Len(), lists.Oldest().Number)
	}
	lists.Release()
	lists.Release()
	if _, err := lists.Find(1); !errors.Is(err, flist.ErrIndex) {
		t.Errorf("of a released list: %v", err)
	}
	if _, err := lists.Next(t.Context(), 1); !errors.Is(err, flist.ErrIndex) {
		t.Errorf("a released list: %v", err)
	}
	if f, err := lists.Find(9); err != nil || f.Path != "4.0" || lists.Oldest().Number != 3 || lists.Known() != 7 || lists.Len() != 4 {
		t.Errorf("after releases: %v, %v", f, err)
	}
	lists.End(nil)
	lists.Release()
	lists.Release()
	lists.Release()
	if !lists.Complete() || lists.Oldest() != nil || lists.Of(9) != nil {
		t.Error("released lists are still there")
	}
}

func TestMembersAreKnownAheadOfTheirList(t *testing.T) {
	lists := flist.NewLists()
	group := new(flist.LinkGroup)
	for n := range 3 {
		r := listAt(n+1, int32(10*n+1), 3)
		r.Files[1].Own().Group, r.Files[2].Own().Group = group, group
		lists.Add(r)
	}
	if len(group.Members) != 0 {
		t.Error("members before the first list was taken")
	}
	names := func() (names []string) {
		for _, f := range group.Members {
			names = append(names, string(f.Path))
		}
		return names
	}
	for n := range 3 {
		_, err := lists.Next(t.Context(), n)
		must(t, err)
		if got := names(); !slices.Equal(got, []string{"1.1", "2.1", "3.1"}) {
			t.Errorf("members are %q", got)
		}
	}
}

// TestBothSidesUseListsAtOnce is for the race detector.
func TestBothSidesUseListsAtOnce(t *testing.T) {
	lists := flist.NewLists()
	group := new(flist.LinkGroup)
	var wait sync.WaitGroup
	const n = 200
	wait.Go(func() {
		for i := range n {
			r := listAt(i+1, int32(10*i+1), 3)
			r.Files[0].Own().Group = group
			lists.Add(r)
			lists.Find(int32(10*i + 1))
		}
		lists.End(nil)
	})
	members := 0
	for i := 0; ; i++ {
		r, err := lists.Next(t.Context(), i)
		must(t, err)
		if r == nil {
			break
		}
		members = len(group.Members)
		lists.Release()
	}
	wait.Wait()
	if members != n {
		t.Errorf("%d members", members)
	}
}

// TestAnEntryHereCostsFewHundredBytes decodes a large list.
func TestAnEntryHereCostsFewHundredBytes(t *testing.T) {
	const n = 20_000
	o := archive(32, wire.VarintFlistFlags)
	data := sent(t, o, manyEntries(n)...)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list := decoded(t, data, o, flist.Receive{})
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / float64(len(list.Files))
	if per > 350 {
		t.Errorf("%d entries take %.0f bytes each", len(list.Files), per)
	}
	runtime.KeepAlive(list)
}

// manyEntries are n files, a thousand to a directory.
func manyEntries(n int) []flist.Entry {
	entries := []flist.Entry{named("."), named("some/"), named("some/where/")}
	for i := range n {
		dir := fmt.Sprintf("some/where/directory-%05d", i/1000)
		if i%1000 == 0 {
			entries = append(entries, named(dir+"/"))
		}
		entries = append(entries, named(fmt.Sprintf("%s/file-%07d.dat", dir, i)))
	}
	return entries
}

func BenchmarkDecode(b *testing.B) {
	const n = 100_000
	o := archive(32, wire.VarintFlistFlags)
	data := sent(b, o, manyEntries(n)...)
	b.ReportAllocs()
	for b.Loop() {
		decoded(b, data, o, flist.Receive{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
