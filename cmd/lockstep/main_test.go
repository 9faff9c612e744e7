package main

import (
	"bytes"
	"strings"
	"testing"

	"lockstep/internal/cli/lockstep"
)

func TestTheFaceIsPickedByNameThenByTheFirstWord(t *testing.T) {
	for _, c := range []struct {
		name string
		argv []string
		code int
		says string
	}{
		{"called as rsync", []string{"/usr/bin/rsync", "-a", "src", "dst"}, lockstep.ExitUnsupported, "the rsync face"},
		{"called as inotifywait", []string{"/usr/bin/inotifywait", "--nosuch"}, 1, "/usr/bin/inotifywait: unrecognized option '--nosuch'"},
		{"a face as the first word", []string{"lockstep", "fsnotifywatch", "--nosuch"}, 1, "fsnotifywatch: unrecognized option '--nosuch'"},
		{"a word of its own", []string{"/usr/local/bin/lockstep", "version"}, 0, "lockstep "},
		{"under another name", []string{"ls-test", "version"}, 0, "lockstep "},
		{"without a name", nil, 0, "Usage:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(c.argv, strings.NewReader(""), &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
				t.Errorf("exit code %d, output %q; want %d and %q", code, out.String(), c.code, c.says)
			}
		})
	}
}
