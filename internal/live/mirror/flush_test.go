package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lockstep/internal/live/change"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/watch"
)

// running is a mirror of one directory into another.
type running struct {
	*mirror.Mirror
	src, dst string
	ctx      context.Context
}

func start(t *testing.T, adjust func(*mirror.Config)) running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	r := running{src: t.TempDir(), dst: t.TempDir(), ctx: ctx}
	cfg := mirror.Config{Source: r.src, Targets: []string{r.dst}, MaxDelete: change.NoLimit}
	if adjust != nil {
		adjust(&cfg)
	}
	m, err := mirror.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Mirror = m
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r running) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(r.src, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.src, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r running) flush(t *testing.T) {
	t.Helper()
	if err := r.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
}

// holds fails unless the target has the file now.
func (r running) holds(t *testing.T, name, text string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(r.dst, name))
	if err != nil || string(got) != text {
		t.Fatalf("after a flush %s holds %q (%v), want %q", name, got, err, text)
	}
}

func TestAfterAFlushEverythingFromBeforeIsThere(t *testing.T) {
	for _, backend := range []watch.Backend{watch.Auto, watch.Inotify, watch.Poll} {
		t.Run(backend.String(), func(t *testing.T) {
			t.Parallel()
			rounds := 40
			if backend == watch.Poll {
				rounds = 3 // each reads the whole source
			}
			r := start(t, func(c *mirror.Config) { c.Watch, c.PollInterval = backend, time.Hour })
			for i := range rounds {
				name, text := fmt.Sprintf("d%d/sub/f", i), strings.Repeat("x", i)
				r.write(t, name, text)
				r.write(t, "same", text)
				if i > 0 {
					if err := os.Rename(filepath.Join(r.src, fmt.Sprintf("d%d", i-1)), filepath.Join(r.src, fmt.Sprintf("gone%d", i))); err != nil {
						t.Fatal(err)
					}
				}
				r.flush(t)
				r.holds(t, name, text)
				r.holds(t, "same", text)
				if _, err := os.Stat(filepath.Join(r.dst, fmt.Sprintf("d%d", i-1))); err == nil {
					t.Fatal("after a flush the old name is still there")
				}
			}
		})
	}
}

func TestAFlushUnderLoadEnds(t *testing.T) {
	r := start(t, nil)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = os.WriteFile(filepath.Join(r.src, fmt.Sprintf("busy%d", i%7)), fmt.Append(nil, i), 0o644)
			}
		}
	}()
	for i := range 10 {
		text := fmt.Sprint("round ", i)
		r.write(t, "calm", text)
		r.flush(t)
		r.holds(t, "calm", text)
	}
	close(stop)
	<-stopped
}

func TestAFlushWaitsForAFileThatIsBeingWritten(t *testing.T) {
	r := start(t, nil)
	r.flush(t)
	f, err := os.Create(filepath.Join(r.src, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("whole"); err != nil {
		t.Fatal(err)
	}
	for r.State().Holding == 0 {
		if r.ctx.Err() != nil {
			t.Fatal("the file is not held")
		}
		runtime.Gosched()
	}
	short, cancel := context.WithTimeout(r.ctx, 300*time.Millisecond)
	defer cancel()
	var lag *mirror.LagError
	if err := r.Flush(short); !errors.As(err, &lag) || lag.Holding != 1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a flush during a write gives %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r.flush(t)
	r.holds(t, "open", "whole")
}

func TestAFlushOfAPausedTargetFailsAtOnce(t *testing.T) {
	r := start(t, nil)
	r.flush(t)
	if err := r.Pause(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.write(t, "a", "1")
	var lag *mirror.LagError
	if err := r.Flush(r.ctx); !errors.As(err, &lag) || !errors.Is(err, mirror.ErrHalted) || lag.Targets[0].Status != mirror.Paused {
		t.Fatalf("a flush of a paused target gives %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.dst, "a")); err == nil {
		t.Error("a paused target got a change")
	}
	pending, err := r.Backlog(r.ctx, r.dst, 10)
	if err != nil || len(pending) == 0 {
		t.Errorf("the backlog of a paused target is %v, %v", pending, err)
	}
	if err := r.Resume(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.flush(t)
	r.holds(t, "a", "1")
}

func TestAResyncMendsWhatSomebodyElseChanged(t *testing.T) {
	r := start(t, nil)
	r.write(t, "a", "ours")
	r.flush(t)
	if err := os.Remove(filepath.Join(r.dst, "a")); err != nil {
		t.Fatal(err)
	}
	if err := r.Resync(r.ctx, r.dst); err != nil {
		t.Fatal(err)
	}
	r.flush(t)
	r.holds(t, "a", "ours")
}

func TestUnknownTargetsAreErrors(t *testing.T) {
	r := start(t, nil)
	for _, err := range []error{r.Flush(r.ctx, "no"), r.Pause(r.ctx, "no"), r.Resume(r.ctx, "no"), r.Resync(r.ctx, "no")} {
		if err == nil || !strings.Contains(err.Error(), "no target is called no") {
			t.Errorf("an unknown target gives %v", err)
		}
	}
}

func TestAMirrorThatHasEndedSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m, err := mirror.New(mirror.Config{Source: t.TempDir(), Targets: []string{t.TempDir()}, MaxDelete: change.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := m.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Logf("run: %v", err)
	}
	if err := m.Flush(context.Background()); !errors.Is(err, mirror.ErrEnded) {
		t.Errorf("a flush after the end gives %v", err)
	}
}

func TestATargetThatWasNeverReachedLagsSinceTheStart(t *testing.T) {
	began := time.Now()
	r := start(t, func(c *mirror.Config) {
		c.Targets = append(c.Targets, "rsync://127.0.0.1:1/below") // nobody listens there
	})
	if err := r.Flush(r.ctx, r.dst); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(r.ctx, 300*time.Millisecond)
	defer cancel()
	var lag *mirror.LagError
	if err := r.Flush(short); !errors.As(err, &lag) || len(lag.Targets) != 1 || !strings.HasSuffix(lag.Targets[0].Target, "below") {
		t.Fatalf("a flush gives %v", err)
	}
	r.write(t, "a", "1")
	if err := r.Flush(r.ctx, r.dst); err != nil {
		t.Errorf("the other target: %v", err)
	}
	targets := r.State().Targets
	if oldest := targets[1].Oldest; oldest.IsZero() || oldest.Before(began) || oldest.After(time.Now()) {
		t.Errorf("its oldest change is of %v, the mirror began at %v", oldest, began)
	}
	if !targets[0].Oldest.IsZero() {
		t.Errorf("the target in step has an oldest change of %v", targets[0].Oldest)
	}
}
