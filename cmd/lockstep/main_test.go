package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheFaceIsPickedByNameThenByTheFirstWord(t *testing.T) {
	for _, c := range []struct {
		name string
		argv []string
		code int
		says string
	}{
		{"called as rsync", []string{"/usr/bin/rsync", "--version"}, 0, "rsync  version 3.5.0-lockstep  protocol version 32\n"},
		{"rsync as the first word", []string{"lockstep", "rsync", "--nope"}, 1, "rsync: --nope: unknown option\nrsync error: syntax or usage error (code 1)"},
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
