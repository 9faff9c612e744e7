package generator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/rsync/dest"
)

func TestHardLinks(t *testing.T) {
	for _, row := range []struct {
		name     string
		src, dst []string
		words    string
		want     []string
		linked   bool // all names but those that begin with z are one file
	}{
		{
			name: "of a new set the last name is transferred",
			src:  []string{"a x", "b = a", "c = a"}, words: "-aH",
			want: []string{"a000 >f+++++++++ c", `7000 hf+++++++++ b xname "c"`, `7000 hf+++++++++ a xname "c"`}, linked: true,
		},
		{
			name: "where the place of the last one is taken the one before it is transferred",
			src:  []string{"a x", "b = a", "z = a"}, dst: []string{"z/q y"}, words: "-aH",
			want: []string{"a000 >f+++++++++ b", `7000 hf+++++++++ a xname "b"`},
		},
		{
			name: "one that is up to date leads",
			src:  []string{"a x", "b = a", "c = a"}, dst: []string{"b x"}, words: "-aH",
			want: []string{`7000 hf+++++++++ a xname "b"`, `7000 hf+++++++++ c xname "b"`}, linked: true,
		},
		{
			name: "one that differs is transferred, later names wait for it",
			src:  []string{"a xy", "b = a", "c = a"}, dst: []string{"b x"}, words: "-aH",
			want: []string{"8004 >f.s....... b sums 1*700/1 s2 2", `7000 hf+++++++++ c xname "b"`, `7000 hf+++++++++ a xname "b"`}, linked: true,
		},
		{
			name: "names that are linked already are passed over",
			src:  []string{"a x", "b = a"}, dst: []string{"a x", "b = a"}, words: "-aH",
			linked: true,
		},
		{
			name: "at -ii they have an empty name",
			src:  []string{"a x", "b = a"}, dst: []string{"a x", "b = a"}, words: "-aHii",
			want: []string{"0000 .d          .", "0000 .f          a", `5000 hf          b xname ""`}, linked: true,
		},
		{
			name: "equal files are linked",
			src:  []string{"a x", "b = a"}, dst: []string{"a x", "b x"}, words: "-aH",
			want: []string{`5000 hf          b xname "a"`}, linked: true,
		},
		{
			name: "a link over another kind is not new",
			src:  []string{"a x", "b = a"}, dst: []string{"a x", "b -> a"}, words: "-aH",
			want: []string{`5010 hf...p..... b xname "a"`}, linked: true,
		},
		{
			name: "symlinks are linked to the first",
			src:  []string{"l -> x"}, words: "-aH --info=name0",
			want: []string{"6002 cL+++++++++ l", `7000 hL+++++++++ m xname "l"`},
		},
		{
			name: "a name that is left out leaves the set",
			src:  []string{"a x", "b = a", "c = a"}, dst: []string{"c yy"}, words: "-aH --ignore-existing",
			want: []string{"a000 >f+++++++++ b", `7000 hf+++++++++ a xname "b"`},
		},
		{
			name: "with all left out nothing is made",
			src:  []string{"a xxx", "b = a"}, words: "-aH --max-size=2",
		},
		{
			name: "a dry run tells the same",
			src:  []string{"a x", "b = a", "c = a"}, dst: []string{"b y"}, words: "-aHn --size-only",
			want: []string{`7000 hf+++++++++ a xname "b"`, `7000 hf+++++++++ c xname "b"`},
		},
		{
			name: "names in other directories belong to the set",
			src:  []string{"d/a x", "e/b = d/a", "e/c = d/a", "z = d/a"}, words: "-aH -O",
			want: []string{"6000 cd+++++++++ d", "6000 cd+++++++++ e", "a000 >f+++++++++ e/c", `7000 hf+++++++++ e/b xname "e/c"`, `7000 hf+++++++++ d/a xname "e/c"`, `7000 hf+++++++++ z xname "e/c"`},
		},
		{
			name: "without -H every name is a file",
			src:  []string{"a x", "b = a"}, words: "-a",
			want: []string{"a000 >f+++++++++ a", "a000 >f+++++++++ b"},
		},
	} {
		for _, v := range []string{"29", "31", "30i", "32i"} {
			t.Run(row.name+"/"+v, func(t *testing.T) {
				r := variantRig(t, v, row.words)
				plant(t, r.src, row.src...)
				plant(t, r.dst, row.dst...)
				if strings.HasPrefix(row.src[0], "l -> ") {
					check(t, os.Link(filepath.Join(r.src, "l"), filepath.Join(r.src, "m")))
					settle(t, r.src)
				}
				settle(t, r.dst)
				r.run()
				got, want := items(r.log), slices.Clone(row.want)
				slices.Sort(got) // who waits depends on when the notes come
				slices.Sort(want)
				equal(t, "items", got, want...)
				if row.linked {
					equal(t, "names", shape(t, r.dst), shape(t, r.src)...)
				}
			})
		}
	}
}

