package generator_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/rsync/generator"
)

func TestAlternateDirectories(t *testing.T) {
	for _, row := range []struct {
		name     string
		dst, alt []string
		words    string
		want     []string
		tree     []string
	}{
		{
			name: "--compare-dest leaves out what is there",
			alt:  []string{"a x"}, words: "-a --compare-dest=../alt",
		},
		{
			name: "and removes what hides it",
			alt:  []string{"a x"}, dst: []string{"a yy"}, words: "-a --compare-dest=../alt",
		},
		{
			name: "--link-dest links it",
			alt:  []string{"a x"}, words: "-a --link-dest=../alt",
			tree: []string{"a x"},
		},
		{
			name: "which shows at -ii",
			alt:  []string{"a x"}, words: "-aii --link-dest=../alt",
			want: []string{"0000 .d          .", `5000 hf          a xname ""`}, tree: []string{"a x"},
		},
		{
			name: "--copy-dest copies it",
			alt:  []string{"a x"}, words: "-aii --copy-dest=../alt",
			want: []string{"0000 .d          .", "4000 cf          a"}, tree: []string{"a x"},
		},
		{
			name: "what differs is the basis",
			alt:  []string{"a yyy"}, words: "-a --link-dest=../alt",
			want: []string{"8804 >f.s....... a basis 0x0 sums 1*700/3 s2 2"}, tree: []string{"a x"},
		},
		{
			name: "but not with --append, which needs a file in its place",
			alt:  []string{"a yyy"}, words: "-a --append --link-dest=../alt",
			want: []string{"a000 >f+++++++++ a"}, tree: []string{"a x"},
		},
		{
			name: "of several the best counts",
			alt:  []string{"a x"}, words: "-a --link-dest=../none --link-dest=../other --link-dest=../alt",
			tree: []string{"a x"},
		},
	} {
		for _, v := range []string{"30", "31i"} {
			t.Run(row.name+"/"+v, func(t *testing.T) {
				r := variantRig(t, v, row.words)
				base := filepath.Dir(r.dst)
				for _, dir := range []string{"alt", "other"} {
					check(t, os.Mkdir(filepath.Join(base, dir), 0o755))
				}
				plant(t, r.src, "a x")
				plant(t, filepath.Join(base, "alt"), row.alt...)
				plant(t, filepath.Join(base, "other"), "a zz")
				plant(t, r.dst, row.dst...)
				settle(t, r.dst)
				r.run()
				equal(t, "items", items(r.log), row.want...)
				equal(t, "tree", shape(t, r.dst), row.tree...)
			})
		}
	}
}

// TestFuzzyDistances compares with what rsync 3.5.0 prints with --debug=fuzzy2,
// where a distance below the best so far is exact.
func TestFuzzyDistances(t *testing.T) {
	for _, row := range []struct {
		name, candidate string
		units, rest     int
	}{
		{"report-2024.tar.gz", ".hidden.gz", 15, 187},
		{"report-2024.tar.gz", "a.gz", 14, 114},
		{"report-2024.tar.gz", "rep.tar", 41, 2037},
		{"report-2024.tar.gz", "report-2022.tar.gz.bak", 5, 350},
		{"report-2024.tar.gz", "report-2023.tar.gz", 1, 1},
		{"report-2024.tar.gz", "report-2024.tar.1", 32, 1356},
		{"report-2024.tar.gz", "report-2024.tar.gz~", 1, 126},
		{"README", "READ", 2, 146},
		{"README", "README.1", 22, 1045},
		{"README", "README~", 1, 126},
		{"README", "REDME", 1, 65},
		{"-1.orig.7", "m.tar", 48, 1613},
		{"a.7.8", "m.tar", 34, 2902},
		{"a.c.~1~", "m.tar", 36, 2360},
		{"a.c.~12~", "m.tar", 37, 1348},
		{"a.c.orig~", "m.tar", 47, 1743},
		{"a.c.7.bak", "m.tar", 37, 2359},
		{"a.bak.bak", "m.tar", 27, 277},
		{".bak", "m.tar", 43, 3755},
		{"a.", "m.tar", 34, 3338},
	} {
		if got, want := generator.FuzzyDistance(row.name, row.candidate), row.units<<16+row.rest; got != want {
			t.Errorf("%s, %s: %d.%05d, want %d.%05d", row.name, row.candidate, got>>16, got&0xffff, row.units, row.rest)
		}
	}
}

func TestFuzzyPicksTheNearest(t *testing.T) {
	for _, row := range []struct {
		name  string
		dst   []string
		alt   []string
		words string
		want  string // basis and name
	}{
		{"the nearest name", []string{"file-12.c yy", "file-99.c yy", "x.c yy"}, nil, "-y", `basis 0x83 xname "file-12.c"`},
		{"the same size and time before any name", []string{"file-12.c yy", "zzzzzzzzzz xxx"}, nil, "-y", `basis 0x83 xname "zzzzzzzzzz"`},
		{"no empty file", []string{"file-12.c "}, nil, "-y", ""},
		{"nothing too far", []string{"abcdefghijklmnopqrstuvwxyz0123456789 yy"}, nil, "-y", ""},
		{"no name that is listed as something else", []string{"file-12.c yy", "file-13.d yy"}, nil, "-y", `basis 0x83 xname "file-13.d"`},
		{"none to append to", []string{"file-12.c yy"}, nil, "-y --append", ""},
		{"not elsewhere with one -y", nil, []string{"file-12.c yy"}, "-y --compare-dest=../alt", ""},
		{"in alternate directories with two", nil, []string{"file-12.c yy"}, "-yy --compare-dest=../alt", `basis 0x84 xname "file-12.c"`},
	} {
		for _, v := range []string{"29", "31i"} {
			t.Run(row.name+"/"+v, func(t *testing.T) {
				r := variantRig(t, v, "-rt --no-W "+row.words)
				alt := filepath.Join(filepath.Dir(r.dst), "alt")
				check(t, os.Mkdir(alt, 0o755))
				plant(t, r.src, "file-13.c xxx")
				if strings.HasPrefix(row.name, "no name") {
					plant(t, r.src, "file-12.c/")
				}
				plant(t, r.dst, row.dst...)
				plant(t, alt, row.alt...)
				r.run()
				i := slices.IndexFunc(r.log, func(l string) bool { return strings.Contains(l, " file-13.c") })
				rest := strings.TrimPrefix(r.log[i][16:], " file-13.c")
				rest, _, _ = strings.Cut(strings.TrimSpace(rest), " sums")
				if rest != row.want {
					t.Errorf("got %q, want %q", r.log[i], row.want)
				}
			})
		}
	}
}
