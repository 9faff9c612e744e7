package control_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/internal/ops/control"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

func listen(t *testing.T, h control.Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sub", "ctl")
	s, err := control.Listen(path, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return path
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(_ context.Context, r control.Request) control.Reply {
	return control.Reply{OK: r.Mirror != "bad", Code: control.CodeFailed, Error: r.Op + " " + r.Mirror}
}

func TestRequestsAreAnsweredInOrder(t *testing.T) {
	path := listen(t, echo)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 3 {
		name := fmt.Sprint("m", i)
		if r, err := c.Do(control.Request{Op: control.OpStatus, Mirror: name}); err != nil || r.Error != "status "+name {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	if _, err := c.Do(control.Request{Op: control.OpPause, Mirror: "bad"}); err == nil || err.Error() != "pause bad" {
		t.Errorf("a refusal gives %v", err)
	}
}

func TestAClientMayCloseItsSideAndStillRead(t *testing.T) {
	c := dial(t, listen(t, echo))
	fmt.Fprintf(c, "{\"op\":\"status\"}\n{\"op\":\"reload\"}\n")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(c)
	for _, want := range []string{`"error":"status "`, `"error":"reload "`} {
		if !in.Scan() || !strings.Contains(in.Text(), want) {
			t.Errorf("got %q, %v; want %s", in.Text(), in.Err(), want)
		}
	}
	if in.Scan() {
		t.Errorf("one line too many: %q", in.Text())
	}
}

func TestAClientThatGoesAwayEndsItsRequest(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	c := dial(t, listen(t, func(ctx context.Context, _ control.Request) control.Reply {
		close(began)
		<-ctx.Done()
		close(ended)
		return control.Reply{}
	}))
	fmt.Fprintf(c, "{\"op\":\"flush\"}\n")
	<-began
	c.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the request goes on")
	}
}

func TestCloseEndsRequests(t *testing.T) {
	path, began := filepath.Join(t.TempDir(), "ctl"), make(chan struct{})
	s, err := control.Listen(path, func(ctx context.Context, _ control.Request) control.Reply {
		close(began)
		<-ctx.Done()
		return control.Reply{}
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(dial(t, path), "{\"op\":\"flush\"}\n")
	<-began
	s.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                               "there is no op",
		`{"op":"dance"}`:                   "there is no op dance",
		`{"op":"status","extra":1}`:        "unknown field",
		`{"op":"status"} {"op":"status"}`:  "more than one object",
		`[1]`:                              "cannot unmarshal",
		`{"op":`:                           "unexpected EOF",
		`{"op":"explain","path":"no b64"}`: "illegal base64",
	} {
		if _, err := control.ParseRequest([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", text, err, want)
		}
	}
	c := dial(t, listen(t, echo))
	fmt.Fprintf(c, "nonsense\n{\"op\":\"status\"}\n")
	in := bufio.NewScanner(c)
	if !in.Scan() || !strings.Contains(in.Text(), `"code":"usage"`) || !in.Scan() || !strings.Contains(in.Text(), `"ok":true`) {
		t.Errorf("after nonsense: %q, %v", in.Text(), in.Err())
	}
	fmt.Fprint(c, strings.Repeat("x", 1<<20+1))
	if !in.Scan() || !strings.Contains(in.Text(), "too long") {
		t.Errorf("a long line gives %q, %v", in.Text(), in.Err())
	}
}

func TestTheSocketOfAnother(t *testing.T) {
	path := listen(t, echo)
	if _, err := control.Listen(path, echo); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a second server gives %v", err)
	}
	left := filepath.Join(t.TempDir(), "left")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := control.Listen(left, echo)
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	s.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(file, echo); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file in the way gives %v", err)
	}
	if _, err := control.Dial(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a socket that is not there is no error")
	}
}

// TestTheProtocolIsDocumented holds docs/control.md against the types.
func TestTheProtocolIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, op := range control.Ops {
		want[fmt.Sprintf("| `%s` | %s |", op, control.OpMeaning[op])] = true
	}
	for _, v := range []any{control.Request{}, control.Reply{}, control.Lagging{}, control.Change{}, control.Pending{}, control.Explain{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			want[fmt.Sprintf("| `%s` | %s |", name, typ.Field(i).Tag.Get("doc"))] = true
		}
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| `") && !want[line] {
			t.Errorf("docs/control.md has a row that is not true:\n%s", line)
		}
	}
	for row := range want {
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("docs/control.md lacks\n%s", row)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"op":"flush","mirror":"www","target":"/srv/copy","timeout_ms":5000}`))
	f.Add([]byte(`{"op":"explain","path":"L3dlYg=="}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if r, err := control.ParseRequest(line); err == nil && control.OpMeaning[r.Op] == "" {
			t.Errorf("an op without a meaning is taken: %q", r.Op)
		}
	})
}
