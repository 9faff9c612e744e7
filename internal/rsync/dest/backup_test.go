package dest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
)

// says checks what was told, whatever directory the names are in.
func (g *target) says(want ...string) {
	g.t.Helper()
	var got []string
	for _, line := range g.talk.lines {
		got = append(got, strings.ReplaceAll(line, g.dir, "DIR"))
	}
	if !slices.Equal(got, want) {
		g.t.Errorf("told %q\nwant %q", got, want)
	}
}

// What filters protect is not removed to make room for a backup either.
func TestWhatIsProtectedIsNotRemovedForABackup(t *testing.T) {
	for _, c := range []struct {
		name     string
		dir      string // of backups
		kept     tree.Path
		in, told string
	}{
		{"beside the file", "", "f~/x", "f~/", "f~"},
		{"in a directory of the tree", "bak", "bak/f~/x", "bak/f~/", "bak/f~"},
		{"named in a roundabout way", "./bak/", "bak/f~/x", "bak/f~/", "./bak/f~"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTarget(t, func(o *option.Set) { o.Backup, o.BackupDir, o.Suffix = true, c.dir, "~" })
			g.write("f", "old")
			g.write(c.in+"x", "kept")
			g.d.Protect(func(p tree.Path, _ bool) bool { return p == c.kept })
			have, err := g.d.StatPath("f")
			must(t, err)
			if err := g.d.As("generator").Delete("f", have.Meta, dest.Removal{MakeRoom: "directory"}); !errors.Is(err, dest.ErrFailed) {
				t.Errorf("error %v", err)
			}
			g.says("cannot delete non-empty directory: "+c.told, "could not make way for backup directory: "+c.told,
				"rsync: [generator] delete_file: make_backup(f) failed: Success (0)", "could not make way for new directory: f")
		})
	}
}

// A delayed update whose backup is not to be had stays where it is; the others
// are put in place.
func TestABackupThatFailsHoldsOneDelayedUpdateBack(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.DelayUpdates, o.Backup = true, true })
	g.write("f", "old")
	g.write("f~/x", "kept")
	g.d.Protect(func(tree.Path, bool) bool { return true })
	g.receive(whole, dest.Good, "new")
	second := *g.f
	second.Path, second.Index = "g", 4
	g.f = &second
	g.receive(whole, dest.Good, "two")
	failed := map[tree.Path]bool{}
	g.d.PlaceDelayed(func(f *flist.File, err error) { failed[f.Path] = err != nil })
	if !failed["f"] || failed["g"] {
		t.Errorf("failed: %v", failed)
	}
	g.says("cannot delete non-empty directory: f~", "could not make way for backup directory: f~")
	g.has(".~tmp~/", ".~tmp~/f rw-r----- new @t", "f rw----r-- old", "f~/", "f~/x rw----r-- kept", "g rw-r----- two @t")
}

func TestADirectoryIsInTheWayOfACopy(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.Inplace, o.Backup = true, true })
	g.write("f", "old")
	g.write("f~/x", "")
	have, err := g.d.StatPath("f")
	must(t, err)
	if _, err := g.d.As("generator").BackupCopy("f", have.Meta); err == nil {
		t.Error("the backup was made")
	}
	g.says(`rsync: [generator] unlink "DIR/f~": Is a directory (21)`)
}
