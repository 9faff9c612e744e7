package flist_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// listOf sends names, those with a trailing slash as directories, in that
// order, and returns them as they are numbered.
func listOf(t testing.TB, protocol int, names []string) []string {
	t.Helper()
	enc, err := flist.NewEncoder(wire.NewWriter(new(bytes.Buffer)), flist.Options{Protocol: protocol}, nil)
	if err != nil {
		t.Fatal(err)
	}
	enc.Begin()
	for _, name := range names {
		kind := tree.File
		if name == "." {
			kind, name = tree.Dir, ""
		} else if trimmed, ok := strings.CutSuffix(name, "/"); ok {
			kind, name = tree.Dir, trimmed
		}
		p := tree.Path(name)
		if err := enc.Add(&flist.Entry{Dir: p.Parent(), Name: p.Base(), Meta: tree.Meta{Kind: kind}}); err != nil {
			t.Fatal(err)
		}
	}
	list := enc.End(0)
	var got []string
	for i := range int32(list.Len()) {
		name := string(list.Path(i))
		if name == "" {
			name = "."
		}
		got = append(got, name)
	}
	return got
}

func TestNumberingMatchesTheObservedOrder(t *testing.T) {
	names := strings.Fields(". a/ a-b/ a.d/ A/ z/ .hd/ b a.txt ZZ .h a/f a-b/f a.d/f z/q")
	for _, c := range []struct {
		protocol int
		want     string
	}{
		{28, ". .h .hd A ZZ a a-b a-b/f a.d a.d/f a.txt a/f b z z/q"},
		{29, ". .h ZZ a.txt b .hd A a-b a-b/f a.d a.d/f a a/f z z/q"},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			if got := strings.Join(listOf(t, c.protocol, names), " "); got != c.want {
				t.Fatalf("protocol %d: %s\nwant %s", c.protocol, got, c.want)
			}
		}
	}
}

func TestDuplicatesKeepTheirSlots(t *testing.T) {
	got := listOf(t, 32, []string{"d/", "x", "d/", ".", "c", "."})
	if want := []string{".", ".", "c", "x", "d", "d"}; !slices.Equal(got, want) {
		t.Errorf("order is %q", got)
	}
}

// TestSiblingOrderIsTheListOrder sends a random tree directory by directory,
// in the order of CompareSiblings: nothing may be left to sort.
func TestSiblingOrderIsTheListOrder(t *testing.T) {
	const letters = "ab-./0~\xff"
	r := rand.New(rand.NewPCG(3, 4))
	var sent []string
	var grow func(dir string, depth int)
	grow = func(dir string, depth int) {
		kids := map[string]bool{}
		for range 1 + r.IntN(6) {
			var name []byte
			for range 1 + r.IntN(3) {
				name = append(name, letters[r.IntN(len(letters))])
			}
			if s := strings.ReplaceAll(string(name), "/", "x"); strings.Trim(s, ".") != "" {
				kids[s] = r.IntN(2) == 0 && depth > 0
			}
		}
		names := make([]string, 0, len(kids))
		for name := range kids {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { return flist.CompareSiblings(32, a, kids[a], b, kids[b]) })
		for _, name := range names {
			if !kids[name] {
				sent = append(sent, dir+name)
				continue
			}
			sent = append(sent, dir+name+"/")
			grow(dir+name+"/", depth-1)
		}
	}
	for range 50 {
		sent = []string{"."}
		grow("", 4)
		want := slices.Clone(sent)
		for i := range want {
			want[i] = strings.TrimSuffix(want[i], "/")
		}
		if got := listOf(t, 32, sent); !slices.Equal(got, want) {
			t.Fatalf("sent %q\nnumbered %q", want, got)
		}
		r.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		if got := listOf(t, 32, sent); !slices.Equal(got, want) {
			t.Fatalf("shuffled %q\nnumbered %q\nwant %q", sent, got, want)
		}
	}
}