func TestAnotherNameIsTriedForOneThatFails(t *testing.T) {
	for _, v := range []string{"30", "31", "31i"} {
		for _, kind := range []dest.NoteKind{dest.Failed, dest.NotSent} {
			r := variantRig(t, v, "-aH")
			plant(t, r.src, "a x", "b = a", "c = a", "d = a")
			r.fate = func(name string, _ int) dest.NoteKind {
				if name == "d" || name == "c" {
					return kind
				}
				return dest.Installed
			}
			r.run()
			equal(t, "tree", shape(t, r.dst), "a x", "b = a")
		}
	}
}

func TestHardLinksAndAlternateDirectories(t *testing.T) {
	for _, row := range []struct {
		name     string
		dst, alt []string
		words    string
		want     []string
	}{
		{
			name: "links that --link-dest finds are nothing new",
			alt:  []string{"a x", "b = a"}, words: "-aH --link-dest=../alt",
		},
		{
			name: "nor in a dry run",
			alt:  []string{"a x", "b = a"}, words: "-aHn --link-dest=../alt",
		},
		{
			name: "the leader would be the alternate's file",
			dst:  []string{"a x", "b = a"}, alt: []string{"a x"}, words: "-aHn --link-dest=../alt",
			want: []string{`5000 hf          b xname "a"`},
		},
		{
			name: "a name that waited is new whatever the alternates have",
			dst:  []string{"a xy"}, alt: []string{"b x"}, words: "-aH --copy-dest=../alt",
			want: []string{"8004 >f.s....... a sums 1*700/2 s2 2", `7000 hf+++++++++ b xname "a"`},
		},
		{
			name: "without times a link changes them",
			alt:  []string{"a x", "b x"}, words: "-rH --copy-dest=../alt",
			want: []string{"4008 cf..T...... a", `5008 hf..T...... b xname "a"`},
		},
	} {
		for _, v := range []string{"31", "31i"} {
			t.Run(row.name+"/"+v, func(t *testing.T) {
				r := variantRig(t, v, row.words)
				alt := filepath.Join(filepath.Dir(r.dst), "alt")
				check(t, os.Mkdir(alt, 0o755))
				plant(t, r.src, "a x", "b = a")
				plant(t, r.dst, row.dst...)
				plant(t, alt, row.alt...)
				settle(t, r.dst)
				r.run()
				equal(t, "items", items(r.log), row.want...)
				if !strings.HasPrefix(row.words, "-aHn") {
					equal(t, "tree", shape(t, r.dst), shape(t, r.src)...)
				}
			})
		}
	}
}

// TestALeaderMayHaveBeenFinishedInAnEarlierList links a name that becomes known
// when the list of its leader has been given up.
func TestALeaderMayHaveBeenFinishedInAnEarlierList(t *testing.T) {
	r := newRig(t, 31, "-rlH")
	r.inc = true
	plant(t, r.src, "a x", "d/b = a", "e/c = a")
	for i := range 500 { // less is waited for
		check(t, os.WriteFile(filepath.Join(r.src, fmt.Sprint("n", i)), nil, 0o644))
	}
	r.slow = func(i int) bool { return i < 2 || slices.Contains(r.log, "DONE") }
	r.run()
	got := slices.DeleteFunc(shape(t, r.dst), func(l string) bool { return l[0] == 'n' })
	equal(t, "names", got, "a x", "d/", "d/b = a", "e/", "e/c = a")
}
