package sender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/sender"
)

var protocols = []int{27, 28, 29, 30, 31, 32}

// variant is a protocol, with one list or with incremental ones.
type variant struct {
	protocol    int
	incremental bool
}

var (
	allVariants = []variant{{27, false}, {28, false}, {29, false}, {30, false}, {31, false}, {32, false}, {30, true}, {31, true}, {32, true}}
	fewVariants = []variant{{27, false}, {29, false}, {32, false}, {32, true}}
	newVariants = []variant{{30, false}, {30, true}, {32, false}, {32, true}} // with ACLs and xattrs
)

func eachVariant(t *testing.T, variants []variant, f func(t *testing.T, o peerOptions)) {
	for _, v := range variants {
		name := fmt.Sprint("protocol ", v.protocol)
		if v.incremental {
			name += " incremental"
		}
		t.Run(name, func(t *testing.T) { f(t, peerOptions{protocol: v.protocol, incremental: v.incremental}) })
	}
}

func TestWholeTreeArrivesAndIsKeptUpToDate(t *testing.T) {
	eachVariant(t, allVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		src.garden()
		dest := tempDir(t)
		o.letters = "logDtpr"
		p := startPeer(t, dest, o)
		res := p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{})
		if res.Files < 100 || res.Transferred != 50 || res.Matched != 0 || len(res.Missing) != 0 {
			t.Errorf("result %+v", res)
		}

		big := random(1, 700_000)
		copy(big[300_000:], "a change in the middle")
		src.file("big", append(big[:10], big[5:]...))
		src.remove("dir/sub")
		src.remove("link")
		src.remove("dir.c")
		src.file("dir.c", []byte("a file now"))
		o.args = []string{"--delete"}
		p = startPeer(t, dest, o)
		res = p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{})
		if res.Transferred != 2 || res.Matched < 690_000 || res.Literal > 10_000 {
			t.Errorf("result %+v", res)
		}
		if o.protocol >= 31 && (res.DelStats != sender.DelStats{Files: 3, Dirs: 3, Symlinks: 1} || res.Deleted != 7) {
			t.Errorf("deletion statistics %+v", res.DelStats)
		}
	})
}

func TestDryRunMovesNothing(t *testing.T) {
	eachVariant(t, fewVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		src.file("d/f", []byte("data"))
		dest := tempDir(t)
		o.letters = "nlogDtpr"
		p := startPeer(t, dest, o)
		if res := p.send(sender.Job{Root: src.open(), Whole: true}); res.Literal != 0 {
			t.Errorf("result %+v", res)
		}
		p.exits(0)
		if n, err := harness.Count(dest); n != 0 || err != nil {
			t.Errorf("%d entries at the target, %v", n, err)
		}
	})
}

// TestWideAndDeepTree makes the lists of an incremental session run into their
// pacing.
func TestWideAndDeepTree(t *testing.T) {
	eachVariant(t, []variant{{32, true}, {32, false}}, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		for i := range 11_000 { // more than are sent ahead
			dir := src.path(fmt.Sprintf("full/%d", i%150))
			if i < 150 {
				check(t, os.MkdirAll(dir, 0o755))
			}
			check(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o644))
		}
		deep := ""
		for i := range 150 {
			deep += fmt.Sprintf("d%d/", i)
		}
		check(t, os.MkdirAll(src.path(deep), 0o755))
		for i := range 1200 {
			dir := src.path(fmt.Sprintf("wide%d/%d", i%7, i))
			check(t, os.MkdirAll(dir, 0o755))
			for j := range i % 4 {
				check(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(j)), []byte(dir), 0o644))
			}
		}
		dest := tempDir(t)
		o.letters = "rlptD"
		p := startPeer(t, dest, o)
		res := p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{AnyOwner: true, AnyTime: true})
		if res.Transferred != 12800 || res.Files != 1+150+7+1200+1800+11_000+151 {
			t.Errorf("result %+v", res)
		}
		p = startPeer(t, dest, o)
		if res = p.send(sender.Job{Root: src.open(), Whole: true}); res.Transferred != 0 {
			t.Errorf("second run: %+v", res)
		}
		p.exits(0)
	})
}
