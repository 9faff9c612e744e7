package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/fleet"
	"lockstep/internal/ops/report"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// world is a directory with sources and targets, and the fleet that mirrors.
type world struct {
	*fleet.Fleet
	dir    string
	states chan report.Mirror
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), states: make(chan report.Mirror, 100)}
	w.Fleet = fleet.New(fleet.Options{Version: "test",
		Changed: func(m report.Mirror) { w.states <- m },
		Reload:  func() ([]control.Change, error) { return nil, errors.New("not today") }})
	t.Cleanup(w.Close)
	return w
}

// apply runs mirrors, given as "NAME EXTRA-TOML"; the source of NAME is made
// unless it begins with "no".
func (w *world) apply(t *testing.T, mirrors ...string) []string {
	t.Helper()
	var text strings.Builder
	for _, m := range mirrors {
		name, extra, _ := strings.Cut(m, " ")
		src := filepath.Join(w.dir, name)
		if !strings.HasPrefix(name, "no") {
			if err := os.MkdirAll(src, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&text, "[mirror.%s]\nsource = %q\ntargets = [%q]\n%s\n", name, src, w.target(name), extra)
	}
	c, err := config.Decode([]byte(text.String()), config.ReadRules)
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, c := range w.Apply(c) {
		changes = append(changes, c.Mirror+" "+c.What)
	}
	slices.Sort(changes)
	return changes
}

func (w *world) target(name string) string { return filepath.Join(w.dir, "to-"+name) }

// do sends a request as a client would.
func (w *world) do(t *testing.T, r control.Request) control.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.Handle(ctx, r)
}

// await waits for a mirror to come into a state.
func (w *world) await(t *testing.T, name, state string) report.Mirror {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-w.states:
			if m.Name == name && m.State == state {
				return m
			}
		case <-timeout:
			t.Fatalf("%s does not become %s", name, state)
		}
	}
}

func TestOneMirrorThatFailsStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.apply(t, "a", "nowhere")
	m := w.await(t, "nowhere", report.Failed)
	if m.Next == nil || !strings.Contains(m.Error, "no such file") {
		t.Errorf("the failed mirror says %+v", m)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "a", "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := w.do(t, control.Request{Op: control.OpFlush, Mirror: "a"}); !r.OK {
		t.Fatalf("flush: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(w.target("a"), "f")); err != nil {
		t.Error(err)
	}
	r := w.do(t, control.Request{Op: control.OpFlush})
	if r.OK || r.Code != control.CodeBehind || len(r.Lagging) != 1 || r.Lagging[0].State != report.Down {
		t.Errorf("flush of all: %+v", r)
	}
	// An operator mends it and need not wait.
	if err := os.Mkdir(filepath.Join(w.dir, "nowhere"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := w.do(t, control.Request{Op: control.OpResume, Mirror: "nowhere"}); !r.OK {
		t.Errorf("resume: %+v", r)
	}
	w.await(t, "nowhere", report.Running)
	if r := w.do(t, control.Request{Op: control.OpFlush}); !r.OK {
		t.Errorf("flush of all: %+v", r)
	}
}

func TestApplyTouchesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t)
	if got := w.apply(t, "a", "b", "c"); !slices.Equal(got, []string{"a started", "b started", "c started"}) {
		t.Errorf("got %q", got)
	}
	if r := w.do(t, control.Request{Op: control.OpFlush}); !r.OK {
		t.Fatalf("flush: %+v", r)
	}
	since := w.Status().Mirrors[0].Since
	if got := w.apply(t, "a", "b checksum = true", "d"); !slices.Equal(got, []string{"a unchanged", "b restarted", "c stopped", "d started"}) {
		t.Errorf("got %q", got)
	}
	if r := w.do(t, control.Request{Op: control.OpFlush}); !r.OK {
		t.Fatalf("flush: %+v", r)
	}
	s := w.Status()
	if len(s.Mirrors) != 3 || s.Mirrors[0].Since != since {
		t.Errorf("an unchanged mirror started again: %+v", s.Mirrors)
	}
	for _, m := range s.Mirrors {
		if m.State != report.Running || len(m.Targets) != 1 || m.Targets[0].State != "in step" {
			t.Errorf("after a flush: %+v", m)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !w.Alive(ctx) {
		t.Error("the fleet is not alive")
	}
}

func TestASourceThatVanishedWaitsForAnOperator(t *testing.T) {
	w := newWorld(t)
	w.apply(t, "a")
	if r := w.do(t, control.Request{Op: control.OpFlush}); !r.OK {
		t.Fatalf("flush: %+v", r)
	}
	if err := os.Rename(filepath.Join(w.dir, "a"), filepath.Join(w.dir, "gone")); err != nil {
		t.Fatal(err)
	}
	m := w.await(t, "a", report.Ended)
	if m.Next != nil || !strings.Contains(m.Hint, "lockstep resume a") {
		t.Errorf("it says %+v", m)
	}
	if r := w.do(t, control.Request{Op: control.OpPause}); r.OK {
		t.Error("a mirror that does not run is paused")
	}
}

func TestRequestsThatNameNothing(t *testing.T) {
	w := newWorld(t)
	w.apply(t, "a")
	for name, c := range map[string]struct {
		r    control.Request
		code string
		want string
	}{
		"an unknown mirror":    {control.Request{Op: control.OpFlush, Mirror: "x"}, control.CodeUsage, "no mirror is called x"},
		"an unknown target":    {control.Request{Op: control.OpPause, Target: "/x"}, control.CodeUsage, "no target is called /x"},
		"a path outside":       {control.Request{Op: control.OpExplain, Path: []byte("/x")}, control.CodeUsage, "lies in no source"},
		"a relative path":      {control.Request{Op: control.OpExplain, Path: []byte("x")}, control.CodeUsage, "is not an absolute path"},
		"a limit out of range": {control.Request{Op: control.OpBacklog, Limit: -1}, control.CodeUsage, "limit: -1"},
		"a negative timeout":   {control.Request{Op: control.OpFlush, TimeoutMS: -1}, control.CodeUsage, "below 0"},
		"a failing reload":     {control.Request{Op: control.OpReload}, control.CodeFailed, "not today"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.do(t, c.r)
			if r.OK || r.Code != c.code || !strings.Contains(r.Error, c.want) {
				t.Errorf("got %+v, want %s %q", r, c.code, c.want)
			}
		})
	}
}

func TestExplainFollowsThePathOfTheSource(t *testing.T) {
	w := newWorld(t)
	w.apply(t, "a exclude = ['*.o', 'cache/']")
	if r := w.do(t, control.Request{Op: control.OpFlush}); !r.OK {
		t.Fatalf("flush: %+v", r)
	}
	link := filepath.Join(w.dir, "link")
	if err := os.Symlink(filepath.Join(w.dir, "a"), link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]control.Explain{
		filepath.Join(w.dir, "a", "x.o"):     {Mirror: "a", Path: "x.o", Why: "a rule excludes it", Rule: "- *.o", Origin: "configuration"},
		filepath.Join(link, "x"):             {Mirror: "a", Path: "x", Mirrored: true, Why: "nothing is there; no rule would exclude it"},
		filepath.Join(w.dir, "a", "cache/x"): {Mirror: "a", Path: "cache/x", Why: "a directory above it is excluded by a rule", Rule: "- cache/", Origin: "configuration", Decided: "cache"},
	} {
		r := w.do(t, control.Request{Op: control.OpExplain, Path: []byte(path)})
		if !r.OK || len(r.Explain) != 1 || fmt.Sprint(r.Explain[0]) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, want %+v", path, r, want)
		}
	}
}
