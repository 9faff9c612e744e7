package delta_test

import (
	"math"
	"strings"
	"testing"

	"lockstep/internal/rsync/delta"
)

func TestGeometryIsThatOfTheSpecification(t *testing.T) {
	tests := []struct {
		name     string
		size     int64
		protocol int
		want     delta.Head
	}{
		{"empty, which is as good as no basis", 0, 31, delta.Head{}},
		{"one byte", 1, 31, delta.Head{Count: 1, BlockLen: 700, S2Len: 2, Remainder: 1}},
		{"5000 bytes", 5000, 31, delta.Head{Count: 8, BlockLen: 700, S2Len: 2, Remainder: 100}},
		{"largest with the least block", 490000, 31, delta.Head{Count: 700, BlockLen: 700, S2Len: 2}},
		{"one more", 490001, 31, delta.Head{Count: 701, BlockLen: 700, S2Len: 2, Remainder: 1}},
		{"1000000 bytes", 1000000, 31, delta.Head{Count: 1000, BlockLen: 1000, S2Len: 2}},
		{"10000000 bytes", 10000000, 31, delta.Head{Count: 3165, BlockLen: 3160, S2Len: 2, Remainder: 1760}},
		{"100 MiB", 100 << 20, 31, delta.Head{Count: 10240, BlockLen: 10240, S2Len: 3}},
		{"1 GiB", 1 << 30, 31, delta.Head{Count: 32768, BlockLen: 32768, S2Len: 3}},
		{"64 GiB", 64 << 30, 31, delta.Head{Count: 524288, BlockLen: 131072, S2Len: 5}},
		{"64 GiB, long blocks", 64 << 30, 29, delta.Head{Count: 262144, BlockLen: 262144, S2Len: 5}},
		{"1 TiB", 1 << 40, 31, delta.Head{Count: 8388608, BlockLen: 131072, S2Len: 6}},
		// The table of 2.2 says 6 here; the formula and rsync 3.5.0 say 5.
		{"1 TiB, long blocks", 1 << 40, 29, delta.Head{Count: 1048576, BlockLen: 1048576, S2Len: 5}},
		{"more blocks than can be counted", math.MaxInt64 / 2, 31, delta.Head{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := delta.Geometry(test.size, test.protocol, 16)
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got.Count > 0 && got.Size() != test.size {
				t.Errorf("size %d, want %d", got.Size(), test.size)
			}
		})
	}
}

func TestShortDigestsLimitTheStrongSum(t *testing.T) {
	if got := delta.Geometry(1<<40, 31, 1).S2Len; got != 1 {
		t.Errorf("got %d bytes of a digest of one", got)
	}
}

func TestHeadersOutsideTheLimitsAreRefused(t *testing.T) {
	tests := []struct {
		name     string
		head     delta.Head
		protocol int
		want     string // part of the error; "" for none
	}{
		{"no basis", delta.Head{}, 31, ""},
		{"usual", delta.Head{8, 700, 2, 100}, 31, ""},
		{"empty basis", delta.Head{0, 700, 2, 0}, 31, ""},
		{"full sums", delta.Head{8, 700, 16, 0}, 31, ""},
		{"no strong sums", delta.Head{8, 700, 0, 0}, 31, ""},
		{"longest block", delta.Head{1, 1 << 17, 2, 1 << 17}, 30, ""},
		{"longest block of old protocols", delta.Head{1, 1 << 29, 2, 0}, 29, ""},
		{"negative count", delta.Head{-1, 700, 2, 0}, 31, "block count"},
		{"negative block", delta.Head{1, -1, 2, 0}, 31, "block length"},
		{"block too long", delta.Head{1, 1<<17 + 1, 2, 0}, 30, "block length"},
		{"block too long for old protocols", delta.Head{1, 1<<29 + 1, 2, 0}, 29, "block length"},
		{"blocks of nothing", delta.Head{1, 0, 2, 0}, 31, "block length is 0"},
		{"negative strong sum", delta.Head{1, 700, -1, 0}, 31, "strong sum length"},
		{"strong sum longer than the digest", delta.Head{1, 700, 17, 0}, 31, "strong sum length"},
		{"negative remainder", delta.Head{1, 700, 2, -1}, 31, "remainder"},
		{"remainder longer than a block", delta.Head{1, 700, 2, 701}, 31, "remainder"},
		{"remainder of nothing", delta.Head{0, 0, 0, 1}, 31, "remainder"},
		{"more than the memory allowed", delta.Head{math.MaxInt32, 1 << 17, 16, 0}, 31, "bytes of memory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.head.Validate(test.protocol, 16)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one about %q", err, test.want)
			}
		})
	}
}
