package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lockstep/internal/proof/harness"
)

// What is renamed crosses no content again, to a stock daemon and to a stock
// rsync behind a remote shell.
func TestRenamesCrossNoContent(t *testing.T) {
	const (
		files    = 200
		size     = 20_000
		large    = 8 << 20
		overhead = 100_000 // bytes that names, block sums and the sessions may take, for each target
	)
	renames := []struct {
		name, script string
		content      int64
	}{
		{"a directory of many files beside itself", "mv site/old site/new", files * size},
		{"that directory to another place", "mv site/new moved", files * size},
		{"back below a new directory", "mkdir -p site/deep && mv moved site/deep/again", files * size},
		{"out again", "mv site/deep/again site/old", files * size},
		{"a part of it", "mv site/old/s1 .", files * size},
		{"the part back", "mv s1 site/old/s1", files * size},
		{"from name to name", "mv site/old x && mv x site/y && mv site/y z", files * size},
		{"back to its old name", "mv z site/old", files * size},
		{"a large file from name to name", "mv big/image.iso x && mv x y && mv y big/image.iso", large},
		{"a large file beside itself", "mv big/image.iso big/image-2.iso", large},
		{"a large file to a directory that is there", "mv big/image-2.iso site/image.iso", large},
		{"a large file to the root", "mv site/image.iso image.iso", large},
		{"a large file below a new directory", "mkdir c && mv image.iso c/image.iso", large},
	}
	source := t.TempDir()
	for i := range files {
		noise(t, filepath.Join(source, "site/old", fmt.Sprintf("s%d/file%d", i%5, i)), size)
	}
	noise(t, filepath.Join(source, "big/image.iso"), large)
	d := startDaemon(t, harness.DaemonConfig{})
	remote := t.TempDir()
	m := startMirror(t, "--rsh", newShell(t).Path, "--password-file", d.PasswordFile, source, d.URL(), "host:"+remote)
	check(t, m.WaitInStep(soon, 2))
	equal := true
	for _, c := range renames {
		if !equal {
			break // the others would only wait for the same
		}
		t.Run(c.name, func(t *testing.T) {
			mark := m.Mark()
			sh(t, source, c.script)
			equal = false
			converge(t, source, d.Path, munged)
			converge(t, source, remote, plain)
			equal = true
			wire := harness.Wire(m.Since(mark))
			t.Logf("%d bytes on the wire to two targets for %d bytes of content", wire, c.content)
			if wire > 2*overhead {
				t.Errorf("%d bytes on the wire to two targets: content was sent again", wire)
			}
		})
	}
	stopMirror(t, m)
}

// A file is rewritten and looks the same, then its directory gets another name:
// the links to the old place that save its content must not bring that back.
func TestARewriteThatDoesNotShowSurvivesItsDirectorysRename(t *testing.T) {
	for _, flags := range [][]string{nil, {"-H"}, {"-X"}} {
		t.Run(fmt.Sprint("with", flags), func(t *testing.T) {
			t.Parallel()
			source, remote, target := t.TempDir(), t.TempDir(), t.TempDir()
			write(t, filepath.Join(source, "old/file"), "before")
			write(t, filepath.Join(source, "old/other"), "other")
			d := startDaemon(t, harness.DaemonConfig{})
			m := startMirror(t, append(flags, "--rsh", newShell(t).Path, "--password-file", d.PasswordFile,
				source, d.URL(), "host:"+remote, target)...)
			check(t, m.WaitInStep(soon, 3))
			check(t, m.Signal(syscall.SIGSTOP)) // so that one batch has it all
			sh(t, source, `touch -r old/file time && printf AFTER. > old/file && touch -r time old/file && mv old new && rm time`)
			check(t, m.Signal(syscall.SIGCONT))
			converge(t, source, d.Path, munged)
			converge(t, source, remote, plain)
			converge(t, source, target, plain)
			stopMirror(t, m)
		})
	}
}

// A local directory carries renames out as renames: the files stay the same
// objects.
func TestRenamesKeepTheFilesOfADirectoryTarget(t *testing.T) {
	for _, script := range []string{
		"mv tree moved",
		"mv tree one && mv one two && mkdir tree && mv two/sub tree/sub",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), t.TempDir()
			for i := range 300 {
				noise(t, filepath.Join(source, fmt.Sprintf("tree/sub/%d/file%d", i%7, i)), 1000)
			}
			m := startMirror(t, source, target)
			check(t, m.WaitInStep(soon, 1))
			mark := m.Mark()
			sh(t, source, script)
			converge(t, source, target, plain)
			for _, e := range m.Since(mark) {
				if e.Event == "batch" && (e.Files > 0 || e.Deleted > 20) {
					t.Errorf("files were copied or deleted for a rename: %s", e.Raw)
				}
			}
			stopMirror(t, m)
		})
	}
}

// Renames, deletes and writes while the first pass runs.
func TestChangesDuringTheFirstPass(t *testing.T) {
	for _, p := range places {
		for _, backend := range []string{"fanotify", "inotify"} {
			t.Run(p.name+" "+backend, func(t *testing.T) {
				t.Parallel()
				if backend == "fanotify" {
					needRoot(t, "fanotify")
				}
				source, target := t.TempDir(), t.TempDir()
				for i := range 6 {
					makeTree(t, filepath.Join(source, fmt.Sprint("part", i)), 1000)
				}
				flags, url := p.open(t, target)
				m := startMirror(t, append(flags, "--watch", backend, source, url)...)
				check(t, m.WaitWatching(soon))
				for i := range 5 {
					check(t, harness.Poll(soon, "the pass has come this far", func() bool {
						return exists(filepath.Join(target, fmt.Sprint("part", i))) || inStep(m)
					}))
					sh(t, source, fmt.Sprintf(`
						mv part%[1]d moved%[1]d && echo x > moved%[1]d/d000/new && rm -r moved%[1]d/d000/e003
						mv moved%[1]d/d000/e004 again%[1]d && mv moved%[1]d final%[1]d && sed -i s/^/x/ final%[1]d/d000/e005/*1`, i))
				}
				check(t, os.RemoveAll(filepath.Join(source, "part5")))
				converge(t, source, target, p.want)
				stopMirror(t, m)
			})
		}
	}
}
