package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

// TestSessionsThatDoNotComeAbout has rsync and us, as clients of an rsync, fail
// before there is anything to transfer: with the same code and the same words.
func TestSessionsThatDoNotComeAbout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rsyncd.conf"), "use chroot = no\nlog file = "+dir+"/log\n[mod]\npath = "+dir+"/src\n", 0o644)
	write(t, filepath.Join(dir, "early"), strings.Repeat("x", 5121), 0o644)
	write(t, filepath.Join(dir, "fails"), "#!/bin/sh\nread greeting\nexit 7\n", 0o755)
	rsh, real := shell(t), needRsync(t)
	over := "-a -e " + rsh + " --rsync-path=SERVER "
	rows := []struct {
		name, words string
		env         []string
	}{
		{"a list of files that cannot be read", "-a --files-from=DIR/src DIR/src/ DIR/to", nil},
		{"one at the other side", over + "--files-from=:DIR/src host:DIR/src/ DIR/to", nil},
		{"one at the other side that is not there", over + "--files-from=:DIR/nope host:DIR/src/ DIR/to", nil},
		{"an option that the other half of a local copy does not know", "-a -M--nope DIR/src/ DIR/to", nil},
		{"one that a server does not know", over + "-M--nope DIR/src/ host:DIR/to", nil},
		{"an unknown charset of the other half of a local copy", "-a --iconv=utf-8,nope DIR/src/ DIR/to", nil},
		{"one of a server that sends", over + "--iconv=utf-8,nope host:DIR/src/ DIR/to", nil},
		{"one of a server that receives", over + "--iconv=utf-8,nope DIR/src/ host:DIR/to", nil},
		{"no host", "::mod", nil},
		{"no host in a URL", "rsync:///mod", nil},
		{"no host before a proxy's port", "host::mod", []string{"RSYNC_PROXY=:1"}},
		{"a program for no host", "::mod", []string{"RSYNC_CONNECT_PROG=SERVER --server --daemon --config=DIR/rsyncd.conf ."}},
		{"a shell that fails before a daemon is there", "-e DIR/fails host::mod", nil},
		{"a module with a slash in front", "-e DIR/fails host::/mod", nil},
		{"too much early input", "--early-input=DIR/early host::mod", []string{"RSYNC_CONNECT_PROG=SERVER --server --daemon --config=DIR/rsyncd.conf ."}},
		{"an address of another family", "-6 rsync://127.0.0.1:1/mod", nil},
		{"a greeting without a subversion", "host::mod", []string{"RSYNC_CONNECT_PROG=read line; echo @RSYNCD: 32 md5"}},
		{"an end after the greeting", "host::mod", []string{"RSYNC_CONNECT_PROG=read line; echo @RSYNCD: 32.0 md5; read module"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			fill := strings.NewReplacer("DIR", dir, "SERVER", real)
			words := strings.Split(fill.Replace(row.words), " ")
			var env []string
			for _, v := range row.env {
				env = append(env, fill.Replace(v))
			}
			var said [2]string
			for i, ours := range []bool{false, true} {
				got := client(t, ours, env, words...)
				lines := strings.Split(harness.Plain(got.err, dir), "\n")
				slices.Sort(lines) // two processes speak, and one of them may say the same
				said[i] = fmt.Sprint(got.code, strings.Join(slices.Compact(lines), "\n"))
			}
			if said[0] != said[1] {
				t.Errorf("rsync: %s\nours: %s", said[0], said[1])
			}
		})
	}
}
