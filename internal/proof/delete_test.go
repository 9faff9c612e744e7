package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/proof/harness"
)

func TestMaxDeleteStopsAndWaits(t *testing.T) {
	for i := range 2 * len(places) {
		p, watch := places[i/2], []string{"auto", "poll"}[i%2]
		t.Run(p.name+" "+watch, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			for i := range 30 {
				write(t, filepath.Join(source, fmt.Sprintf("dir%d/file%d", i%3, i)), "x")
			}
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, "--max-delete", "5", "--watch", watch, "--poll-interval", "100ms", source, url)...)
			check(t, m.WaitInStep(soon, 1))
			check(t, os.RemoveAll(filepath.Join(source, "dir0/file0"))) // fewer than the limit
			converge(t, source, target, p.want)

			mark := m.Mark()
			check(t, os.RemoveAll(filepath.Join(source, "dir1")))
			check(t, os.RemoveAll(filepath.Join(source, "dir2")))
			_, err := m.WaitFor(soon, "the word of the limit", mark, func(e harness.Event) bool {
				return (e.Event == "failing" || e.Event == "notice") && saysMaxDelete.MatchString(e.Raw)
			})
			check(t, err)
			if n, err := harness.Count(target); n < 32-5 || err != nil {
				t.Errorf("%d objects are left of 32, with a limit of 5 deletions (%v)", n, err)
			}
			stopMirror(t, m)
			if n, err := harness.Count(target); n < 32-5 || err != nil {
				t.Errorf("%d objects are left of 32 after the end (%v)", n, err)
			}

			code, m := run(t, append(flags, "--once", "--max-delete", "5", source, url)...)
			if n, _ := harness.Count(target); code != 25 || n < 32-5 {
				t.Errorf("--once: exit code %d, want 25; %d objects left\n%s", code, n, m.Tail(20))
			}
			if code, m := run(t, append(flags, "--once", "--max-delete", "100", source, url)...); code != 0 {
				t.Errorf("--once with a larger limit: exit code %d\n%s", code, m.Tail(20))
			}
			converge(t, source, target, p.want)
		})
	}
}

// A share of what the target holds is counted as the target is: before the
// first pass it may hold little of the source, and later all of it.
func TestMaxDeleteMayBeAShare(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			sh(t, source, "mkdir -p new/dirs/of/some/depth; for i in $(seq 40); do echo $i > f$i; ln -s f$i l$i; done")
			sh(t, target, "mkdir theirs; for i in $(seq 9); do echo $i > theirs/f$i; done") // 10 entries, all to go
			flags, url := p.open(t, target)
			code, m := run(t, append(flags, "--once", "--max-delete", "99%", source, url)...)
			if code != 25 || !strings.Contains(m.Tail(20), "10 of 10 entries would be deleted") {
				t.Errorf("exit code %d, want 25\n%s", code, m.Tail(20))
			}
			if code, m := run(t, append(flags, "--once", "--max-delete", "100%", source, url)...); code != 0 {
				t.Errorf("with 100%%: exit code %d\n%s", code, m.Tail(20))
			}
			converge(t, source, target, p.want)

			m = startMirror(t, append(flags, "--max-delete", "20%", source, url)...)
			check(t, m.WaitInStep(soon, 1))
			sh(t, source, "rm f1 f2 f3 f4 l1 l2 l3 l4") // 8 of 85
			converge(t, source, target, p.want)
			mark := m.Mark()
			sh(t, source, "rm f? f1? l? l1?") // 32 more within ten seconds
			_, err := m.WaitFor(soon, "the word of the limit", mark, func(e harness.Event) bool {
				return e.Event == "failing" && saysMaxDelete.MatchString(e.Raw)
			})
			check(t, err)
			if n, err := harness.Count(target); n < 77-17+1 || err != nil {
				t.Errorf("%d objects are left of 77, with a limit of 20%% (%v)", n, err)
			}
			stopMirror(t, m)
		})
	}
}

