package mirror_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
)

func file(serial int) tree.Meta {
	return tree.Meta{Kind: tree.File, Perm: 0o644, Nlink: 1, Ino: uint64(serial), Size: int64(serial)}
}

var directory = tree.Meta{Kind: tree.Dir, Perm: 0o755, Nlink: 2}

func TestIndexAgreesWithAPlainMapWhateverIsDone(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		x, model := mirror.NewIndex(), map[tree.Path]tree.Meta{}
		drop := func(p tree.Path) {
			for q := range model {
				if q.Within(p) {
					delete(model, q)
				}
			}
		}
		var parents func(p tree.Path)
		parents = func(p tree.Path) {
			if q := p.Parent(); !q.IsRoot() {
				parents(q)
				if !model[q].IsDir() {
					drop(q)
					model[q] = directory
				}
			}
		}
		put := func(p tree.Path, m tree.Meta) {
			parents(p)
			if model[p].IsDir() != m.IsDir() {
				drop(p)
			}
			model[p] = m
			x.Put(p, m)
		}
		name := func() tree.Path {
			p := tree.Root
			for range 1 + r.IntN(3) {
				p = p.Join(fmt.Sprint("n", r.IntN(6)))
			}
			return p
		}
		for i := range 400 {
			switch p := name(); r.IntN(6) {
			case 0, 1, 2:
				put(p, file(i))
			case 3:
				put(p, directory)
			case 4:
				drop(p)
				x.Remove(p)
			case 5:
				to := name()
				if _, ok := model[p]; !ok || to.Within(p) || p.Within(to) {
					continue
				}
				drop(to)
				parents(to)
				x.Rename(p, to)
				for q, m := range model {
					if q.Within(p) {
						delete(model, q)
						model[q.Rebase(p, to)] = m
					}
				}
			}
		}
		files, dirs := 0, 0
		for p, m := range model {
			if m.IsDir() {
				dirs++
			} else {
				files++
			}
			if known, dir := x.Has(p); !known || dir != m.IsDir() {
				t.Fatalf("seed %d: %s: known %v, dir %v, want dir %v", seed, p, known, dir, m.IsDir())
			}
		}
		if f, d := x.Counts(); f != files || d != dirs {
			t.Fatalf("seed %d: index counts %d files and %d dirs, there are %d and %d", seed, f, d, files, dirs)
		}
	}
}

func TestDiffersNamesWhatAScanSeesDifferently(t *testing.T) {
	x := mirror.NewIndex()
	before := []tree.Entry{{Name: "changed", Meta: file(1)}, {Name: "dir", Meta: directory}, {Name: "gone", Meta: file(2)}, {Name: "same", Meta: file(3)}}
	x.Fill("d", directory, before)
	after := []tree.Entry{{Name: "changed", Meta: file(9)}, {Name: "dir", Meta: file(4)}, {Name: "new", Meta: file(5)}, {Name: "same", Meta: file(3)}}
	got := x.Differs("d", after)
	slices.Sort(got)
	if want := []string{"changed", "dir", "gone", "new"}; !slices.Equal(got, want) {
		t.Fatalf("differs: %v, want %v", got, want)
	}
	if got := x.Differs("d", before); len(got) != 0 {
		t.Fatalf("without a difference: %v", got)
	}
}

func TestAllNamesOfAFileAreKnown(t *testing.T) {
	x := mirror.NewIndex()
	linked := file(7)
	linked.Nlink = 3
	for _, p := range []tree.Path{"a/one", "b/two", "three"} {
		x.Put(p, linked)
	}
	if got := x.Siblings("a/one", linked); !slices.Equal(got, []tree.Path{"b/two", "three"}) {
		t.Fatalf("siblings %v", got)
	}
	x.Rename("b", "c")
	x.Remove("three")
	if got := x.Siblings("a/one", linked); !slices.Equal(got, []tree.Path{"c/two"}) {
		t.Fatalf("siblings after a rename and a removal: %v", got)
	}
}

