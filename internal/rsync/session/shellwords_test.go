package session_test

import (
	"slices"
	"testing"

	"lockstep/internal/rsync/session"
)

func TestRemoteShellCommandIsSplitAtSpacesOutsideQuotes(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{in: "", want: []string{"ssh"}},
		{in: "ssh  -p 22", want: []string{"ssh", "-p", "22"}},
		{in: `ssh -o 'Proxy Command=a "b"'`, want: []string{"ssh", "-o", `Proxy Command=a "b"`}},
		{in: `x "a""b" ''`, want: []string{"x", `a"b`, ""}},
		{in: `x 'open`, bad: true},
	} {
		got, err := session.SplitShell(c.in)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}
