package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
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
		overhead = 60_000 // bytes that names, sums and the session may take
	)
	renames := []struct {
		name, from, to string
		content        int64
	}{
		{"a directory of many files beside itself", "site/old", "site/new", files * size},
		{"that directory to another place", "site/new", "moved", files * size},
		{"back below a new directory", "moved", "site/deep/again", files * size},
		{"a large file beside itself", "big/image.iso", "big/image-2.iso", large},
		{"a large file to a directory that is there", "big/image-2.iso", "site/image.iso", large},
		{"a large file to the root", "site/image.iso", "image.iso", large},
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
	for _, c := range renames {
		t.Run(c.name, func(t *testing.T) {
			mark := m.Mark()
			check(t, os.MkdirAll(filepath.Dir(filepath.Join(source, c.to)), 0o755))
			check(t, os.Rename(filepath.Join(source, c.from), filepath.Join(source, c.to)))
			converge(t, source, d.Path, munged)
			converge(t, source, remote, plain)
			wire := harness.Wire(m.Since(mark))
			t.Logf("%d bytes on the wire to two targets for %d bytes of content", wire, c.content)
			if wire > 2*overhead {
				t.Errorf("%d bytes on the wire to two targets: content was sent again", wire)
			}
		})
	}
	stopMirror(t, m)
}
