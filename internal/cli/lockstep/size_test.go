package lockstep_test

import (
	"testing"

	"lockstep/internal/cli/lockstep"
)

// The accepted and refused values, and the rounding, are those of rsync 3.5.0.
func TestBandwidthTakesRsyncSizes(t *testing.T) {
	for in, want := range map[string]int{
		"0": 0, "100": 100, "1.5m": 1536, "1.k": 1, ".5k": 1, "1K+1": 1,
		"1mb-1": 977, "512b": 1, "1535b": 1, "1536b": 2, "0.5": 1, "2GiB": 2 << 20, "1T": 1 << 30,
	} {
		if got, err := lockstep.ParseBandwidth(in); err != nil || got != want {
			t.Errorf("--bwlimit=%s is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "abc", "k", "1.5.5", "-1", "0.1", "511b", "1E", "1kbx", "1kB-2", "0x10", "1e3", "1i", "1ib", "1bi", "9999p", "NaN", "Inf",
	} {
		if got, err := lockstep.ParseBandwidth(in); err == nil {
			t.Errorf("--bwlimit=%s is accepted as %d", in, got)
		}
	}
}

func TestSizesForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 12595: "12.3 KiB", 1 << 20: "1.0 MiB",
		1<<20 - 1: "1.0 MiB", 5 << 40: "5.0 TiB", 1 << 62: "4096.0 PiB",
	} {
		if got := lockstep.ByteCount(n); got != want {
			t.Errorf("%d bytes read %q, want %q", n, got, want)
		}
	}
}

func TestCountsForPeople(t *testing.T) {
	for _, c := range []struct {
		n         int
		one, want string
	}{
		{1, "change", "1 change"},
		{0, "change", "0 changes"},
		{999, "file", "999 files"},
		{1000, "batch", "1,000 batches"},
		{1234567, "directory", "1,234,567 directories"},
	} {
		if got := lockstep.Count(c.n, c.one); got != c.want {
			t.Errorf("%d %s read %q, want %q", c.n, c.one, got, c.want)
		}
	}
}
