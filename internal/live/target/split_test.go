package target_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/target"
)

// grow makes files in each of the directories, which are below root.
func grow(t *testing.T, root string, files int, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range files {
			if err := os.WriteFile(filepath.Join(root, d, fmt.Sprint("f", i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Every path must belong to exactly one part, at both ends: the part that does
// not hide it sends it, and the one that does not protect it deletes it.
func TestEveryPathBelongsToOnePartOfAPass(t *testing.T) {
	for name, dirs := range map[string][]string{
		"many directories":           {"s00", "s01", "s10", "s11", "s2", "s", "t-x", "s3/deep"},
		"one directory above others": {"only/a1", "only/a2/x", "only/b", "only/c c", "only/d*", "only/e", "only/f"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			grow(t, dir, 900, dirs...)
			grow(t, dir, 3, "")
			root, err := walk.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			scopes := target.Split(t.Context(), root)
			if len(scopes) < 3 {
				t.Fatalf("%d parts of a tree with %d directories", len(scopes), len(dirs))
			}
			paths := []tree.Path{"f0", "new", "s9", "s9/x", "only/zz", "only/zz/y", "only/new", "s00/gone/deep"}
			for _, d := range dirs {
				paths = append(paths, tree.Path(d).Join("f1"), tree.Path(d))
			}
			for _, p := range paths {
				isDir := p.Base()[0] != 'f' && p.Base() != "new"
				var senders, deleters int
				for _, s := range scopes {
					if !s.Hidden(p, isDir) {
						senders++
					}
					if !s.Protected(p, isDir) {
						deleters++
					}
				}
				// The way down to where the tree forks is in every part.
				if p == "only" {
					continue
				}
				if senders != 1 || deleters != 1 {
					t.Errorf("%s is sent by %d parts and deleted by %d", p, senders, deleters)
				}
			}
		})
	}
}

func TestASmallTreeIsOnePart(t *testing.T) {
	dir := t.TempDir()
	grow(t, dir, 10, "a", "b", "c")
	root, err := walk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if n := len(target.Split(t.Context(), root)); n != 1 {
		t.Errorf("%d parts", n)
	}
}

func TestNamesAreSharedOutByWhereTheyDiffer(t *testing.T) {
	for _, c := range []struct {
		names  []string
		prefix string
		parts  []string
	}{
		{[]string{"a", "b", "c"}, "", []string{"a", "b", "c"}},
		{[]string{"s1", "s10", "s2"}, "s", []string{"1", "2"}},
		{[]string{"s", "s1"}, "s", []string{"1"}},
		{[]string{"one"}, "", nil},
		{nil, "", nil},
	} {
		prefix, parts := target.Share(c.names)
		if prefix != c.prefix || !slices.Equal(parts, c.parts) {
			t.Errorf("%q: prefix %q, parts %q; want %q, %q", c.names, prefix, parts, c.prefix, c.parts)
		}
	}
}
