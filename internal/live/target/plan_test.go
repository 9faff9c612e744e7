package target_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
)

// disk is a source in memory: a size for each file, -1 for directories.
type disk map[tree.Path]int64

func (d disk) lstat(p tree.Path) (tree.Meta, error) {
	size, ok := d[p]
	switch {
	case p.IsRoot():
		return tree.Meta{Kind: tree.Dir}, nil
	case !ok:
		return tree.Meta{}, fs.ErrNotExist
	case size < 0:
		return tree.Meta{Kind: tree.Dir}, nil
	}
	return tree.Meta{Kind: tree.File, Size: size, Nlink: 2}, nil
}

func item(p tree.Path, c change.Class) change.Item { return change.Item{Path: p, Class: c} }

func TestPlan(t *testing.T) {
	const big = 1 << 30
	for _, c := range []struct {
		name   string
		disk   disk
		batch  change.Batch
		legacy bool
		links  bool
		want   string
	}{
		{
			name:  "changes of every kind share one session",
			disk:  disk{"a": 5, "d": -1},
			batch: change.Batch{Items: []change.Item{item("a", change.Content), item("d", change.Attr), item("gone", change.Attr)}},
			want:  ".: content a d gone .",
		},
		{
			name:  "a large file whose content is the same is not compared by content",
			disk:  disk{"big": big, "small": 5},
			batch: change.Batch{Items: []change.Item{item("big", change.Attr), item("small", change.Content)}},
			want:  ".: content small .\n.: big .",
		},
		{
			name:  "an item below what is a file now is that file's business",
			disk:  disk{"f": 5},
			batch: change.Batch{Items: []change.Item{item("f/x/c", change.Attr)}},
			want:  "",
		},
		{
			name:  "an item below what is gone removes a name from the root",
			disk:  disk{},
			batch: change.Batch{Items: []change.Item{item("d/x/c", change.Attr)}},
			want:  ".: content d/x/c .",
		},
		{
			name: "a subtree that something is moved into is scanned after that",
			disk: disk{"d": -1, "d/f": big},
			batch: change.Batch{
				Renames: []change.Rename{{From: "f", To: "d/f"}},
				Items:   []change.Item{item("d", change.Tree), item("f", change.Attr), item("d/f", change.Attr)},
			},
			want: ".: content d .\n.: linked d/f<-f\n.: d/** f d/f .",
		},
		{
			name:  "a subtree is scanned",
			disk:  disk{"d": -1},
			batch: change.Batch{Items: []change.Item{item("d", change.Tree)}},
			want:  ".: d/** .",
		},
		{
			name: "a file renamed out of a subtree that is compared leaves no name behind",
			disk: disk{"d": -1, "f": big},
			batch: change.Batch{
				Renames: []change.Rename{{From: "d/f", To: "f"}},
				Items:   []change.Item{item("d", change.Tree), item("f", change.Attr)},
			},
			want: ".: d/** .\n.: linked f<-d/f .\n.: content d/f\n.: f .",
		},
		{
			name:  "a name that was gone is compared in full when it is a directory again",
			disk:  disk{"d": -1, "f": 5},
			batch: change.Batch{Items: []change.Item{{Path: "d", Class: change.Attr, Gone: true}, {Path: "f", Class: change.Content, Gone: true}}},
			want:  ".: content f .\n.: d/** .",
		},
		{
			name: "what is pending below a renamed directory waits for it",
			disk: disk{"new": -1, "new/sub": -1},
			batch: change.Batch{
				Renames: []change.Rename{{From: "old", To: "new", Dir: true}},
				Items:   []change.Item{item("new", change.Attr), item("new/sub", change.Tree), item("old", change.Attr)},
			},
			want: ".: content new .\nnew: whole link-dest=../old\n.: old/** .",
		},
		{
			name: "a renamed directory goes as links, then the old name is removed",
			disk: disk{"x": -1, "x/new": -1},
			batch: change.Batch{
				Renames: []change.Rename{{From: "old", To: "x/new", Dir: true}},
				Items:   []change.Item{item("old", change.Attr), item("x", change.Attr), item("x/new", change.Attr)},
			},
			want: ".: content x x/new .\nx/new: whole link-dest=../../old\n.: old/** .",
		},
		{
			name: "what was written in a renamed directory is compared after the links",
			disk: disk{"new": -1, "new/f": 100, "new/g": 100},
			batch: change.Batch{
				Renames: []change.Rename{{From: "old", To: "new", Dir: true}},
				Items:   []change.Item{item("new", change.Attr), item("new/f", change.Content), item("new/g", change.Attr), item("old", change.Attr)},
			},
			want: ".: content new new/g .\nnew: whole link-dest=../old\n.: content new/f\n.: old/** .",
		},
		{
			name: "a renamed large file is linked to its old name",
			disk: disk{"d": -1, "d/new": big},
			batch: change.Batch{
				Renames: []change.Rename{{From: "d/old", To: "d/new"}},
				Items:   []change.Item{item("d/new", change.Attr), item("d/old", change.Attr)},
			},
			want: ".: linked d/new<-d/old\n.: d/new d/old",
		},
		{
			name: "a large file moved to another directory is linked to its old name there",
			disk: disk{"a": -1, "b": -1, "b/f": big},
			batch: change.Batch{
				Renames: []change.Rename{{From: "a/f", To: "b/f"}},
				Items:   []change.Item{item("a/f", change.Attr), item("b/f", change.Attr)},
			},
			want: ".: linked b/f<-a/f\n.: a/f b/f",
		},
		{
			name: "a renamed small file is sent again",
			disk: disk{"new": 100},
			batch: change.Batch{
				Renames: []change.Rename{{From: "old", To: "new"}},
				Items:   []change.Item{item("new", change.Attr), item("old", change.Attr)},
			},
			want: ".: content new old .",
		},
		{
			name: "two renames in a row are one",
			disk: disk{"c": -1},
			batch: change.Batch{
				Renames: []change.Rename{{From: "a", To: "b", Dir: true}, {From: "b", To: "c", Dir: true}},
				Items:   []change.Item{item("a", change.Attr), item("b", change.Attr), item("c", change.Attr)},
			},
			want: ".: content b c .\nc: whole link-dest=../a\n.: a/** b/** .",
		},
		{
			name: "a directory made again under the old name is compared in full",
			disk: disk{"a": -1, "b": -1},
			batch: change.Batch{
				Renames: []change.Rename{{From: "a", To: "b", Dir: true}},
				Items:   []change.Item{item("a", change.Content), item("b", change.Attr)},
			},
			want: ".: content b .\nb: whole link-dest=../a\n.: a/** .",
		},
		{
			name: "every one of several renames has its session",
			disk: disk{"x": -1, "y": -1, "z": -1},
			batch: change.Batch{
				Renames: []change.Rename{{From: "a", To: "x", Dir: true}, {From: "b", To: "y", Dir: true}, {From: "c", To: "z", Dir: true}},
			},
			want: ".: content x y z .\nx: whole link-dest=../a\ny: whole link-dest=../b\nz: whole link-dest=../c\n.: a/** b/** c/** .",
		},
		{
			name:  "names of one file end in one session",
			disk:  disk{"a": 1, "d": -1},
			batch: change.Batch{Items: []change.Item{item("a", change.Content), item("d", change.Tree)}},
			links: true,
			want:  ".: content a .\n.: d/** a .",
		},
		{
			name:   "an old peer learns of a deletion by a listing",
			disk:   disk{"d": -1, "f": 1},
			batch:  change.Batch{Items: []change.Item{item("d/x/y", change.Attr), item("d/x/z", change.Attr), item("f", change.Content)}},
			legacy: true,
			want:   ".: content f .\n.: d/* .",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := target.Plan(c.batch, c.disk.lstat, c.legacy, c.links); got != c.want {
				t.Errorf("plan:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestRelative(t *testing.T) {
	for _, c := range []struct {
		dir, base tree.Path
		want      string
	}{
		{"old", "new", "../old"}, {"", "a/b", "../.."}, {"a", "", "a"}, {"a/b", "a", "b"}, {"a", "a/b", ".."}, {"a/x", "a/b/c", "../../x"}, {"", "", "."},
	} {
		if got := target.Relative(c.dir, c.base); got != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.base, c.dir, got, c.want)
		}
	}
}

func TestPeersTellOfDirectoriesTheyCouldNotRemove(t *testing.T) {
	got := target.NotRemoved("cannot delete non-empty directory: a/b\\#012c\ndeleting x\ncannot delete non-empty directory: ../out\n" +
		"cannot delete non-empty directory: .\r\ncannot delete non-empty directory: d\r\n")
	if want := []tree.Path{"a/b\nc", "d"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := target.NotRemoved(strings.Repeat("cannot delete non-empty directory: d\n", 5000)); len(got) > 1000 {
		t.Errorf("%d directories are kept in mind", len(got))
	}
}

func TestPeersMessagesNamePaths(t *testing.T) {
	for _, c := range []struct {
		name, message string
		listed        []tree.Path
		want          tree.Path
	}{
		{
			name:    "a temporary file stands for the file it becomes",
			message: `rsync: [receiver] mkstemp "/srv/www/sub/.f.txt.a1B2c3" (in web1) failed: No space left on device (28)`,
			listed:  []tree.Path{"f.txt", "sub/f.txt"}, want: "sub/f.txt",
		},
		{
			name:    "odd bytes are escaped",
			message: `rsync: [generator] failed to set times on "/srv/www/a\#012b" (in web1): Operation not permitted (1)`,
			listed:  []tree.Path{"a\nb"}, want: "a\nb",
		},
		{
			name:    "a name in parentheses",
			message: `delete_file: unlink(d/gone) failed: Permission denied (13)`,
			listed:  []tree.Path{"d/gone", "gone"}, want: "d/gone",
		},
		{
			name:    "a hidden file keeps its dot",
			message: `rsync: [receiver] rename "/srv/.profile.Zz9Yy8" -> ".profile": Permission denied (13)`,
			listed:  []tree.Path{".profile", "profile"}, want: ".profile",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []tree.Path
			for _, name := range target.Candidates(c.message) {
				if p, ok := target.InList(name, c.listed...); ok {
					got = append(got, p)
				}
			}
			if !slices.Contains(got, c.want) {
				t.Errorf("blamed %q, want %q; candidates %q", got, c.want, target.Candidates(c.message))
			}
		})
	}
}
