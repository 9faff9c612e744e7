package daemon_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/daemon"
)

// TestMain lets the processes of transfers be this program.
func TestMain(m *testing.M) {
	if code, started := daemon.Work(); started {
		os.Exit(code)
	}
	code := m.Run()
	harness.RemoveBinary()
	os.Exit(code)
}

// rsync is the path of the real program; without it the test is skipped.
func rsync(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("rsync")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rsync is not installed")
		}
		t.Skip("rsync is not installed")
	}
	return path
}

// world is a directory with a configuration, served by a daemon.
type world struct {
	t      testing.TB
	dir    string
	port   int
	server *daemon.Server // nil if the daemon is the real one
}

// build makes a directory from a script for sh and a configuration. DIR in
// either is the directory.
func build(t testing.TB, script, config string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	if err := os.Chmod(w.dir, 0o755); err != nil { // nobody is to get in
		t.Fatal(err)
	}
	for dir := filepath.Dir(w.dir); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	global := "log file = DIR/log\nlock file = DIR/lock\n"
	w.write("rsyncd.conf", global+config, 0o600)
	cmd := exec.Command("sh", "-ec", strings.ReplaceAll(script, "DIR", w.dir))
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return w
}

func (w *world) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(strings.ReplaceAll(text, "DIR", w.dir)), mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// serve starts our daemon.
func (w *world) serve() *world {
	w.t.Helper()
	return w.serveOn(func(l net.Listener) net.Listener { return l })
}

// serveOn starts our daemon at what a listener becomes.
func (w *world) serveOn(dress func(net.Listener) net.Listener) *world {
	w.t.Helper()
	w.server = daemon.New(daemon.Options{Config: filepath.Join(w.dir, "rsyncd.conf")})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.port = l.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithCancel(context.Background())
	transfers, abort := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(ctx, transfers, []net.Listener{dress(l)}) }()
	w.t.Cleanup(func() {
		cancel()
		abort()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(20 * time.Second):
			w.t.Error("the daemon does not end")
		}
	})
	return w
}

// serveReal starts the real one.
func (w *world) serveReal() *world {
	w.t.Helper()
	path := rsync(w.t)
	for range 5 { // the port may be taken by somebody else
		w.port = freePort(w.t)
		cmd := exec.Command(path, "--daemon", "--no-detach", "--config="+filepath.Join(w.dir, "rsyncd.conf"), "--address=127.0.0.1", fmt.Sprint("--port=", w.port))
		if err := cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			cmd.Wait()
			close(ended)
		}()
		w.t.Cleanup(func() {
			cmd.Process.Kill()
			<-ended
		})
		if w.answers(ended) {
			return w
		}
	}
	w.t.Fatal("the real daemon does not start")
	return nil
}

func (w *world) answers(ended <-chan struct{}) bool {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if harness.Answers(w.address()) {
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

func (w *world) address() string { return fmt.Sprint("127.0.0.1:", w.port) }

// run runs a command of the real rsync in the directory. URL in it is that of
// the daemon, AT the same without "rsync://".
func (w *world) run(command string) string {
	w.t.Helper()
	command = strings.NewReplacer("DIR", w.dir, "URL", "rsync://"+w.address(), "AT", w.address()).Replace(command)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	code := 0
	if err != nil {
		code = cmd.ProcessState.ExitCode()
	}
	return w.plain(string(out)) + fmt.Sprintf("-> %d\n", code)
}

var (
	counts  = regexp.MustCompile(`(?m)^sent [\d,]+ bytes .*\n|^total size is .*\n`)
	endings = regexp.MustCompile(`(?m)^rsync error: .*\n|^rsync: .*(read|write) error: .*\n`)
)

// plain is output without what differs from run to run.
func (w *world) plain(out string) string {
	out = counts.ReplaceAllString(out, "")
	out = endings.ReplaceAllString(out, "")
	return strings.NewReplacer(w.dir, "DIR", w.address(), "AT").Replace(out)
}

// tree lists names, modes, targets and contents below a directory.
func (w *world) tree(name string) string {
	var b strings.Builder
	top := filepath.Join(w.dir, name)
	err := filepath.Walk(top, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return nil
		}
		rel, _ := filepath.Rel(top, path)
		fmt.Fprintf(&b, "%s %v", rel, info.Mode())
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", target)
		case info.Mode().IsRegular():
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, " %.60q", data)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(b.String(), w.dir, "DIR")
}

// dial opens a connection to the daemon, past its greeting.
func (w *world) dial() (net.Conn, *bufio.Reader) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.address())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil {
		w.t.Fatal(err)
	}
	return c, r
}

// speak sends bytes and returns everything that is said until the daemon closes
// the connection.
func (w *world) speak(sent string) string {
	w.t.Helper()
	c, r := w.dial()
	if _, err := io.WriteString(c, sent); err != nil {
		w.t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil && len(all) == 0 {
		return "cut off"
	}
	return string(all)
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
