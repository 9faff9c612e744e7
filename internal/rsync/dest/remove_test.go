package dest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/option"
)

// Files go ahead of their turn; what is told of them comes in the order of rsync,
// and what the filters keep stays.
func TestFilesThatAreRemovedAheadAreToldInOrder(t *testing.T) {
	const dirs, files = 7, 300
	for _, format := range []string{"%n", "%B %n"} { // for %B all is looked at first
		t.Run(format, func(t *testing.T) {
			g := newTarget(t, func(o *option.Set) { o.OutFormat = format })
			kept := map[tree.Path]bool{"d/sub3/f050": true, "d/f050": true, "d/f150": true, "d/f250": true}
			var want []string
			plant := func(dir string) {
				for i := files - 1; i >= 0; i-- {
					name := fmt.Sprintf("%s/f%03d", dir, i)
					g.write(name, "x")
					if !kept[tree.Path(name)] {
						want = append(want, "*deleting   "+name)
					}
				}
			}
			for i := dirs - 1; i >= 0; i-- {
				dir := fmt.Sprintf("d/sub%d", i)
				plant(dir)
				if i == 3 {
					stays := "cannot delete non-empty directory: " + dir
					want = append(want, stays, stays)
				} else {
					want = append(want, "*deleting   "+dir+"/")
				}
			}
			plant("d")
			want = append(want, "cannot delete non-empty directory: d")
			have, err := g.d.StatPath("d")
			must(t, err)
			keep := func(p tree.Path, _ bool) bool { return kept[p] }
			if err := g.d.Delete("d", have.Meta, dest.Removal{Keep: keep}); !errors.Is(err, dest.ErrNotEmpty) {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(g.talk.lines, want) {
				t.Errorf("told %q\nwant %q", g.talk.lines, want)
			}
			if counts := g.d.DeleteCounts(); counts[0] != int32((dirs+1)*files-len(kept)) || counts[1] != dirs-1 {
				t.Errorf("counted %v", counts)
			}
			left, err := filepath.Glob(filepath.Join(g.dir, "d", "*"))
			must(t, err)
			if len(left) != len(kept) { // a directory stands for one of them
				t.Errorf("%q are left", left)
			}
		})
	}
}

// Extraneous items may lie anywhere and be gone.
func TestDeleteExtraTellsHowManyAreGone(t *testing.T) {
	g := newTarget(t, nil)
	for _, name := range []string{"a", "k/b", "k/sub/f", "k/stays/f"} {
		g.write(name, "x")
	}
	must(t, os.Symlink("a", filepath.Join(g.dir, "l")))
	gone, err := g.d.DeleteExtra([]dest.Extra{
		{Path: "l", Kind: tree.Symlink}, {Path: "k/sub", Kind: tree.Dir}, {Path: "k/stays", Kind: tree.Dir},
		{Path: "k/b"}, {Path: "k/none"}, {Path: "a", Kind: tree.File},
	}, func(p tree.Path, _ bool) bool { return p == "k/stays/f" })
	if err != nil || gone != 4 {
		t.Errorf("%d are gone, error %v", gone, err)
	}
	want := []string{"*deleting   l", "*deleting   k/sub/f", "*deleting   k/sub/", "cannot delete non-empty directory: k/stays", "*deleting   k/b", "*deleting   a"}
	if !slices.Equal(g.talk.lines, want) {
		t.Errorf("told %q\nwant %q", g.talk.lines, want)
	}
	if counts := g.d.DeleteCounts(); counts != [5]int32{3, 1, 1, 0, 0} {
		t.Errorf("counted %v", counts)
	}
}
