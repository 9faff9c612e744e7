package flist_test

import (
	"testing"

	"lockstep/internal/rsync/flist"
)

func TestPiecesKeepEverythingInOrder(t *testing.T) {
	for _, c := range []struct {
		name            string
		expected, added int
	}{
		{"none", 0, 0}, {"fewer than expected", 10, 3}, {"more than expected", 3, 5000},
		{"one full piece", 4096, 4096}, {"one more", 4096, 4097}, {"many expected", 1 << 30, 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p flist.Pieces[int]
			p.Expect(c.expected)
			for i := range c.added {
				p.Add(i)
			}
			if p.Len() != c.added {
				t.Fatalf("%d items, want %d", p.Len(), c.added)
			}
			for i := range c.added {
				if *p.At(i) != i {
					t.Fatalf("item %d is %d", i, *p.At(i))
				}
			}
		})
	}
}
