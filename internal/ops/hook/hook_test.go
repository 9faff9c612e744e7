package hook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/ops/hook"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// batch is one that brought paths to a target.
func batch(target string, paths ...string) hook.Event {
	return hook.Event{Event: hook.Batch, Mirror: "www", Source: "/web", Time: time.Now(), Paths: paths,
		Targets: []hook.Target{{Target: target, State: "arrived", Batches: 1, Changes: len(paths), Bytes: 10, LagMS: float64(len(paths))}}}
}

// listener is an HTTP server that answers when it is told to, with a status.
type listener struct {
	*httptest.Server
	heard  chan hook.Event
	answer chan int
	active atomic.Int32
	auth   atomic.Value
}

func newListener(t *testing.T) *listener {
	l := &listener{heard: make(chan hook.Event, 100), answer: make(chan int, 100)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := l.active.Add(1); n > 1 {
			t.Errorf("%d calls at a time", n)
		}
		defer l.active.Add(-1)
		var e hook.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		l.auth.Store(r.Header.Get("Authorization"))
		l.heard <- e
		select {
		case code := <-l.answer:
			w.WriteHeader(code)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(l.Server.Close)
	return l
}

func (l *listener) next(t *testing.T) hook.Event {
	t.Helper()
	select {
	case e := <-l.heard:
		return e
	case <-time.After(patience):
		t.Fatal("the hook was not called")
		return hook.Event{}
	}
}

func TestWhatComesDuringACallIsPutTogether(t *testing.T) {
	l := newListener(t)
	r := hook.New(hook.Spec{Name: "on_batch", URL: l.URL, Token: "secret", Timeout: patience, Trouble: func(err error) { t.Error(err) }})
	defer r.Close()
	r.Put(batch("t1", "a"))
	if e := l.next(t); len(e.Paths) != 1 || e.Mirror != "www" || l.auth.Load() != "Bearer secret" {
		t.Errorf("the first call: %+v, %v", e, l.auth.Load())
	}
	for i := range 150 {
		r.Put(batch("t1", fmt.Sprint("p", i)))
	}
	r.Put(batch("t2", "p1", "p2"))
	l.answer <- http.StatusNoContent
	e := l.next(t)
	l.answer <- http.StatusOK
	if len(e.Paths) != 100 || e.More != 50 || len(e.Targets) != 2 {
		t.Fatalf("the second call has %d paths and %d more, of %+v", len(e.Paths), e.More, e.Targets)
	}
	if got := e.Targets[0]; got.Batches != 150 || got.Changes != 150 || got.Bytes != 1500 || got.LagMS != 1 {
		t.Errorf("t1: %+v", got)
	}
}

func TestTheNewestStateWins(t *testing.T) {
	l := newListener(t)
	r := hook.New(hook.Spec{Name: "on_failing", URL: l.URL, Timeout: patience})
	defer r.Close()
	r.Put(batch("t1", "a"))
	l.next(t)
	for _, state := range []string{"failing", "stopped", "works again"} {
		r.Put(hook.Event{Event: hook.Failing, Mirror: "www", Targets: []hook.Target{{Target: "t1", State: state, Error: "why " + state}}})
	}
	l.answer <- http.StatusOK
	e := l.next(t)
	l.answer <- http.StatusOK
	if len(e.Targets) != 1 || e.Targets[0].State != "works again" || e.Targets[0].Error != "why works again" {
		t.Errorf("got %+v", e)
	}
}

func TestACallThatFailsIsTriedAgainWithWhatCameSince(t *testing.T) {
	l := newListener(t)
	r := hook.New(hook.Spec{Name: "on_batch", URL: l.URL, Timeout: patience, Retries: 1})
	defer r.Close()
	r.Put(batch("t1", "a"))
	l.next(t)
	r.Put(batch("t1", "b"))
	l.answer <- http.StatusInternalServerError
	if e := l.next(t); len(e.Paths) != 2 || e.Targets[0].Batches != 2 {
		t.Errorf("got %+v", e)
	}
	l.answer <- http.StatusOK
}

func TestTroubleIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		want    string
	}{
		"a program that is not there": {[]string{"/nowhere/program"}, "no such file"},
		"a program that fails":        {[]string{"sh", "-c", "echo out of order >&2; exit 3"}, "exit status 3: out of order"},
		"a program that hangs":        {[]string{"sh", "-c", "sleep 100 & wait"}, "not done within 200ms"},
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan error, 10)
			r := hook.New(hook.Spec{Name: "on_batch", Command: c.command, Timeout: 200 * time.Millisecond, Trouble: func(err error) { told <- err }})
			defer r.Close()
			r.Put(batch("t1", "a"))
			select {
			case err := <-told:
				if !strings.Contains(err.Error(), "hook on_batch: ") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			case <-time.After(patience):
				t.Error("nothing is told")
			}
		})
	}
}

func TestACommandGetsTheEventAndNoShell(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n{ echo \"$1 $LOCKSTEP_EVENT $LOCKSTEP_MIRROR\"; cat; } >"+out+".new && mv "+out+".new "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := hook.New(hook.Spec{Name: "on_batch", Command: []string{script, "$HOME;x"}, Timeout: patience, Trouble: func(err error) { t.Error(err) }})
	r.Put(batch("t1", "a"))
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var text []byte
	for ; time.Now().Before(deadline); <-tick.C {
		var err error
		if text, err = os.ReadFile(out); err == nil {
			break
		}
	}
	r.Close()
	head, body, _ := strings.Cut(string(text), "\n")
	if head != "$HOME;x batch www" {
		t.Errorf("the command got %q", head)
	}
	var e hook.Event
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Source != "/web" || e.Targets[0].Target != "t1" {
		t.Errorf("%v: %s", err, body)
	}
}

// TestTheKeysAreDocumented holds docs/operations.md against the tags.
func TestTheKeysAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for prefix, typ := range map[string]reflect.Type{"": reflect.TypeFor[hook.Event](), "targets[].": reflect.TypeFor[hook.Target]()} {
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if row := fmt.Sprintf("| `%s%s` | %s |\n", prefix, key, typ.Field(i).Tag.Get("doc")); !strings.Contains(string(doc), row) {
				t.Errorf("docs/operations.md lacks\n%s", row)
			}
		}
	}
}
