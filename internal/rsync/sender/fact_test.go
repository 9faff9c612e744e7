package sender_test

import (
	"slices"
	"testing"

	"lockstep/internal/rsync/sender"
)

func TestFactsShareWhatEntriesHaveInCommon(t *testing.T) {
	var added []sender.KeptFact
	for i := range 10_000 {
		added = append(added, sender.KeptFact{
			Size: int64(i) << 30, Mtime: -int64(i), Nsec: uint32(i), UID: uint32(i / 100 % 3), GID: 7, Perm: 0o644, Followed: i%2 == 0,
		})
	}
	kept, traits := sender.Kept(added)
	if !slices.Equal(kept, added) {
		t.Error("what is kept is not what was added")
	}
	if traits != 6 {
		t.Errorf("%d traits, want 6", traits)
	}
}
