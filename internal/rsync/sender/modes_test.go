package sender_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

// versions are a big file as it was and as it is.
func versions() (old, now []byte) {
	old = random(7, 400_000)
	now = slices.Clone(old)
	copy(now[150_000:], "a change in the middle")
	return old, append(now[:300_000], append([]byte("something in between"), now[300_000:]...)...)
}

func TestDataIsSentAsTheModeWants(t *testing.T) {
	old, now := versions()
	grown := append(slices.Clone(old), now[:100_000]...)
	zeros := make([]byte, 300_000)
	patched := slices.Clone(zeros)
	copy(patched[100_000:], "not zero")
	for i, c := range []struct {
		name, words string
		there, file []byte
	}{
		{"only what changed", "-a --stats s/", old, now},
		{"in place", "-ai --inplace --stats s/", old, now},
		{"in place, moved to the front", "-ai --inplace --stats s/", old, old[70_000:]},
		{"in place, moved to the back", "-ai --inplace --stats s/", old, append([]byte("in front"), old...)},
		{"in place, many equal blocks", "-ai --inplace --stats s/", zeros, patched},
		{"in place with a backup", "-ai --inplace --backup --stats s/", old, now},
		{"appended", "-ai --append --stats s/", old, grown},
		{"appended to something else", "-ai --append s/", now[:100_000], grown},
		{"appended and verified", "-ai --append-verify --stats s/", old, grown},
		{"appended to something else and verified", "-ai --append-verify s/", append([]byte("other"), old[5:]...), grown},
		{"compressed", "-aiz --stats s/", old, now},
		{"compressed by zlib", "-ai --compress-choice=zlib --compress-level=9 s/", old, now},
		{"compressed by lz4", "-ai --compress-choice=lz4 s/", old, now},
		{"compressed but for some", "-aiz --skip-compress=big/gz s/", old, now},
		{"in blocks of a given size", "-ai --block-size=2000 --stats s/", old, now},
		{"whole", "-aiW --stats s/", old, now},
		{"with a seed", "-ai --checksum-seed=99 s/", old, now},
		{"with another sum", "-ai --checksum-choice=sha1,md5 -c s/", old, now},
		{"unchanged by checksum", "-aic s/", old, old},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := forest(t)
			check(t, os.WriteFile(filepath.Join(dir, "s/big"), c.file, 0o644))
			eachWay(t, modernWays(c.words, i), twin{dir: dir, words: strings.Fields(c.words), prepare: func(dest string) {
				check(t, os.Mkdir(dest, 0o755))
				check(t, os.WriteFile(filepath.Join(dest, "big"), c.there, 0o644))
				past := time.Unix(1_500_000_000, 0)
				for _, path := range []string{filepath.Join(dest, "big"), dest} {
					check(t, os.Chtimes(path, past, past))
				}
			}})
		})
	}
}

// modernWays leaves protocols out that do not know some of the words.
func modernWays(words string, n int) [][]string {
	ways := someWays(n)
	if strings.Contains(words, "lz4") || strings.Contains(words, "sum-choice") {
		return [][]string{{}, {"--no-inc-recursive"}}
	}
	return ways
}

func TestSourcesAreRemovedOnceTheyHaveArrived(t *testing.T) {
	for i, c := range []struct{ name, words string }{
		{"all that arrived", "-ai --remove-source-files s t/d"},
		{"with hard links", "-aiH --remove-source-files s"},
		{"as older versions did", "-ai --remove-sent-files s"},
		{"not in a dry run", "-ain --remove-source-files s"},
		{"behind symlinks that are followed", "-aikv --remove-source-files s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := forest(t)
			for _, name := range []string{"s", "t"} {
				check(t, os.CopyFS(filepath.Join(dir, "kept", name), os.DirFS(filepath.Join(dir, "t"))))
			}
			var left [2][]string
			eachWay(t, someWays(i), twin{dir: dir, words: strings.Fields(c.words),
				again: func() { plantForest(t, dir) },
				check: func(run int, _ string) {
					left[run] = names(t, filepath.Join(dir, "s"))
					if run == 1 && !slices.Equal(left[0], left[1]) {
						t.Errorf("rsync leaves %q, we leave %q", left[0], left[1])
					}
					plantForest(t, dir)
				}})
		})
	}
}

// names are all paths below dir.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, strings.TrimPrefix(path, dir))
		return err
	}))
	return all
}

// attributed is a forest with attributes.
func attributed(t *testing.T) string {
	t.Helper()
	dir := forest(t)
	set := func(path, name, value string) {
		t.Helper()
		check(t, unix.Lsetxattr(filepath.Join(dir, path), name, []byte(value), 0))
	}
	set("s/a", "user.short", "value")
	set("s/a", "user.long", string(bytes.Repeat([]byte("long"), 100)))
	set("s/d", "user.dir", "d")
	set("s", "user.root", "r")
	set("s/d/b", "user.rsync.%stat", "100640 0,0 5:6")
	if os.Geteuid() == 0 {
		set("s/e/g", "trusted.t", "t")
	}
	return dir
}

func TestAttributesAreListed(t *testing.T) {
	for i, c := range []struct{ name, words string }{
		{"all", "-aiX s t"},
		{"those of rsync too", "-aiXX s/"},
		{"filtered", "-aiX --filter=-x_user.long s"},
		{"chosen", "-aiX --filter=+x_user.d* --filter=-x_* s"},
		{"with links", "-aiHX s"},
		{"behind symlinks", "-aiLX s/d s/a s/tofile"},
		{"access times", "-aiU s"},
		{"faked by somebody without privileges", "-ai -M--no-super --fake-super s/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ways := [][]string{{}, {"--no-inc-recursive"}, {"--protocol=30"}}
			eachWay(t, ways[i%len(ways):][:1], twin{dir: attributed(t), words: strings.Fields(c.words), same: harness.Comparison{Xattrs: true}})
		})
	}
}
