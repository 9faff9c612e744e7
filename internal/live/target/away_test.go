package target_test

import (
	"context"
	"errors"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/target"
)

func TestAwayLeavesOutWhatIsBelowAtBothEnds(t *testing.T) {
	a := target.NewAway()
	for _, dir := range []tree.Path{"disk", `odd [x]*\?/deep`} {
		a.Add(dir)
	}
	scope := a.Rules().Scope(nil)
	for p, out := range map[tree.Path]bool{
		"disk": false, "disk/a": true, "disk/a/b": true, "other/disk/a": false, "disks/a": false,
		`odd [x]*\?/deep`: false, `odd [x]*\?/deep/a`: true, `odd x\?/deep/a`: false, `odd [x]*\?/b`: false,
	} {
		if scope.Hidden(p, false) != out || scope.Protected(p, false) != out {
			t.Errorf("%v: hidden %v, protected %v, want %v", p, scope.Hidden(p, false), scope.Protected(p, false), out)
		}
	}
	if !a.Covers("disk/a") || !a.Covers("disk") || a.Covers("disks") {
		t.Error("Covers is not about what lies below")
	}
	if !a.Drop("disk") || a.Drop("disk") || a.Covers("disk/a") {
		t.Error("a mount point that was dropped still counts")
	}
	a.Drop(`odd [x]*\?/deep`)
	if a.Rules() != nil {
		t.Error("rules are left without a mount point")
	}
}

func TestAPassEndsWhenAFileSystemGoesAway(t *testing.T) {
	a := target.NewAway()
	a.Add("before")
	ctx, stop := a.Guard(t.Context())
	defer stop()
	a.Add("before")
	if ctx.Err() != nil {
		t.Fatal("what is known already ended a pass")
	}
	a.Add("disk")
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, target.ErrUnmounted) {
		t.Errorf("the cause is %v", cause)
	}
	again, stop := a.Guard(t.Context())
	defer stop()
	if again.Err() != nil {
		t.Error("a pass begun afterwards is over")
	}
}
