package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

const nobody = 65534

// place is a target of some kind whose files are in dir.
type place struct {
	name string
	want harness.Comparison
	// open gives the words of the command line for a target that stores its
	// files in dir.
	open func(t *testing.T, dir string) (flags []string, target string)
}

// places are a local directory and a stock daemon.
var places = []place{
	{"directory", plain, func(_ *testing.T, dir string) ([]string, string) { return nil, dir }},
	{"daemon", munged, func(t *testing.T, dir string) ([]string, string) {
		d := startDaemon(t, harness.DaemonConfig{Path: dir})
		return []string{"--password-file", d.PasswordFile}, d.URL()
	}},
}

func TestAFullTargetRecoversOnceFreed(t *testing.T) {
	needRoot(t, "mount a tmpfs")
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, disk, other := t.TempDir(), t.TempDir(), t.TempDir()
			check(t, harness.Tmpfs(disk, 4<<20))
			t.Cleanup(func() { check(t, harness.Unmount(disk)) })
			target := filepath.Join(disk, "copy")
			check(t, os.Mkdir(target, 0o755))
			write(t, filepath.Join(source, "small"), "before")
			noise(t, filepath.Join(disk, "ballast"), 3<<20)
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, source, url, other)...)
			check(t, m.WaitInStep(soon, 2))

			mark := m.Mark()
			noise(t, filepath.Join(source, "large"), 2<<20)
			_, err := m.WaitFor(soon, "the words of the full disk", mark, func(e harness.Event) bool {
				return (e.Event == "failing" || e.Event == "path-failed") && saysFull.MatchString(e.Raw)
			})
			check(t, err)
			write(t, filepath.Join(source, "afterwards"), "small enough")
			converge(t, source, other, plain)

			check(t, os.Remove(filepath.Join(disk, "ballast")))
			converge(t, source, target, p.want)
			stopMirror(t, m)
		})
	}
}

func TestATargetThatCannotBeWrittenRecoversOnceFixed(t *testing.T) {
	needRoot(t, "remount read-only")
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target, other := t.TempDir(), t.TempDir(), t.TempDir()
			check(t, harness.BindToSelf(target))
			t.Cleanup(func() { check(t, harness.Unmount(target)) })
			write(t, filepath.Join(source, "dir/file"), "before")
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, source, url, other)...)
			check(t, m.WaitInStep(soon, 2))

			mark := m.Mark()
			check(t, harness.SetReadOnly(target, true))
			write(t, filepath.Join(source, "dir/file"), "after")
			write(t, filepath.Join(source, "dir/sub/new"), "new")
			_, err := m.WaitFor(soon, "the words of the read-only file system", mark, func(e harness.Event) bool {
				return (e.Event == "failing" || e.Event == "path-failed") && saysReadOnly.MatchString(e.Raw)
			})
			check(t, err)
			converge(t, source, other, plain)
			check(t, harness.SetReadOnly(target, false))
			converge(t, source, target, p.want)
			stopMirror(t, m)
		})
	}
}

// The source that vanishes in some way: the mirror ends with the code for it
// and deletes nothing.
func TestASourceThatVanishesDeletesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		mount  bool
		vanish func(source string) error
	}{
		{"unmounted", true, harness.Unmount},
		{"renamed away", false, func(source string) error { return os.Rename(source, source+".away") }},
		{"replaced by an empty directory", false, func(source string) error {
			if err := os.Rename(source, source+".away"); err != nil {
				return err
			}
			return os.Mkdir(source, 0o755)
		}},
		{"hidden by an empty file system", true, func(source string) error { return harness.Tmpfs(source, 1<<20) }},
	} {
		for _, backend := range []string{"fanotify", "inotify", "poll"} {
			t.Run(c.name+" "+backend, func(t *testing.T) {
				t.Parallel()
				if c.mount || backend == "fanotify" {
					needRoot(t, "mount or fanotify")
				}
				source, target, before := filepath.Join(t.TempDir(), "source"), t.TempDir(), t.TempDir()
				check(t, os.Mkdir(source, 0o755))
				if c.mount {
					check(t, harness.Tmpfs(source, 10<<20))
					t.Cleanup(func() { _, _ = harness.Unmount(source), harness.Unmount(source) })
				}
				makeTree(t, source, 50)
				makeTree(t, before, 50)
				d := startDaemon(t, harness.DaemonConfig{})
				m := startMirror(t, "--watch", backend, "--poll-interval", "100ms", "--password-file", d.PasswordFile, source, target, d.URL())
				check(t, m.WaitInStep(soon, 2))
				check(t, c.vanish(source))
				code, err := m.Wait(settled)
				check(t, err)
				if code != 3 {
					t.Errorf("exit code %d, want 3", code)
				}
				for _, dir := range []string{target, d.Path} {
					if n, err := harness.Count(dir); n != 52 || err != nil {
						t.Errorf("%d objects are left of 52 (%v)", n, err)
					}
				}
			})
		}
	}
}

