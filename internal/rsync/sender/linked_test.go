package sender_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/sender"
)

// TestANameThatChangedHandsIsNotSentForItsLinks gives a listed name of a linked
// file to another file before its content is asked for: that content must not
// end up under the other names.
func TestANameThatChangedHandsIsNotSentForItsLinks(t *testing.T) {
	for _, v := range []variant{{27, false}, {29, false}, {30, false}, {32, false}, {32, true}} {
		src := newPlant(t, v.protocol)
		src.file("x1", random(6, 2000))
		for _, name := range []string{"x2", "x3"} {
			src.link("x1", name)
		}
		dest := tempDir(t)
		p := startPeer(t, dest, peerOptions{protocol: v.protocol, incremental: v.incremental, letters: "logDtprH"})
		swapped := false
		heard := map[tree.Path]error{}
		p.run(sender.Job{Root: src.open(), Whole: true, OnError: func(p tree.Path, err error) { heard[p] = err }, OnProgress: func(p sender.Progress) {
			if p.ListedAll && !swapped {
				swapped = true
				check(t, os.WriteFile(src.path("other"), []byte("another file"), 0o644))
				check(t, os.Rename(src.path("other"), src.path("x3")))
			}
		}})
		p.wait()
		// Whichever name the peer asked for, the others were to be made from it.
		for _, name := range []tree.Path{"x1", "x2", "x3"} {
			if !errors.Is(heard[name], sender.ErrChanged) {
				t.Errorf("%v: of %s heard %v", v, name, heard[name])
			}
		}
		for _, name := range []string{"x1", "x2", "x3"} {
			got, err := os.ReadFile(filepath.Join(dest, name))
			want, _ := os.ReadFile(src.path("x1"))
			if err != nil && v.protocol >= 30 && name != "x3" || err == nil && !slices.Equal(got, want) {
				t.Errorf("%v: %s arrived with %d bytes, %v", v, name, len(got), err)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
	}
}
