package rsync_test

import (
	"testing"

	"lockstep/internal/cli/rsync"
)

func TestGarbageIsBoundedBySizeThenByShare(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name string
		live uint64
		want int
	}{
		{"nothing known yet", 0, 400},
		{"hardly anything", 1 << 10, 400},
		{"two MiB", 2 * mib, 400},
		{"as much as there may be garbage", 8 * mib, 100},
		{"a list of half a million", 32 * mib, 25},
		{"a list of millions", 4096 * mib, 25},
	} {
		if got := rsync.GarbagePercent(c.live); got != c.want {
			t.Errorf("%s: %d percent, want %d", c.name, got, c.want)
		}
	}
}
