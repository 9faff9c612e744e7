package proof_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// plantFile writes a file with the directories above it.
func plantFile(t *testing.T, dir, name, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

// TestDeletedAndReplacedThingsAreKept deletes and rewrites at the source and
// finds what was there in the dated directory of each target; what is older than
// backup-days goes.
func TestDeletedAndReplacedThingsAreKept(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, harness.DaemonConfig{})
	local := t.TempDir()
	source := t.TempDir()
	for _, name := range []string{"keep", "gone", "changed", "tree/a/file", "tree/empty/x"} {
		plantFile(t, source, name, name)
	}
	check(t, os.Remove(filepath.Join(source, "tree/empty/x")))
	day := func(ago int) string { return ".deleted-" + time.Now().AddDate(0, 0, -ago).Format("2006-01-02") }
	for _, dir := range []string{local, d.Path} {
		plantFile(t, dir, "extra", "extra") // deleted by the first pass
		for _, ago := range []int{1, 7, 9, 20} {
			plantFile(t, dir, day(ago)+"/old", "old")
		}
		plantFile(t, dir, ".deleted-me", "no directory of ours") // deleted as well
	}
	m := startMirror(t, "--backup-dir=.deleted", "--backup-days=7", "--password-file="+d.PasswordFile, source, local, d.URL())
	check(t, m.WaitInStep(soon, 2))
	holds := func(name, want string) {
		t.Helper()
		for _, dir := range []string{local, d.Path} {
			if err := harness.Poll(soon, name+" in "+dir, func() bool {
				got, err := os.ReadFile(filepath.Join(dir, name))
				return err == nil && string(got) == want
			}); err != nil {
				t.Error(err)
			}
		}
	}
	gone := func(name string) {
		t.Helper()
		for _, dir := range []string{local, d.Path} {
			if err := harness.Poll(soon, name+" to go from "+dir, func() bool {
				_, err := os.Lstat(filepath.Join(dir, name))
				return os.IsNotExist(err)
			}); err != nil {
				t.Error(err)
			}
		}
	}
	today := day(0) + "/"
	holds("keep", "keep")
	holds(today+"extra", "extra")
	holds(today+".deleted-me", "no directory of ours")
	gone("extra")
	check(t, os.WriteFile(filepath.Join(source, "changed"), []byte("anew"), 0o644))
	holds("changed", "anew")
	holds(today+"changed", "changed")
	check(t, os.Remove(filepath.Join(source, "gone")))
	check(t, os.RemoveAll(filepath.Join(source, "tree")))
	holds(today+"gone", "gone")
	holds(today+"tree/a/file", "tree/a/file")
	gone("gone")
	gone("tree")
	for _, ago := range []int{9, 20} {
		gone(day(ago))
	}
	holds(day(1)+"/old", "old")
	holds(day(7)+"/old", "old")
	if _, err := os.Lstat(filepath.Join(source, day(0))); !os.IsNotExist(err) {
		t.Errorf("the source has the backups: %v", err)
	}
}
