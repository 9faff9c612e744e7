package target_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/hours"
	"lockstep/internal/live/target"
)

// TestAComparisonReadsAtItsPace compares 384 KiB at 1 MiB a second.
func TestAComparisonReadsAtItsPace(t *testing.T) {
	source, copied := t.TempDir(), t.TempDir()
	for i, dir := range []string{source, copied} {
		text := make([]byte, 384<<10)
		text[len(text)-1] = byte(i)
		if err := os.WriteFile(filepath.Join(dir, "big"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := walk.OpenRoot(source)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	sp, err := target.ParseSpec(copied)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	d := target.NewDirectory(sp, target.Source{Dir: source, Pin: root.Inode()}, target.Options{Delete: true, MaxDelete: change.NoLimit, DryRun: true, Checksum: true,
		BwLimit: hours.Always(1024), Planned: func(bool, tree.Path) { found++ }})
	began := time.Now()
	if _, err := d.Full(t.Context(), func(target.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); found != 1 || took < 300*time.Millisecond || took > 5*time.Second {
		t.Errorf("%d differences after %v", found, took)
	}
}
