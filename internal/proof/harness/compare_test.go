package harness_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

// needRsync skips, or fails in CI, where rsync is not installed.
func needRsync(t *testing.T) {
	t.Helper()
	if err := harness.Need("rsync"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// copyTree makes target the same as source with rsync.
func copyTree(t *testing.T, source, target string, more ...string) {
	t.Helper()
	args := append([]string{"-aHAX", "--delete", "--modify-window=-1"}, more...)
	if out, err := exec.Command("rsync", append(args, source+"/", target)...).CombinedOutput(); err != nil {
		t.Fatalf("rsync: %v\n%s", err, out)
	}
}

func churned(t *testing.T, seed uint64, steps int) string {
	t.Helper()
	source := t.TempDir()
	churn := harness.NewChurn(source, t.TempDir(), seed)
	churn.Xattrs = true
	for range steps {
		if err := churn.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := churn.Close(); err != nil {
		t.Fatal(err)
	}
	return source
}

func TestChurnedTreesCopiedByRsyncAreEqual(t *testing.T) {
	needRsync(t)
	source := churned(t, 1, 1500)
	t.Run("to a directory", func(t *testing.T) {
		target := t.TempDir()
		copyTree(t, source, target)
		expectEqual(t, source, target, harness.Comparison{HardLinks: true, Xattrs: true})
	})
	t.Run("to a daemon with the classic configuration", func(t *testing.T) {
		target := t.TempDir()
		d, err := harness.StartDaemon(harness.DaemonConfig{Dir: t.TempDir(), Path: target})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.End)
		copyTree(t, source, d.URL(), "--password-file="+d.PasswordFile)
		expectEqual(t, source, target, harness.Comparison{HardLinks: true, Xattrs: true, Munged: true})
	})
	t.Run("over a remote shell", func(t *testing.T) {
		target := t.TempDir()
		shell, err := harness.NewShell(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		copyTree(t, source, "host:"+target, "-e", shell.Path)
		expectEqual(t, source, target, harness.Comparison{HardLinks: true, Xattrs: true})
		if err := shell.SetDown(true); err != nil {
			t.Fatal(err)
		}
		if exec.Command("rsync", "-a", "-e", shell.Path, source+"/", "host:"+target).Run() == nil {
			t.Error("a host that is down was reached")
		}
	})
}

func expectEqual(t *testing.T, source, target string, want harness.Comparison) {
	t.Helper()
	found, err := harness.Compare(source, target, want)
	if err != nil || len(found) > 0 {
		t.Fatalf("%v\n%s", err, strings.Join(found, "\n"))
	}
}

func TestChurnIsTheSameForTheSameSeed(t *testing.T) {
	first, second := churned(t, 7, 600), churned(t, 7, 600)
	leave := func(string) bool { return false }
	// Times differ: only names, types and content say whether the steps were the same.
	for _, dir := range []string{first, second} {
		if out, err := exec.Command("find", dir, "-exec", "touch", "-h", "-d", "2001-02-03", "{}", "+").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	expectEqual(t, first, second, harness.Comparison{HardLinks: true, Xattrs: true, Leave: leave})
}

func TestCompareFindsOneDifference(t *testing.T) {
	needRsync(t)
	for _, c := range []struct {
		name, want string
		change     func(dir string) error
	}{
		{"a byte of content under the same time", "content differs", func(dir string) error {
			return keepingTimes(dir+"/d/file", func() error { return os.WriteFile(dir+"/d/file", []byte("hellO"), 0o644) })
		}},
		{"one nanosecond", "mtime", func(dir string) error {
			return os.Chtimes(dir+"/d/file", time.Time{}, time.Unix(1000000000, 2))
		}},
		{"a mode bit", "mode 644", func(dir string) error { return os.Chmod(dir+"/d/file", 0o645) }},
		{"a missing file", "missing at the target", func(dir string) error {
			return keepingTimes(dir+"/d", func() error { return os.Remove(dir + "/d/file") })
		}},
		{"a file too many", "only at the target", func(dir string) error {
			return keepingTimes(dir+"/d", func() error { return os.WriteFile(dir+"/d/.file.Xy12Za", nil, 0o600) })
		}},
		{"another symlink target", "symlink to", func(dir string) error {
			return keepingTimes(dir, func() error {
				return keepingTimes(dir+"/link", func() error {
					_ = os.Remove(dir + "/link")
					return os.Symlink("d/fila", dir+"/link")
				})
			})
		}},
		{"another type", "symlink at the target", func(dir string) error {
			return keepingTimes(dir+"/d", func() error {
				_ = os.Remove(dir + "/d/file")
				return os.Symlink("x", dir+"/d/file")
			})
		}},
		{"a link too many", "one file at the target", func(dir string) error {
			return keepingTimes(dir+"/d", func() error {
				_ = os.Remove(dir + "/d/twin")
				return os.Link(dir+"/d/file", dir+"/d/twin")
			})
		}},
		{"a hard link that is a copy", "one file at the source", func(dir string) error {
			return keepingTimes(dir+"/d", func() error {
				_ = os.Remove(dir + "/d/linked1")
				if err := os.WriteFile(dir+"/d/linked1", nil, 0o644); err != nil {
					return err
				}
				return os.Chtimes(dir+"/d/linked1", time.Time{}, time.Unix(1000000000, 1))
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			source, target := t.TempDir(), t.TempDir()
			small(t, source)
			copyTree(t, source, target)
			expectEqual(t, source, target, harness.Comparison{HardLinks: true})
			if err := c.change(target); err != nil {
				t.Fatal(err)
			}
			found, err := harness.Compare(source, target, harness.Comparison{HardLinks: true})
			if err != nil || len(found) != 1 || !strings.Contains(found[0], c.want) {
				t.Fatalf("want one difference saying %q, got %v\n%s", c.want, err, strings.Join(found, "\n"))
			}
		})
	}
}

func small(t *testing.T, dir string) {
	t.Helper()
	stamp := time.Unix(1000000000, 1)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "d"), 0o755))
	for _, name := range []string{"d/file", "d/twin"} {
		must(os.WriteFile(filepath.Join(dir, name), []byte("hello"), 0o644))
		must(os.Chtimes(filepath.Join(dir, name), stamp, stamp))
	}
	must(os.Symlink("d/file", filepath.Join(dir, "link")))
	must(os.WriteFile(filepath.Join(dir, "d/linked1"), nil, 0o644))
	must(os.Chtimes(filepath.Join(dir, "d/linked1"), stamp, stamp))
	must(os.Link(filepath.Join(dir, "d/linked1"), filepath.Join(dir, "d/linked2")))
}

// keepingTimes runs change and puts path's mtime back.
func keepingTimes(path string, change func() error) error {
	var before unix.Stat_t
	if err := unix.Lstat(path, &before); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, before.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
}

func TestLargeTreesCompareFast(t *testing.T) {
	needRsync(t)
	source, target := t.TempDir(), t.TempDir()
	if err := (harness.Tree{Files: 10_000}).Make(source); err != nil {
		t.Fatal(err)
	}
	copyTree(t, source, target)
	start := time.Now()
	expectEqual(t, source, target, harness.Comparison{})
	t.Logf("10,000 files compared in %v", time.Since(start))
	if n, err := harness.Count(target); n != 10_000+101 || err != nil {
		t.Errorf("counted %d objects, %v", n, err)
	}
}
