package session_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/rsync/session"
)

// What the environment and explicit choices do to the negotiation, with the real
// rsync at the other end.
func TestNegotiation(t *testing.T) {
	t.Parallel()
	rsh := shell(t)
	src := newSource(t)
	servers := map[bool]string{false: serverPath(t, false), true: serverPath(t, true)}
	rows := []struct {
		name, env, words string
		code             int
	}{
		{"a list of one", "RSYNC_CHECKSUM_LIST=md5", "-a", 0},
		{"halves that agree", "RSYNC_CHECKSUM_LIST=sha1 & sha1 md5", "-a", 0},
		{"halves that do not", "RSYNC_CHECKSUM_LIST=md5 & sha1", "-a", 4},
		{"no valid name", "RSYNC_CHECKSUM_LIST=nonesuch", "-a", 4},
		{"compression by list", "RSYNC_COMPRESS_LIST=lz4", "-az", 0},
		{"a choice that the server's list lacks", "RSYNC_CHECKSUM_LIST=md5", "-a --checksum-choice=xxh64", 4},
		{"a list that protocol 29 cannot use", "RSYNC_CHECKSUM_LIST=xxh64", "-a --protocol=29", 4},
		{"no checksum", "X=", "-a --checksum-choice=none", 0},
		{"two checksums", "X=", "-ac --checksum-choice=xxh3,sha1", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range append(corners, corner{}) {
				dir := t.TempDir()
				env := []string{row.env}
				path := filepath.Join(t.TempDir(), "server")
				write(t, path, "#!/bin/sh\nexport '"+strings.Replace(row.env, "=", "'='", 1)+"'\nexec "+servers[c.server]+" \"$@\"\n", 0o755)
				words := append(strings.Fields(row.words), "-e", rsh, "--rsync-path="+path, src+"/", "host:"+dir)
				got := client(t, c.client, env, words...)
				if got.code != row.code && !(row.code == 4 && got.code == 12) { // the server may be the first to go
					t.Errorf("%v: code %d: %s", c, got.code, got.err)
				}
				if row.code == 0 && got.code == 0 {
					sameTrees(t, src, dir)
				}
			}
		})
	}
}

// A name that another charset spells differently.
func TestCharsets(t *testing.T) {
	t.Parallel()
	rsh := shell(t)
	src := t.TempDir()
	write(t, filepath.Join(src, "caf\xe9"), "x", 0o644)
	write(t, filepath.Join(src, "plain"), "x", 0o644)
	for _, c := range corners {
		t.Run(c.String(), func(t *testing.T) {
			dir := t.TempDir()
			path := serverPath(t, c.server)
			got := client(t, c.client, nil, "-r", "--iconv=latin1,utf-8", "-e", rsh, "--rsync-path="+path, src+"/", "host:"+dir)
			if got.code != 0 {
				t.Fatalf("code %d: %s", got.code, got.err)
			}
			if _, err := os.Stat(filepath.Join(dir, "café")); err != nil {
				t.Error(err)
			}
			if !c.client {
				return // theirs takes a name that it cannot spell for one that was not asked for
			}
			back := t.TempDir()
			got = client(t, c.client, nil, "-rs", "--iconv=koi8-r,utf-8", "-e", rsh, "--rsync-path="+path, "host:"+dir+"/", back)
			if got.code != session.ExitPartial {
				t.Errorf("a name that cannot be spelled: code %d: %s", got.code, got.err)
			}
			if _, err := os.Stat(filepath.Join(back, "plain")); err != nil {
				t.Error(err)
			}
		})
	}
	if got := client(t, true, nil, "-r", "--iconv=nonesuch", src, t.TempDir()); got.code != session.ExitUnsupported {
		t.Errorf("an unknown charset: %+v", got)
	}
}
