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
)

// The files of a large directory are removed by several goroutines; what is told
// of them comes in the order of rsync, and what the filters keep stays.
func TestFilesThatAreRemovedTogetherAreToldInOrder(t *testing.T) {
	const files = 300
	g := newTarget(t, nil)
	var want []string
	for i := files - 1; i >= 0; i-- {
		name := fmt.Sprintf("d/f%03d", i)
		g.write(name, "x")
		if i%100 != 50 {
			want = append(want, "*deleting   "+name)
		}
	}
	g.write("d/sub/f", "x")
	want = slices.Insert(want, 0, "*deleting   d/sub/f", "*deleting   d/sub/")
	want = append(want, "cannot delete non-empty directory: d")
	have, err := g.d.StatPath("d")
	must(t, err)
	keep := func(p tree.Path, _ bool) bool { return p == "d/f050" || p == "d/f150" || p == "d/f250" }
	if err := g.d.Delete("d", have.Meta, dest.Removal{Keep: keep}); !errors.Is(err, dest.ErrNotEmpty) {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(g.talk.lines, want) {
		t.Errorf("told %q\nwant %q", g.talk.lines, want)
	}
	if counts := g.d.DeleteCounts(); counts[0] != files-3+1 || counts[1] != 1 {
		t.Errorf("counted %v", counts)
	}
	left, err := os.ReadDir(filepath.Join(g.dir, "d"))
	must(t, err)
	if len(left) != 3 {
		t.Errorf("%d are left", len(left))
	}
}
