package session_test

import (
	"slices"
	"testing"

	"lockstep/internal/rsync/session"
)

func TestNamesOfLists(t *testing.T) {
	for _, c := range []struct {
		list  string
		from0 bool
		want  []string
	}{
		{"a\nb\n", false, []string{"a", "b"}},
		{"a\r\n\n\r\nb", false, []string{"a", "b"}},
		{"#a\n ;b\n;c\n", false, []string{" ;b"}},
		{"a\x00b\nc", false, []string{"a", "b", "c"}},
		{"a\n\x00\x00b\r\x00c", true, []string{"a\n", "b\r", "c"}},
		{"#a\x00b\x00;c\x00", true, []string{"b"}},
	} {
		if got := session.ListedNames(c.list, c.from0); !slices.Equal(got, c.want) {
			t.Errorf("%q, NUL %v: %q, want %q", c.list, c.from0, got, c.want)
		}
	}
}
