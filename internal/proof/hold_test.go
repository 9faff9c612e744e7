package proof_test

import (
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/proof/harness"
)

// A file that is open for writing is not sent until it is closed.
func TestAnOpenFileIsHeldUntilItIsClosed(t *testing.T) {
	for _, backend := range []string{"fanotify", "inotify"} {
		for _, p := range places {
			t.Run(backend+" "+p.name, func(t *testing.T) {
				if backend == "fanotify" {
					needRoot(t, "fanotify")
				}
				source, target := t.TempDir(), t.TempDir()
				write(t, filepath.Join(source, "old"), "old content")
				flags, url := p.open(t, target)
				m := startMirror(t, append(flags, "--watch", backend, source, url)...)
				check(t, m.WaitInStep(soon, 1))

				fresh, err := os.Create(filepath.Join(source, "fresh"))
				check(t, err)
				old, err := os.OpenFile(filepath.Join(source, "old"), os.O_WRONLY, 0)
				check(t, err)
				for range 3 {
					_, err = fresh.WriteString("partial ")
					check(t, err)
					_, err = old.WriteString("NEW")
					check(t, err)
				}
				write(t, filepath.Join(source, "marker"), "sent meanwhile")
				expectAt(t, filepath.Join(target, "marker"), "sent meanwhile")
				if text, err := os.ReadFile(filepath.Join(target, "fresh")); err == nil && len(text) > 0 {
					t.Errorf("a part of a file that is being written is visible: %q", text)
				}
				expectAt(t, filepath.Join(target, "old"), "old content")
				check(t, fresh.Close())
				check(t, old.Close())
				expectAt(t, filepath.Join(target, "fresh"), "partial partial partial ")
				expectAt(t, filepath.Join(target, "old"), "NEWNEWNEWnt")
				converge(t, source, target, p.want)
				stopMirror(t, m)
			})
		}
	}
}

// One that is never closed is sent after --max-hold.
func TestAFileHeldOpenForLongIsSentAsItIs(t *testing.T) {
	for _, backend := range []string{"fanotify", "inotify", "poll"} {
		t.Run(backend, func(t *testing.T) {
			if backend == "fanotify" {
				needRoot(t, "fanotify")
			}
			source, target := t.TempDir(), t.TempDir()
			m := startMirror(t, "--watch", backend, "--poll-interval", "100ms", "--max-hold", "500ms", source, target)
			check(t, m.WaitInStep(soon, 1))
			f, err := os.Create(filepath.Join(source, "log"))
			check(t, err)
			defer f.Close()
			_, err = f.WriteString("first\n")
			check(t, err)
			expectAt(t, filepath.Join(target, "log"), "first\n")
			_, err = f.WriteString("second\n")
			check(t, err)
			expectAt(t, filepath.Join(target, "log"), "first\nsecond\n")
			check(t, f.Close())
			converge(t, source, target, plain)
			stopMirror(t, m)
		})
	}
}

// A name that is moved away while the file is open takes the hold with it.
func TestAHeldFileMayBeRenamedAndDeleted(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	m := startMirror(t, source, target)
	check(t, m.WaitInStep(soon, 1))
	f, err := os.Create(filepath.Join(source, "download.part"))
	check(t, err)
	_, err = f.WriteString("all of it")
	check(t, err)
	check(t, os.Rename(filepath.Join(source, "download.part"), filepath.Join(source, "download")))
	gone, err := os.Create(filepath.Join(source, "gone"))
	check(t, err)
	_, err = gone.WriteString("x")
	check(t, err)
	check(t, os.Remove(filepath.Join(source, "gone")))
	check(t, f.Close())
	check(t, gone.Close())
	expectAt(t, filepath.Join(target, "download"), "all of it")
	converge(t, source, target, harness.Comparison{})
	stopMirror(t, m)
}

// A file that was opened before the mirror started is held, too: the first pass
// leaves the target's old version where it is.
func TestAFileOpenBeforeTheStartIsHeld(t *testing.T) {
	for _, backend := range []string{"fanotify", "inotify", "poll"} {
		for _, p := range places {
			t.Run(backend+" "+p.name, func(t *testing.T) {
				t.Parallel()
				if backend == "fanotify" {
					needRoot(t, "fanotify")
				}
				source, target := t.TempDir(), t.TempDir()
				write(t, filepath.Join(target, "file"), "as it was")
				f, err := os.Create(filepath.Join(source, "file"))
				check(t, err)
				defer f.Close()
				_, err = f.WriteString("a part")
				check(t, err)
				check(t, os.Link(filepath.Join(source, "file"), filepath.Join(source, "other name")))
				write(t, filepath.Join(source, "closed"), "whole")
				flags, url := p.open(t, target)
				m := startMirror(t, append(flags, "--watch", backend, "--poll-interval", "100ms", source, url)...)
				check(t, m.WaitInStep(soon, 1))
				expectAt(t, filepath.Join(target, "closed"), "whole")
				expectAt(t, filepath.Join(target, "file"), "as it was")
				if exists(filepath.Join(target, "other name")) {
					t.Error("a part of a file is visible under its other name")
				}
				_, err = f.WriteString(" and the rest")
				check(t, err)
				check(t, f.Close())
				converge(t, source, target, p.want)
				stopMirror(t, m)
			})
		}
	}
}