func TestANameNotedWhenItWasTheOnlyOneIsFoundLater(t *testing.T) {
	x := mirror.NewIndex()
	x.Put("a/d/only", file(7))
	x.Put("a/d/other", file(8))
	x.Rename("a", "b")
	linked := file(7)
	linked.Nlink = 2
	x.Put("new", linked)
	if got := x.Siblings("new", linked); !slices.Equal(got, []tree.Path{"b/d/only"}) {
		t.Fatalf("siblings %v", got)
	}
	another := file(9)
	x.Put("b/e/another", another)
	another.Nlink = 2
	x.Put("c/another", another)
	if got := x.Siblings("c/another", another); !slices.Equal(got, []tree.Path{"b/e/another"}) {
		t.Fatalf("siblings of the second file %v", got)
	}
	second := file(8)
	second.Nlink = 2
	x.Remove("b/d")
	x.Put("second", second)
	if got := x.Siblings("second", second); len(got) != 0 {
		t.Fatalf("siblings %v although the other name is gone", got)
	}
}

func TestAMillionFilesCostLessThanFiftyBytesEach(t *testing.T) {
	if testing.Short() {
		t.Skip("fills memory")
	}
	x := mirror.NewIndex()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for d := range 1000 {
		entries := make([]tree.Entry, 1000)
		for i := range entries {
			entries[i] = tree.Entry{Name: fmt.Sprintf("file-%05d.html", i), Meta: file(d*1000 + i)}
		}
		x.Fill(tree.Path(fmt.Sprintf("dir%04d", d)), directory, entries)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := float64(after.HeapAlloc-before.HeapAlloc) / 1e6; per > 50 {
		t.Errorf("%.1f bytes for each file", per)
	}
	if f, _ := x.Counts(); f != 1_000_000 {
		t.Errorf("%d files", f)
	}
}

// Whoever has a file open by a name that is gone may still write to it: the
// names that are left must be found, also when they were renamed, and when the
// last one has become the only one.
func TestARemovedNameLeadsToTheOthers(t *testing.T) {
	x := mirror.NewIndex()
	m := file(7)
	m.Nlink = 3
	for _, p := range []tree.Path{"a", "d/b", "e/c"} {
		x.Put(p, m)
	}
	x.Remove("a")
	if got := x.Haunted("a"); !slices.Equal(got, []tree.Path{"d/b", "e/c"}) {
		t.Errorf("the names left are %q", got)
	}
	x.Remove("d/b")
	x.Rename("d", "f")
	m.Nlink = 1
	x.Put("e/c", m)
	x.Rename("e", "g")
	for _, p := range []tree.Path{"a", "f/b"} {
		if got := x.Haunted(p); !slices.Equal(got, []tree.Path{"g/c"}) {
			t.Errorf("%s leads to %q", p, got)
		}
	}
	x.Put("a", file(8))
	x.Remove("a")
	if got := x.Haunted("a"); len(got) > 0 {
		t.Errorf("the name of another file leads to %q", got)
	}
}

// An inode number is used again as soon as a file is gone, and the name that it
// had may still be known.
func TestANameIsFoundAlthoughItsInodeStandsElsewhereToo(t *testing.T) {
	const ino = 5
	two := func(serial int) tree.Meta {
		m := file(serial)
		m.Nlink = 2
		return m
	}
	for _, c := range []struct{ early, removed bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		x := mirror.NewIndex()
		x.Put("other/one", file(9))
		if c.early { // the places of all files are kept from here on
			x.Put("other/two", two(9))
		}
		stale := func(i int) tree.Path { return tree.Path(fmt.Sprintf("gone%d", i)) }
		for i := range 20 {
			if i == 10 {
				x.Put("dir/name", file(ino))
			}
			x.Put(stale(i).Join("name"), file(ino))
		}
		for i := range 20 {
			if c.removed {
				x.Remove(stale(i))
			}
		}
		x.Put("dir/second", two(ino))
		got := x.Siblings("dir/second", two(ino))
		if !slices.Contains(got, "dir/name") || c.removed && len(got) != 1 {
			t.Errorf("%+v: the other names are %q", c, got)
		}
	}
}
