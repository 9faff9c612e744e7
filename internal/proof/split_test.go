package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

// A full pass over a large tree runs as several sessions. Together they must do
// what one does: send everything, delete what is extraneous wherever it is, put
// up with objects of another kind, and leave alone what rules protect.
func TestALargePassInParts(t *testing.T) {
	for name, lines := range map[string][]string{
		"with room for its connections": nil,
		"with one connection only":      {"max connections = 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, harness.DaemonConfig{Lines: lines})
			source := t.TempDir()
			sh(t, source, `
				for d in a1 a2 b7 b8 "c c" d; do
					mkdir -p "site/$d/deep"
					(cd "site/$d" && seq -f 'f%04.0f' 1 1100 | xargs touch && echo "$d" > deep/text)
				done
				echo top > site/top; echo other > other; mkdir site/a9; ln -s top site/b9`)
			sh(t, d.Path, `
				mkdir -p site/a1/old/x site/a5/old site/b5 site/zz/old old site/a2 site/keep site/b9/x
				touch site/a1/old/x/f site/a5/old/f site/b5/f site/zz/f old/f site/a2/keep site/keep/f site/a3 site/d site/b9/x/f`)
			code, m := run(t, "--once", "--json", "--exclude", "keep", "--password-file", d.PasswordFile, source, d.URL())
			if code != 0 {
				t.Fatalf("exit code %d\n%s", code, m.Tail(20))
			}
			if n := strings.Count(d.LogTail(), "receiving file list"); n < 3 {
				t.Errorf("%d sessions: the pass was not made in parts\n%s", n, d.LogTail())
			}
			for _, kept := range []string{"site/a2/keep", "site/keep/f"} {
				if _, err := os.Lstat(filepath.Join(d.Path, kept)); err != nil {
					t.Errorf("a protected file: %v", err)
				}
			}
			sh(t, d.Path, "rm -r site/keep site/a2/keep && touch -r "+filepath.Join(source, "site")+" site && touch -r "+filepath.Join(source, "site/a2")+" site/a2")
			converge(t, source, d.Path, munged)
		})
	}
}