// The same when the source is not there, or is another, at the start.
func TestASourceThatIsMissingDeletesNothing(t *testing.T) {
	target := t.TempDir()
	write(t, filepath.Join(target, "precious"), "text")
	code, m := run(t, filepath.Join(t.TempDir(), "missing"), target)
	if code == 0 || !exists(filepath.Join(target, "precious")) {
		t.Fatalf("exit code %d; the target's file is there: %v\n%s", code, exists(filepath.Join(target, "precious")), m.Tail(20))
	}
}

// A file that the mirror may not read stays dirty, is reported, keeps its old
// content at the target, and holds nothing else up.
func TestAFileThatCannotBeReadIsReportedAndCaughtUp(t *testing.T) {
	needRoot(t, "run the mirror as another user")
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			for _, dir := range []string{source, target, filepath.Dir(source)} {
				check(t, os.Chmod(dir, 0o755))
			}
			check(t, os.Chown(target, nobody, nobody))
			check(t, os.Chown(source, nobody, nobody))
			write(t, filepath.Join(source, "secret"), "version 1")
			check(t, os.Chmod(filepath.Join(source, "secret"), 0o600)) // root's
			write(t, filepath.Join(source, "open"), "text")
			flags, url := p.open(t, target)
			if len(flags) > 0 {
				check(t, os.Chmod(filepath.Dir(flags[1]), 0o755))
				check(t, os.Chown(flags[1], nobody, nobody))
			}
			m := startMirrorWith(t, harness.MirrorConfig{Args: append(flags, source, url), UserID: nobody})
			_, err := m.WaitFor(soon, "the unreadable file", 0, harness.Saying("path-failed", `secret.*permission denied`))
			check(t, err)
			expectAt(t, filepath.Join(target, "open"), "text")
			write(t, filepath.Join(source, "later"), "more")
			expectAt(t, filepath.Join(target, "later"), "more")
			if exists(filepath.Join(target, "secret")) {
				t.Error("something was made of a file that cannot be read")
			}
			check(t, os.Chmod(filepath.Join(source, "secret"), 0o644))
			expectAt(t, filepath.Join(target, "secret"), "version 1")
			stopMirror(t, m)
		})
	}
}

// A directory that cannot be listed must not look like an empty one.
func TestADirectoryThatCannotBeReadIsNotDeletedAtTheTarget(t *testing.T) {
	needRoot(t, "run the mirror as another user")
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			for _, dir := range []string{source, target, filepath.Dir(source)} {
				check(t, os.Chmod(dir, 0o755))
			}
			write(t, filepath.Join(source, "closed/file"), "text")
			write(t, filepath.Join(source, "open/file"), "text")
			write(t, filepath.Join(target, "closed/file"), "text")
			write(t, filepath.Join(target, "closed/of old"), "text")
			sh(t, filepath.Dir(target), "chown -R 65534:65534 "+target)
			check(t, os.Chmod(filepath.Join(source, "closed"), 0o700))
			flags, url := p.open(t, target)
			if len(flags) > 0 {
				check(t, os.Chmod(filepath.Dir(flags[1]), 0o755))
				check(t, os.Chown(flags[1], nobody, nobody))
			}
			m := startMirrorWith(t, harness.MirrorConfig{Args: append(flags, source, url), UserID: nobody})
			_, err := m.WaitFor(soon, "the unreadable directory", 0, harness.Saying("path-failed", `closed.*permission denied`))
			check(t, err)
			expectAt(t, filepath.Join(target, "open/file"), "text")
			check(t, os.RemoveAll(filepath.Join(source, "open")))
			check(t, harness.Poll(soon, "another directory is deleted", func() bool { return !exists(filepath.Join(target, "open")) }))
			if !exists(filepath.Join(target, "closed/file")) {
				t.Error("the content of a directory that cannot be read was deleted")
			}
			state, err := m.AskState(soon)
			check(t, err)
			if state.Targets[0].Behind == 0 {
				t.Errorf("what cannot be read was forgotten: %s", state.Raw)
			}
			check(t, os.Chmod(filepath.Join(source, "closed"), 0o755))
			check(t, harness.Poll(soon, "the directory is compared in full", func() bool {
				return exists(filepath.Join(target, "closed/file")) && !exists(filepath.Join(target, "closed/of old"))
			}))
			stopMirror(t, m)
		})
	}
}

// The full pass after a directory was lost is told of like the first: as long
// as it runs, and that it has ended.
func TestTheEndOfALaterPassIsTold(t *testing.T) {
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	write(t, filepath.Join(source, "file"), "text")
	m := startMirror(t, source, target)
	check(t, m.WaitInStep(soon, 1))
	check(t, os.RemoveAll(target))
	write(t, filepath.Join(source, "later"), "text")
	check(t, harness.Poll(soon, "the target to be in step again", func() bool {
		return strings.Count(m.Tail(50), "is in step:")+strings.Count(m.Tail(50), `"event":"in-step"`) >= 2
	}))
	converge(t, source, target, harness.Comparison{})
}
