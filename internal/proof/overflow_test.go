package proof_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

// A queue that overflows loses events, and no change.
func TestOverflowOfTheQueueHeals(t *testing.T) {
	needRoot(t, "lower the kernel's queue limit")
	source, target := t.TempDir(), t.TempDir()
	makeTree(t, source, 2000)
	var m *harness.Mirror
	check(t, harness.WithQueueLimit(4, func() error {
		m = startMirror(t, "--watch", "inotify", source, target)
		return m.WaitWatching(soon)
	}))
	check(t, m.WaitInStep(soon, 1))
	// One burst may be read fast enough: go on until the state tells of a rescan.
	for round := 0; ; round++ {
		for i := range 500 {
			dir := filepath.Join(source, fmt.Sprintf("burst%d/%d", round, i%7))
			check(t, os.MkdirAll(dir, 0o755))
			check(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("x"), 0o644))
		}
		check(t, os.RemoveAll(filepath.Join(source, fmt.Sprintf("d000/e%03d", round))))
		check(t, os.Rename(filepath.Join(source, fmt.Sprintf("d000/e%03d", round+10)), filepath.Join(source, fmt.Sprintf("moved%d", round))))
		state, err := m.AskState(soon)
		check(t, err)
		if state.Rescans > 0 {
			break
		}
		if round == 9 {
			t.Fatal("no burst made the queue overflow")
		}
	}
	converge(t, source, target, plain)
	write(t, filepath.Join(source, "after"), "the overflow")
	expectAt(t, filepath.Join(target, "after"), "the overflow")
	stopMirror(t, m)
}

// A kernel that has no watches left for inotify: the rest is polled.
func TestTooFewWatchesAreSaidAndPolled(t *testing.T) {
	limit := harness.WatchLimit(10)
	if out, err := exec.Command(limit[0], append(limit[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs user namespaces: %v %s", err, out)
	}
	source, target := t.TempDir(), t.TempDir()
	makeTree(t, source, 3000)
	m := startMirrorWith(t, harness.MirrorConfig{
		Before: limit,
		Args:   []string{"--watch", "inotify", "--poll-interval", "200ms", source, target},
	})
	check(t, m.WaitInStep(soon, 1))
	_, err := m.WaitFor(soon, "the sysctl line", 0, harness.Saying("notice", `sysctl (fs\.inotify\.max_user_watches|user\.max_inotify_watches)=`))
	check(t, err)
	converge(t, source, target, plain)
	sh(t, source, "for d in d000/e0*; do echo changed > $d/new; done; rm -r d000/e003; mv d000/e004 d000/moved")
	converge(t, source, target, plain)
	state, err := m.AskState(soon)
	check(t, err)
	if !strings.Contains(state.Raw, `"polled":`) || strings.Contains(state.Raw, `"polled":0,`) {
		t.Errorf("the state does not count the polled directories: %s", state.Raw)
	}
	stopMirror(t, m)
}
