package session_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/fs/walk"
	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
)

// needRsync skips a test that needs the real rsync where there is none; a CI
// machine must have it.
func needRsync(t testing.TB) string {
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

// rsyncd is a real rsync daemon on a loopback port.
type rsyncd struct {
	dir  string // holds the module directories and the secrets
	port int
}

// startRsyncd runs a daemon with the given modules; DIR in them stands for a
// fresh directory that has a subdirectory "mod". The daemon ends with the test.
func startRsyncd(t testing.TB, modules string) *rsyncd {
	t.Helper()
	path := needRsync(t)
	d := &rsyncd{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(d.dir, "mod"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d.dir, "secrets"), "alice:open sesame\n", 0o600)
	global := "use chroot = no\nmunge symlinks = no\nlock file = DIR/lock\nlog file = DIR/log\n"
	if os.Geteuid() == 0 {
		global += "uid = root\ngid = root\n"
	}
	config := filepath.Join(d.dir, "rsyncd.conf")
	write(t, config, strings.ReplaceAll(global+modules, "DIR", d.dir), 0o600)
	for range 5 { // the port may be taken by somebody else
		d.port = freePort(t)
		cmd := exec.Command(path, "--daemon", "--no-detach", "--config="+config, "--address=127.0.0.1", fmt.Sprint("--port=", d.port))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			cmd.Wait()
			close(ended)
		}()
		if d.answers(ended) {
			t.Cleanup(func() {
				cmd.Process.Kill()
				<-ended
			})
			return d
		}
		cmd.Process.Kill()
		<-ended
	}
	t.Fatalf("the daemon does not start: %s", read(filepath.Join(d.dir, "log")))
	return nil
}

// answers waits until the daemon accepts connections.
func (d *rsyncd) answers(ended <-chan struct{}) bool {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if harness.Answers(fmt.Sprint("127.0.0.1:", d.port)) {
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

func freePort(t testing.TB) int {
	t.Helper()
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// module is the endpoint of one of the daemon's modules.
func (d *rsyncd) module(name string, protocol int) session.Endpoint {
	return session.Endpoint{Daemon: true, Host: "127.0.0.1", Port: d.port, Module: name, Protocol: protocol}
}

func write(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// mtime of every file and directory that the tests send.
var mtime = time.Unix(0x695735A5, 0)

// newSource makes a small tree to send.
func newSource(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"a.txt": "hello\n", "empty": "", "sub/b": strings.Repeat("some text ", 5000), "sub/deep/odd name\n\xff*": "x",
	} {
		write(t, filepath.Join(dir, name), content, 0o644)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, mtime, mtime)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// openRoot opens a source directory for a job.
func openRoot(t testing.TB, dir string) *walk.Root {
	t.Helper()
	root, err := walk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// archive is what a mirror asks for.
func archive() session.Options {
	return session.Options{
		Recurse: true, Links: true, Perms: true, Times: true, Owner: true, Group: true, Devices: true, Specials: true,
		MaxDelete: -1,
	}
}

// push runs a whole session.
func push(ctx context.Context, ep session.Endpoint, opts session.Options, path string, job sender.Job) (sender.Result, error) {
	c, err := session.Connect(ctx, ep)
	if err != nil {
		return sender.Result{}, err
	}
	defer c.Close()
	s, err := c.Start(ctx, opts, path)
	if err != nil {
		return sender.Result{}, err
	}
	return s.Send(ctx, job)
}

// sameTrees compares names, contents and times below two directories.
func sameTrees(t testing.TB, want, got string) {
	t.Helper()
	a, b := listing(t, want), listing(t, got)
	if a != b {
		t.Errorf("trees differ:\n%s\nand\n%s", a, b)
	}
}

func listing(t testing.TB, dir string) string {
	t.Helper()
	var out bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%q %v %d", rel, info.Mode(), info.ModTime().Unix())
		if info.Mode().IsRegular() {
			fmt.Fprintf(&out, " %.40q %d", read(path), info.Size())
		}
		out.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