func TestNoDeleteKeepsWhatIsAtTheTarget(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			write(t, filepath.Join(source, "a"), "a")
			write(t, filepath.Join(source, "dir/b"), "b")
			write(t, filepath.Join(target, "of old"), "old")
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, "--no-delete", source, url)...)
			check(t, m.WaitInStep(soon, 1))
			check(t, os.Remove(filepath.Join(source, "a")))
			check(t, os.Rename(filepath.Join(source, "dir"), filepath.Join(source, "renamed")))
			write(t, filepath.Join(source, "marker"), "x")
			expectAt(t, filepath.Join(target, "marker"), "x")
			expectAt(t, filepath.Join(target, "renamed/b"), "b")
			for _, name := range []string{"a", "of old"} {
				if !exists(filepath.Join(target, name)) {
					t.Errorf("%s was deleted", name)
				}
			}
			stopMirror(t, m)
		})
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target, before := t.TempDir(), t.TempDir(), t.TempDir()
			makeTree(t, source, 40)
			write(t, filepath.Join(target, "of old"), "old")
			write(t, filepath.Join(target, "d000/e000/file-000003"), "other")
			sh(t, before, "cp -a "+target+"/. .")
			flags, url := p.open(t, target)
			if code, m := run(t, append(flags, "--dry-run", source, url)...); code != 0 {
				t.Errorf("exit code %d\n%s", code, m.Tail(20))
			}
			converge(t, before, target, plain)
		})
	}
}

func TestOnceEndsWithACodeThatTellsTheTruth(t *testing.T) {
	d := startDaemon(t, harness.DaemonConfig{})
	source, target := t.TempDir(), t.TempDir()
	makeTree(t, source, 100)
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"all in step", []string{"--password-file", d.PasswordFile, source, target, d.URL()}, 0},
		{"in step already", []string{"--password-file", d.PasswordFile, source, target, d.URL()}, 0},
		{"one target refuses", []string{"--password-file", d.PasswordFile, source, target, d.URL() + "x"}, 23},
		{"one target is not there", []string{source, target, "rsync://127.0.0.1:1/module"}, 23},
		{"no target", []string{source}, 1},
		{"an unknown flag", []string{"--frobnicate", source, target}, 1},
		{"a bad rule", []string{"--filter", "frobnicate", source, target}, 1},
		{"a source that is a file", []string{filepath.Join(source, "d000/e000/file-000001"), target}, 1},
		{"a target inside the source", []string{source, filepath.Join(source, "d000")}, 1},
		{"a source inside the target", []string{filepath.Join(source, "d000"), source}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, m := run(t, append([]string{"--once"}, c.args...)...)
			if code != c.want {
				t.Errorf("exit code %d, want %d\n%s", code, c.want, m.Tail(20))
			}
		})
	}
	converge(t, source, target, plain)
	converge(t, source, d.Path, munged)
}

// An end in the midst of a transfer leaves no temporary file on the targets.
func TestAnEndInTheMidstLeavesNoTemporaryFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(t *testing.T, source string)
		seen func(target string) bool
	}{
		{"of one large file", func(t *testing.T, source string) { noise(t, filepath.Join(source, "large"), 300<<20) },
			func(target string) bool { return holdsTemp(target) }},
		{"of many small files", func(t *testing.T, source string) { makeTree(t, source, 4000) },
			func(target string) bool { return exists(filepath.Join(target, "d000/e000/file-000000")) }},
	} {
		for _, p := range places {
			for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
				t.Run(fmt.Sprint(p.name, " ", c.name, " ", signal), func(t *testing.T) {
					source, target := t.TempDir(), t.TempDir()
					flags, url := p.open(t, target)
					c.work(t, source)
					m := startMirror(t, append(flags, source, url)...)
					// Where the transfer is too fast or hides its files, the end comes after it.
					check(t, harness.Poll(soon, "the transfer has begun", func() bool {
						return c.seen(target) || len(m.Since(0)) > 0 && inStep(m)
					}))
					check(t, m.Signal(signal))
					code, err := m.Wait(soon)
					check(t, err)
					if code != 0 {
						t.Errorf("exit code %d, want 0", code)
					}
					if err := harness.Poll(soon, "no temporary file is left", func() bool {
						return len(leftovers(t, source, target)) == 0
					}); err != nil {
						t.Errorf("%v: %s", err, leftovers(t, source, target))
					}
				})
			}
		}
	}
}

func inStep(m *harness.Mirror) bool {
	for _, e := range m.Since(0) {
		if e.Event == "in-step" {
			return true
		}
	}
	return false
}

func holdsTemp(target string) bool {
	names, err := filepath.Glob(filepath.Join(target, ".*.??????"))
	return err == nil && len(names) > 0
}
