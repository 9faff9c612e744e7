package sender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
)

// watcher takes note of progress.
type watcher struct {
	listener
	seen []string
}

func (w *watcher) Progress(p output.Progress, done bool) {
	if done {
		w.seen = append(w.seen, fmt.Sprintf("%d bytes of %d, xfr#%d, %d/%d", p.TotalAt, p.TotalSize, p.Transferred, p.Left, p.All))
	}
}

// TestTheWholeProgressIsShownOnceMore runs when there is nothing to do: at the end
// of each list with incremental recursion, otherwise of each phase.
func TestTheWholeProgressIsShownOnceMore(t *testing.T) {
	dir := tempDir(t)
	for _, name := range []string{"s/a", "s/d/b", "s/d/c", "s/e/f"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	for _, c := range []struct {
		protocol    int
		incremental bool
		want        []string
	}{
		{32, false, []string{"0 bytes of 18, xfr#0, 0/7", "0 bytes of 18, xfr#0, 0/7", "0 bytes of 18, xfr#0, 0/7"}},
		{28, false, []string{"0 bytes of 18, xfr#0, 0/7", "0 bytes of 18, xfr#0, 0/7"}},
		{32, true, []string{"0 bytes of 18, xfr#0, 6/7", "0 bytes of 18, xfr#0, 3/7", "0 bytes of 18, xfr#0, 1/7", "0 bytes of 18, xfr#0, 0/7"}},
	} {
		place, err := walk.OpenPlace(dir)
		check(t, err)
		p := startPeer(t, dir, peerOptions{protocol: c.protocol, letters: "lrt", incremental: c.incremental})
		seen := new(watcher)
		p.params.Talk = seen
		p.params.Opt.Info[option.InfoProgress] = 2
		_, err = p.run(sender.Job{Sources: &sender.Sources{Place: place, Name: dir, Args: []string{"s"}}})
		check(t, err)
		p.wait()
		check(t, place.Close())
		if !slices.Equal(seen.seen, c.want) {
			t.Errorf("protocol %d, incremental %v: %q, want %q", c.protocol, c.incremental, seen.seen, c.want)
		}
	}
}
