package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// fakeShell is a remote shell that runs the command here, the way ssh does:
// words joined by spaces, for sh to take apart. after is run when the command
// has ended.
func fakeShell(t testing.TB, after string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shell")
	write(t, path, "#!/bin/sh\n[ \"$1\" = -l ] && shift 2\nshift\nsh -c \"$*\"\nstatus=$?\n"+after+"\nexit $status\n", 0o755)
	return []string{path}
}

func TestPushThroughARemoteShell(t *testing.T) {
	t.Parallel()
	needRsync(t)
	src := newSource(t)
	dir := t.TempDir()
	for protocol := session.MinProtocol; protocol <= session.MaxProtocol; protocol++ {
		t.Run(fmt.Sprint("protocol ", protocol), func(t *testing.T) {
			dest := filepath.Join(dir, fmt.Sprintf("%d odd *name*\n$HOME 'q'", protocol))
			ep := session.Endpoint{Shell: fakeShell(t, ""), Host: "host", User: "me", Path: dir, Protocol: protocol}
			opts := archive()
			opts.Compress, opts.IncRecurse = "auto", protocol%2 == 0
			result, err := push(t.Context(), ep, opts, filepath.Base(dest), sender.Job{Root: openRoot(t, src), Whole: true})
			if err != nil {
				t.Fatal(err)
			}
			if result.Transferred != 4 {
				t.Errorf("result %+v", result)
			}
			sameTrees(t, src, dest)
		})
	}
}

func TestDaemonBehindARemoteShell(t *testing.T) {
	needRsync(t)
	dir := t.TempDir()
	dest := filepath.Join(dir, "mod")
	if err := os.Mkdir(dest, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "rsyncd.conf")
	ids := ""
	if os.Geteuid() == 0 {
		ids = "uid = root\ngid = root\n"
	}
	write(t, config, ids+"use chroot = no\nlog file = "+dir+"/log\n[mod]\npath = "+dest+"\nread only = no\n", 0o600)
	shell := filepath.Join(dir, "shell")
	write(t, shell, "#!/bin/sh\n[ \"$*\" = '-l me host rsync --server --daemon .' ] || exit 3\nexec rsync --server --daemon --config="+config+" .\n", 0o755)
	src := newSource(t)
	ep := session.Endpoint{Daemon: true, Shell: []string{shell}, Host: "host", User: "me", Module: "mod"}
	if _, err := push(t.Context(), ep, archive(), "", sender.Job{Root: openRoot(t, src), Whole: true}); err != nil {
		t.Fatal(err)
	}
	sameTrees(t, src, dest)
}

func TestShellFailures(t *testing.T) {
	rows := []struct {
		name  string
		shell []string
		code  int
		words string
	}{
		{"a shell that is not installed", []string{"/nonexistent/ssh"}, 127, "start the remote shell"},
		{"a shell that cannot be run", []string{"/"}, 126, "start the remote shell"},
		{"a command that is not found", []string{"sh", "-c", "echo 'sh: rsync: not found' >&2; exit 127"}, 127, "sh: rsync: not found"},
		{"a connection that fails", []string{"sh", "-c", "echo 'ssh: connect to host: No route' >&2; exit 255"}, 255, "No route"},
		{"a shell that is killed", []string{"sh", "-c", "kill -9 $$"}, 12, "EOF"},
		{"a login script that talks", []string{"sh", "-c", "echo Welcome; cat >/dev/null"}, 2, `"Welc"`},
		{"a version too old", []string{"sh", "-c", `printf '\032\0\0\0'; cat >/dev/null`}, 2, "protocol 26"},
		{"an end in the middle of the version", []string{"sh", "-c", `printf '\040\0'`}, 12, "EOF"},
		{"a control character", []string{"sh", "-c", `printf 'bad\033[31m\n' >&2; exit 9`}, 12, `\x1b`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := push(t.Context(), session.Endpoint{Shell: row.shell, Host: "host"}, archive(), "", sender.Job{})
			e := asError(t, err)
			if e.Code != row.code || !strings.Contains(err.Error(), row.words) {
				t.Errorf("code %d: %v", e.Code, err)
			}
			if took := time.Since(begin); took > promptly {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A server of a remote shell says what went wrong on its standard error and by
// its exit code.
func TestPartialFailureThroughARemoteShell(t *testing.T) {
	needRsync(t)
	dest := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dest, "a.txt", "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	var heard []string
	job := sender.Job{Root: openRoot(t, newSource(t)), Whole: true, OnMessage: func(_ wire.Code, text string) { heard = append(heard, text) }}
	ep := session.Endpoint{Shell: fakeShell(t, ""), Host: "host", Path: dest}
	_, err := push(t.Context(), ep, archive(), "", job)
	if e := asError(t, err); e.Code != session.ExitPartial || !strings.Contains(strings.Join(e.Messages, "\n"), "a.txt") {
		t.Errorf("error %+v", e)
	}
	if !strings.Contains(strings.Join(heard, "\n"), "a.txt") {
		t.Errorf("the job heard %q", heard)
	}
}

func TestCancellationWhileSayingGoodbye(t *testing.T) {
	t.Parallel()
	needRsync(t)
	marker := filepath.Join(t.TempDir(), "ended")
	ep := session.Endpoint{Shell: fakeShell(t, "touch '"+marker+"'; sleep 60"), Host: "host", Path: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := push(ctx, ep, archive(), "", sender.Job{Root: openRoot(t, newSource(t)), Whole: true})
		done <- err
	}()
	eventually(t, "the server ends", func() bool { _, err := os.Stat(marker); return err == nil })
	cancelled := time.Now()
	cancel()
	checkCancelled(t, <-done, "goodbye", cancelled)
}

// A shell that does not care about a closed connection is killed.
func TestStubbornShellIsKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started := filepath.Join(t.TempDir(), "started")
	ep := session.Endpoint{Shell: []string{"sh", "-c", "trap '' HUP PIPE TERM; touch '" + started + "'; while :; do sleep 0.05; done"}, Host: "host"}
	done := make(chan error, 1)
	go func() {
		c, err := session.Connect(ctx, ep)
		if err == nil {
			_, err = c.Start(ctx, archive(), "")
		}
		done <- err
	}()
	eventually(t, "the shell runs", func() bool { _, err := os.Stat(started); return err == nil })
	cancelled := time.Now()
	cancel()
	err := <-done
	checkCancelled(t, err, "handshake", cancelled)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
