package dest_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lockstep/internal/rsync/option"
)

// What the sender says of a file that was not there is only believed as long as
// it is so.
func TestStoreWhereNothingWas(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*option.Set)
		there string // content of what stands there after all
		want  []string
	}{
		{"nothing is", nil, "", []string{"f rw-r----- new @t"}},
		{"a file has appeared", nil, "old", []string{"f rw-r----- new @t"}},
		{"its permissions count", func(o *option.Set) { o.Perms = false }, "old", []string{"f rw----r-- new @t"}},
		{"it is kept", func(o *option.Set) { o.Backup, o.Suffix = true, "~" }, "old", []string{"f rw-r----- new @t", "f~ rw----r-- old"}},
		{"it is written in place", func(o *option.Set) { o.Inplace = true }, "older", []string{"f rw-r----- new @t"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTarget(t, c.set)
			if c.there != "" {
				g.write("f", c.there)
			}
			if _, err := g.d.Store(g.f, []byte("new"), false, true); err != nil {
				t.Fatal(err)
			}
			g.has(c.want...)
			if len(g.talk.lines) > 0 {
				t.Errorf("it said %q", g.talk.lines)
			}
		})
	}
}

func TestStoreWhereADirectoryHasAppeared(t *testing.T) {
	g := newTarget(t, nil)
	must(t, os.Mkdir(filepath.Join(g.dir, "f"), 0o755))
	if _, err := g.d.Store(g.f, []byte("new"), false, true); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("the error is %v", err)
	}
	g.has("f/")
}
