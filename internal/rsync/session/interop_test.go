package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
)

func password(s string) func() (string, error) {
	return func() (string, error) { return s, nil }
}

func TestPushToARealDaemon(t *testing.T) {
	d := startRsyncd(t, `
[open]
path = DIR/mod
read only = no
[closed]
path = DIR/mod
read only = no
auth users = alice
secrets file = DIR/secrets
`)
	src := newSource(t)
	for protocol := session.MinProtocol; protocol <= session.MaxProtocol; protocol++ {
		for _, module := range []string{"open", "closed"} {
			t.Run(fmt.Sprintf("protocol %d, module %s", protocol, module), func(t *testing.T) {
				ep := d.module(module, protocol)
				ep.User, ep.Password = "alice", password("open sesame")
				opts := archive()
				opts.IncRecurse = module == "open"
				dest := fmt.Sprintf("%s %d", module, protocol)
				var files int
				result, err := push(t.Context(), ep, opts, dest, sender.Job{
					Root: openRoot(t, src), Whole: true,
					OnProgress: func(p sender.Progress) { files = p.Listed },
				})
				if err != nil {
					t.Fatal(err)
				}
				if files == 0 || result.Files != files || result.Transferred != 4 {
					t.Errorf("result %+v", result)
				}
				sameTrees(t, src, filepath.Join(d.dir, "mod", dest))
			})
		}
	}
}

func TestExplicitListWithDeletions(t *testing.T) {
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := newSource(t)
	gone := filepath.Join(d.dir, "mod", "gone")
	write(t, gone, "old", 0o644)
	opts := archive()
	opts.Recurse, opts.Relative, opts.DeleteMissing = false, true, true
	var deleted []string
	_, err := push(t.Context(), d.module("mod", 0), opts, "", sender.Job{
		Root: openRoot(t, src), List: []sender.Item{{Path: "gone"}, {Path: "sub/b"}},
		OnDeleted: func(name string, dir bool) { deleted = append(deleted, fmt.Sprint(name, dir)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(gone); !os.IsNotExist(err) {
		t.Errorf("the missing path is still there: %v", err)
	}
	if len(deleted) != 1 || deleted[0] != "gonefalse" {
		t.Errorf("deleted %q", deleted)
	}
	if got := read(filepath.Join(d.dir, "mod", "sub", "b")); len(got) != 50000 {
		t.Errorf("file has %d bytes", len(got))
	}
}
