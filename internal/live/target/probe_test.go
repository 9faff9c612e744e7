package target_test

import (
	"errors"
	"os"
	"testing"

	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
)

func TestProbeOfADeadTargetSaysWhy(t *testing.T) {
	dir := t.TempDir()
	root, err := walk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	sp, err := target.ParseSpec("rsync://127.0.0.1:1/m")
	if err != nil {
		t.Fatal(err)
	}
	r, err := target.NewRsync(sp, target.Source{Dir: dir, Pin: root.Inode()}, target.Options{Delete: true, MaxDelete: change.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var te *target.Error
	if _, err := r.Probe(t.Context()); !errors.As(err, &te) || te.Permanent {
		t.Errorf("got %v, want a failure that may pass", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Probe(t.Context()); !errors.Is(err, target.ErrSourceGone) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its source: %v", err)
	}
}
