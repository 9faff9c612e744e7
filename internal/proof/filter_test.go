package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/proof/harness"
)

// What is excluded is neither watched, nor sent, nor deleted.
func TestExcludedFilesAreNeitherSentNorDeleted(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			write(t, filepath.Join(source, "page.html"), "page")
			write(t, filepath.Join(source, "debug.log"), "not to be sent")
			write(t, filepath.Join(source, "cache/x"), "not to be sent")
			write(t, filepath.Join(source, "keep/cache/y"), "sent: the rule is anchored")
			write(t, filepath.Join(source, "secret/.hidden"), "not to be sent")
			write(t, filepath.Join(target, "server.log"), "of the target")
			write(t, filepath.Join(target, "cache/of-target"), "of the target")
			write(t, filepath.Join(target, "old.html"), "to be deleted")
			leave := func(path string) bool {
				return filepath.Ext(path) == ".log" || path == "cache" || filepath.Base(path) == ".hidden"
			}
			want := harness.Comparison{Munged: p.want.Munged, Leave: leave}
			rules := filepath.Join(t.TempDir(), "rules")
			write(t, rules, "# a comment\n.hidden\n")
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, "--exclude", "*.log", "--filter", "- /cache/", "--exclude-from", rules, source, url)...)
			check(t, m.WaitInStep(soon, 1))
			converge(t, source, target, want)

			write(t, filepath.Join(source, "more.log"), "x")
			write(t, filepath.Join(source, "cache/sub/z"), "x")
			check(t, os.Rename(filepath.Join(source, "debug.log"), filepath.Join(source, "debug.txt")))      // now it is included
			check(t, os.Rename(filepath.Join(source, "page.html"), filepath.Join(source, "page.log")))       // and this no longer
			check(t, os.Rename(filepath.Join(source, "keep/cache"), filepath.Join(source, "keep/renamed")))  // included before and after
			check(t, os.Rename(filepath.Join(source, "cache/sub"), filepath.Join(source, "from the cache"))) // out of an excluded directory
			check(t, os.WriteFile(filepath.Join(source, "secret/shown"), []byte("x"), 0o644))
			converge(t, source, target, want)
			for path, text := range map[string]string{
				"server.log": "of the target", "cache/of-target": "of the target", "debug.txt": "not to be sent", "from the cache/z": "x",
			} {
				expectAt(t, filepath.Join(target, path), text)
			}
			for _, path := range []string{"debug.log", "more.log", "page.log", "page.html", "old.html", "cache/x", "cache/sub", "secret/.hidden"} {
				if exists(filepath.Join(target, path)) {
					t.Errorf("%s is at the target", path)
				}
			}
			stopMirror(t, m)
		})
	}
}

// Only some files of a tree: rsync's include-then-exclude idiom.
func TestIncludesNarrowAMirror(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			write(t, filepath.Join(source, "a/b/x.html"), "x")
			write(t, filepath.Join(source, "a/b/x.png"), "x")
			write(t, filepath.Join(source, "y.html"), "y")
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, "--include", "*/", "--include", "*.html", "--exclude", "*", source, url)...)
			check(t, m.WaitInStep(soon, 1))
			write(t, filepath.Join(source, "c/d/z.png"), "z")
			write(t, filepath.Join(source, "c/d/z.html"), "z")
			expectAt(t, filepath.Join(target, "c/d/z.html"), "z")
			leave := func(path string) bool { return filepath.Ext(path) == ".png" }
			converge(t, source, target, harness.Comparison{Munged: p.want.Munged, Leave: leave})
			for _, path := range []string{"a/b/x.png", "c/d/z.png"} {
				if exists(filepath.Join(target, path)) {
					t.Errorf("%s is at the target", path)
				}
			}
			stopMirror(t, m)
		})
	}
}

// Changes in an excluded directory cost nothing: no batch tells of them.
func TestExcludedChangesMakeNoBatch(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	check(t, os.Mkdir(filepath.Join(source, "cache"), 0o755))
	m := startMirror(t, "--exclude", "/cache", source, target)
	check(t, m.WaitInStep(soon, 1))
	mark := m.Mark()
	for i := range 200 {
		write(t, filepath.Join(source, "cache", fmt.Sprint(i)), "x")
	}
	write(t, filepath.Join(source, "marker"), "x")
	expectAt(t, filepath.Join(target, "marker"), "x")
	_, err := m.WaitFor(soon, "the marker's batch", mark, harness.Named("batch"))
	check(t, err)
	changes := int64(0)
	for _, e := range m.Since(mark) {
		changes += e.Changes
	}
	if changes > 4 {
		t.Errorf("%d changes for one file that is not excluded", changes)
	}
	stopMirror(t, m)
}
