package lockstep_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/cli/lockstep"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/watch"
)

// stuck is a reader that takes nothing until it is let go.
type stuck struct {
	released chan struct{}
	mu       sync.Mutex
	got      bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.released
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func TestAStuckReaderDoesNotHoldUpTheMirror(t *testing.T) {
	out := &stuck{released: make(chan struct{})}
	listener, done := lockstep.StartReporter(out, io.Discard)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for range 50_000 {
			listener.Batch("web1", mirror.BatchReport{Changes: 1})
		}
	}()
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Fatal("the mirror waits for the reader")
	}
	close(out.released)
	done()
	if lines := strings.Count(out.got.String(), "\n"); lines > 25 || !strings.Contains(out.got.String(), " changes in ") {
		t.Errorf("%d lines:\n%s", lines, out.got.String())
	}
}

func TestTheLogHoldsEveryEventInOrder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	add, done, err := lockstep.OpenLog(name, "%f", "/src")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, f := range strings.Split(strings.Repeat("one two three ", 500), " ") {
		if f != "" {
			add(watch.Event{Op: watch.Create, Path: tree.Path(f)})
			want.WriteString(f + "\n")
		}
	}
	done()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want.String() {
		t.Errorf("the log has %d bytes, %v; want %d", len(got), err, want.Len())
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the log's mode is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestOutputInsideAMirroredTreeIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"src/sub", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("src/sub", filepath.Join(dir, "shortcut")); err != nil {
		t.Fatal(err)
	}
	for file, refused := range map[string]bool{
		"src/log": true, "src/sub/log": true, "shortcut/log": true, "other/log": false, "src-log": false, "log": false, "nosuch/log": true,
	} {
		err := lockstep.Outside("log file", filepath.Join(dir, file), []string{filepath.Join(dir, "src"), filepath.Join(dir, "absent")})
		if (err != nil) != refused {
			t.Errorf("%s: %v, want refused: %v", file, err, refused)
		}
	}
}
