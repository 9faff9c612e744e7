package option_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/rsync/option"
)

// TestChmodDoesAsRsyncDoes goes through what rsync 3.5.0 made of modes.
func TestChmodDoesAsRsyncDoes(t *testing.T) {
	text, err := os.ReadFile("testdata/chmod.txt")
	if err != nil {
		t.Fatal(err)
	}
	octal := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
	types := map[string]uint32{"f": 0o100000, "d": 0o040000}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		c, err := option.ParseChmod([]string{f[1]}, octal(f[0]))
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if got := c.Apply(types[f[2]] | octal(f[3])); got != types[f[2]]|octal(f[4]) {
			t.Errorf("umask %s, --chmod=%s, %s %s: got %o, want %s", f[0], f[1], f[2], f[3], got&0o7777, f[4])
		}
	}
}

func TestChmodIsAppliedInOrder(t *testing.T) {
	c, err := option.ParseChmod([]string{"u=rwx,go=", "g=u,Fa-x"}, 0o022)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Apply(0o100644); got != 0o100660 {
		t.Errorf("a file: %o", got)
	}
	if got := c.Apply(0o040755); got != 0o040770 {
		t.Errorf("a directory: %o", got)
	}
	var none *option.Chmod
	if got := none.Apply(0o100644); got != 0o100644 {
		t.Errorf("no --chmod: %o", got)
	}
}

func TestChmodIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "q", "u", "u+q", "u=rg", "9", "77777", "DFu+x", "X", ",", "u+x,", ",u+x", "u+x,,g+x",
		"D", "F", "u+x g+x", "ug=uo", "a", "=644", "u644",
	} {
		_, err := option.ParseChmod([]string{text}, 0)
		if want := "rsync: Invalid argument passed to --chmod (" + text + ")"; err == nil || err.Error() != want {
			t.Errorf("--chmod=%s: got %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"u+", "=", "D=", "u=X", "g=rwxXst", "D0", "00000", "ug=r", "u-u"} {
		if _, err := option.ParseChmod([]string{text}, 0); err != nil {
			t.Errorf("--chmod=%s: %v", text, err)
		}
	}
}
