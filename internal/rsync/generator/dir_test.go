package generator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// modTime is the modification time of a file below the destination.
func (r *rig) modTime(name string) time.Time {
	r.t.Helper()
	info, err := os.Lstat(filepath.Join(r.dst, name))
	check(r.t, err)
	return info.ModTime()
}

var listForms = []string{"28", "29", "31", "30i", "32i"}

func TestTimesOfDirectoriesArePutRight(t *testing.T) {
	for _, v := range listForms {
		for _, words := range []string{"-a", "-a --delete", "-aH", "-a --delete-delay"} {
			t.Run(v+" "+words, func(t *testing.T) {
				r := variantRig(t, v, words)
				plant(t, r.src, "f x", "new/sub/f x", "new/g y", "old/h z", "old/l -> h", "same/i x", "h = f")
				plant(t, r.dst, "old/gone q", "old/h q", "same/i x")
				settle(t, r.src)
				r.run()
				for _, dir := range []string{".", "new", "new/sub", "old", "same"} {
					if at := r.modTime(dir); !at.Equal(then) {
						t.Errorf("%s: %v", dir, at)
					}
				}
			})
		}
	}
}

func TestTimesOfDirectoriesAreLeftAloneWithO(t *testing.T) {
	for _, v := range listForms {
		r := variantRig(t, v, "-aO")
		plant(t, r.src, "d/f x")
		r.run()
		if r.modTime("d").Equal(then) {
			t.Error(v)
		}
	}
}

func TestDirectoriesAreMadeBeforeTheirListsComeIfTimesAreKept(t *testing.T) {
	r := newRig(t, 31, "-a")
	r.inc = true
	plant(t, r.src, "a x", "d/f x")
	early := false
	r.slow = func(i int) bool {
		if i == 1 {
			_, err := os.Stat(filepath.Join(r.dst, "d"))
			early = err == nil
		}
		return i != 1 || len(items(r.log)) > 1
	}
	r.run()
	if !early {
		t.Error("not there when its list came")
	}
	equal(t, "items", items(r.log), "0008 .d..t...... .", "a000 >f+++++++++ a", "6000 cd+++++++++ d", "a000 >f+++++++++ d/f")
}

func TestWhatIsBelowAFailedDirectoryIsLeftOut(t *testing.T) {
	for _, v := range listForms {
		t.Run(v, func(t *testing.T) {
			r := variantRig(t, v, "-aH --existing")
			plant(t, r.src, "d/e/f x", "d/g y", "h = d/g")
			r.run()
			equal(t, "tree", shape(t, r.dst))
			equal(t, "items", items(r.log), map[bool][]string{true: {"0008 .d..t...... ."}}[r.protocol >= 29]...)
		})
	}
}

func TestAFileInTheWayOfADirectoryStaysWithIgnoreExisting(t *testing.T) {
	for _, v := range listForms {
		t.Run(v, func(t *testing.T) {
			r := variantRig(t, v, "-a --ignore-existing --info=skip")
			plant(t, r.src, "d/f x", "e y")
			plant(t, r.dst, "d z")
			r.run()
			equal(t, "tree", shape(t, r.dst), "d z", "e y")
			if r.said[0] != "INFO: d exists" || !strings.Contains(r.said[1], `recv_generator: failed to stat`) || !strings.HasSuffix(r.said[1], "Not a directory (20)") {
				t.Errorf("messages %q", r.said)
			}
		})
	}
}

func TestKeepDirlinksWritesThroughThem(t *testing.T) {
	for _, v := range listForms {
		t.Run(v, func(t *testing.T) {
			r := variantRig(t, v, "-aK --delete")
			r.filters = []string{"P real"}
			plant(t, r.src, "d/f x")
			plant(t, r.dst, "real/old y", "d -> real")
			settle(t, r.dst)
			r.run()
			equal(t, "tree", shape(t, r.dst), "d -> real", "real/", "real/f x")
		})
	}
}

func TestADirectoryReplacesASymlink(t *testing.T) {
	for _, v := range listForms {
		t.Run(v, func(t *testing.T) {
			r := variantRig(t, v, "-a")
			plant(t, r.src, "d/f x")
			plant(t, r.dst, "real/f y", "d -> real")
			r.run()
			equal(t, "tree", shape(t, r.dst), "d/", "d/f x", "real/", "real/f y")
		})
	}
}

// TestClosedDirectoriesAreFilledAndClosedAgain runs without root's powers, if it
// can.
func TestClosedDirectoriesAreFilledAndClosedAgain(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	for _, v := range listForms {
		r := variantRig(t, v, "-a")
		plant(t, r.src, "d/f x", "d/e/g y")
		for _, p := range []string{"d/e", "d"} {
			check(t, os.Chmod(filepath.Join(r.src, p), 0o555))
		}
		r.run()
		for _, p := range []string{"d/e", "d"} {
			info, err := os.Stat(filepath.Join(r.dst, p))
			check(t, err)
			if info.Mode().Perm() != 0o555 || !info.ModTime().Equal(then) {
				t.Errorf("%s: %v %v", p, info.Mode(), info.ModTime())
			}
			for _, root := range []string{r.src, r.dst} {
				check(t, os.Chmod(filepath.Join(root, p), 0o755))
			}
		}
		same(t, r.src, r.dst)
	}
}
