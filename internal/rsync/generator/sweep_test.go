package generator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
)

var everyTiming = []string{"--delete-before", "--delete-during", "--delete-delay", "--delete-after"}

// eachTiming runs f for every timing and the protocols that differ in it.
func eachTiming(t *testing.T, f func(t *testing.T, r *rig)) {
	for _, v := range []string{"28", "31", "31i"} {
		for _, timing := range everyTiming {
			if strings.HasSuffix(v, "i") && (timing == "--delete-before" || timing == "--delete-after") {
				continue // not in incremental sessions
			}
			t.Run(v+" "+timing, func(t *testing.T) { f(t, variantRig(t, v, "-rl "+timing)) })
		}
	}
}

func TestExtraneousItemsAreDeleted(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		plant(t, r.src, "a x", "d/b y", "kept/")
		plant(t, r.dst, "a x", "d/old z", "d/sub/dir/f z", "link -> a", "other/f z", "kept/")
		r.run()
		same(t, r.src, r.dst)
		deleted := only(r.said, "deleted: ")
		want := []string{"other/f", "other/", "link", "d/sub/dir/f", "d/sub/dir/", "d/sub/", "d/old"}
		if r.protocol < 29 { // no directories last
			want = []string{"other/f", "other/", "link", "d/sub/dir/f", "d/sub/dir/", "d/sub/", "d/old"}
		}
		equal(t, "deletions", deleted, want...)
	})
}

func TestWhatIsProtectedStays(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		r.filters = []string{"P *.keep", "-p perish"}
		plant(t, r.src, "a x")
		plant(t, r.dst, "b.keep y", "full/c.keep y", "full/other y", "gone/perish y", "perish z")
		r.run()
		equal(t, "tree", shape(t, r.dst), "a x", "b.keep y", "full/", "full/c.keep y", "perish z")
		equal(t, "messages", only(r.said, "INFO: "), "cannot delete non-empty directory: full")
	})
}

// With --delete-delay rsync forgets what the merge files above a directory that
// is removed have to say.
func TestMergeFilesProtectAtAnyTime(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		r.filters = []string{": .rules"}
		plant(t, r.src, "d/.rules P *.keep", "e/f x")
		plant(t, r.dst, "d/.rules P *.keep", "d/gone/a.keep y", "d/gone/b y", "e/f x")
		r.run()
		equal(t, "tree", shape(t, r.dst), "d/", "d/.rules P *.keep", "d/gone/", "d/gone/a.keep y", "e/", "e/f x")
	})
}

func TestMaxDeleteStopsDeletion(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		r.words = append(r.words, "--max-delete=1")
		plant(t, r.src, "a x")
		plant(t, r.dst, "b y", "c y", "d y")
		r.run()
		equal(t, "tree", shape(t, r.dst), "a x", "b y", "c y")
		equal(t, "messages", only(r.said, "WARNING: "), "Deletions stopped due to --max-delete limit (2 skipped)")
		if r.result.IOError != 4 {
			t.Errorf("io error %d", r.result.IOError)
		}
	})
}

func TestTroubleAtTheSenderPreventsDeletion(t *testing.T) {
	for _, row := range []struct {
		name, words string
		bits        int32
		deletes     bool
	}{
		{"a general error", "", 1, false},
		{"a vanished file", "", 2, true},
		{"a general error with --ignore-errors", "--ignore-errors", 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachTiming(t, func(t *testing.T, r *rig) {
				r.words = append(r.words, strings.Fields(row.words)...)
				r.ioError = row.bits
				plant(t, r.src, "a x", "d/b y")
				plant(t, r.dst, "d/old z", "d/old2 z")
				r.run()
				_, err := os.Stat(filepath.Join(r.dst, "d/old"))
				if gone := os.IsNotExist(err); gone != row.deletes {
					t.Errorf("deleted: %v", gone)
				}
				if notes := only(r.said, "INFO: IO error"); (len(notes) == 0) != row.deletes || len(notes) > 1 {
					t.Errorf("messages %q", r.said)
				}
			})
		})
	}
}

// How early trouble with a later list is heard of does not decide what becomes of
// the first directory.
func TestTroubleWithLaterListsCountsAfterTheFirst(t *testing.T) {
	for _, timing := range []string{"--delete-during", "--delete-delay"} {
		t.Run(timing, func(t *testing.T) {
			r := variantRig(t, "31i", "-rl "+timing)
			r.early = 1
			plant(t, r.src, "a x", "d/b y")
			plant(t, r.dst, "old z", "d/old z")
			r.run()
			equal(t, "tree", shape(t, r.dst), "a x", "d/", "d/b y", "d/old z")
			equal(t, "messages", only(r.said, "INFO: "), "IO error encountered -- skipping file deletion")
			if r.result.IOError != 1 {
				t.Errorf("io error %d", r.result.IOError)
			}
		})
	}
}

func TestOnlyContentDirectoriesAreSwept(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		plant(t, r.src, "d/a x", "e/b y")
		plant(t, r.dst, "d/old z", "e/old z")
		r.opt = parse(t, r.words)
		r.lists = r.listing()
		for _, l := range r.lists {
			for _, f := range l.Files {
				if f.Path == "d" {
					f.Content = false
				}
			}
		}
		r.run()
		equal(t, "tree", shape(t, r.dst), "d/", "d/a x", "d/old z", "e/", "e/b y")
	})
}

func TestNothingIsDeletedBelowWhatCouldNotBeMade(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		plant(t, r.src, "d/a x")
		plant(t, r.dst, "d/old z")
		r.refused = func(p tree.Path, dir bool) bool { return p == "d" }
		r.run()
		equal(t, "tree", shape(t, r.dst), "d/", "d/old z")
	})
}

func TestADryRunDeletesNothing(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		r.words = append(r.words, "-n")
		plant(t, r.src, "a x", "new/b y")
		plant(t, r.dst, "old/f z", "new -> old")
		before := shape(t, r.dst)
		r.run()
		equal(t, "tree", shape(t, r.dst), before...)
		equal(t, "deletions", only(r.said, "deleted: "), "old/f", "old/")
		if d := r.result.Deleted; d.Reg != 1 || d.Dir != 1 {
			t.Errorf("result %+v", d)
		}
	})
}

func TestAListingDeletesNothing(t *testing.T) {
	eachTiming(t, func(t *testing.T, r *rig) {
		r.words = append(r.words, "--list-only")
		plant(t, r.src, "a x")
		plant(t, r.dst, "old/f z", "b y")
		before := shape(t, r.dst)
		r.run()
		equal(t, "tree", shape(t, r.dst), before...)
		equal(t, "deletions", only(r.said, "deleted: "))
	})
}

func TestDeletedExcludedItemsGoToo(t *testing.T) {
	r := newRig(t, 31, "-rl", "--delete-excluded")
	r.filters = []string{"- *.o", "P *.keep"}
	plant(t, r.src, "a x")
	plant(t, r.dst, "b.o y", "c.keep y")
	r.run()
	equal(t, "tree", shape(t, r.dst), "a x", "c.keep y")
}
