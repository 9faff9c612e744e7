package proof_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// A daemon that says no: its own words are shown, the mirror tries again where
// that can help, and the other targets go on.
func TestADaemonThatSaysNo(t *testing.T) {
	for _, c := range []struct {
		name   string
		config harness.DaemonConfig
		flags  []string
		url    func(*harness.Daemon) string
		words  string // of the daemon
		retry  bool   // trying again can help
	}{
		{name: "a refused option", config: harness.DaemonConfig{Lines: []string{"refuse options = compress"}},
			flags: []string{"-z"}, words: "(?i)refuse --?(compress|z)"},
		{name: "a read-only module", config: harness.DaemonConfig{Lines: []string{"read only = yes"}}, words: "module is read only"},
		{name: "an unknown module", url: func(d *harness.Daemon) string { return strings.Replace(d.URL(), "/web1", "/web9", 1) },
			words: "Unknown module"},
		{name: "a wrong password", url: func(d *harness.Daemon) string { return strings.Replace(d.URL(), "liang", "wang", 1) },
			words: "auth failed on module web1"},
		{name: "a host that is not allowed", config: harness.DaemonConfig{Lines: []string{"hosts allow = 192.0.2.1", "list = yes"}}, words: "access denied"},
		{name: "a module whose path is missing", config: harness.DaemonConfig{Lines: []string{"path = /nonexistent/module"}}, words: "chdir failed", retry: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, c.config)
			url := d.URL()
			if c.url != nil {
				url = c.url(d)
			}
			source, other := t.TempDir(), t.TempDir()
			write(t, filepath.Join(source, "file"), "one")
			m := startMirror(t, append(c.flags, "--password-file", d.PasswordFile, source, url, other)...)
			e, err := m.WaitFor(soon, "the daemon's words", 0, harness.Saying("failing", c.words))
			check(t, err)
			if c.retry != (e.Next != "") {
				t.Errorf("want it to be tried again: %v; it says %s", c.retry, e.Raw)
			}
			expectAt(t, filepath.Join(other, "file"), "one")
			write(t, filepath.Join(source, "file"), "two")
			expectAt(t, filepath.Join(other, "file"), "two")
			stopMirror(t, m)
		})
	}
}

// A daemon with no connection left is tried again until there is one.
func TestADaemonOverItsConnectionLimitIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, harness.DaemonConfig{Lines: []string{"max connections = 1"}})
	conn := occupy(t, d)
	source := t.TempDir()
	write(t, filepath.Join(source, "file"), "text")
	m := startMirror(t, "--password-file", d.PasswordFile, source, d.URL())
	e, err := m.WaitFor(soon, "the daemon's words", 0, harness.Saying("failing", `max connections \(1\) reached`))
	check(t, err)
	if e.Next == "" {
		t.Errorf("it would not be tried again: %s", e.Raw)
	}
	check(t, conn.Close())
	converge(t, source, d.Path, munged)
	// The session that waits must not use up the only connection for good: it
	// is the one that takes the next change.
	for _, text := range []string{"a", "b", "c"} {
		write(t, filepath.Join(source, "file"), text)
		expectAt(t, filepath.Join(d.Path, "file"), text)
	}
	stopMirror(t, m)
}

// occupy takes one connection of the daemon's module and keeps it, in the
// midst of the authentication.
func occupy(t *testing.T, d *harness.Daemon) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.Listen)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = conn.Write([]byte("@RSYNCD: 31.0 md5 md4\n" + d.Module + "\n"))
	check(t, err)
	var got strings.Builder
	buf := make([]byte, 512)
	for !strings.Contains(got.String(), "AUTHREQD") {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("no challenge from the daemon: %v, after %q", err, got.String())
		}
	}
	return conn
}

// A daemon that is not there when the mirror starts, and one that closes idle
// sessions after a second.
func TestADaemonThatComesAndGoes(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, harness.DaemonConfig{Lines: []string{"timeout = 1"}})
	d.End()
	source := t.TempDir()
	write(t, filepath.Join(source, "file"), "one")
	m := startMirror(t, "--password-file", d.PasswordFile, source, d.URL())
	_, err := m.WaitFor(soon, "the refused connection", 0, harness.Saying("failing", "connection refused"))
	check(t, err)
	check(t, d.Start())
	expectAt(t, filepath.Join(d.Path, "file"), "one")
	for _, text := range []string{"two", "three"} {
		<-time.After(1500 * time.Millisecond) // longer than the daemon's timeout: the session that waits is gone
		write(t, filepath.Join(source, "file"), text)
		expectAt(t, filepath.Join(d.Path, "file"), text)
	}
	check(t, d.Crash())
	check(t, os.Remove(filepath.Join(source, "file")))
	write(t, filepath.Join(source, "other"), "four")
	check(t, d.Start())
	converge(t, source, d.Path, munged)
	stopMirror(t, m)
}

// What happens to one name while its target is away adds up: in particular a
// directory that is removed and made again must not keep what it held.
func TestChangesAddUpWhileATargetIsAway(t *testing.T) {
	for _, backend := range []string{"fanotify", "inotify", "poll"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			if backend == "fanotify" {
				needRoot(t, "fanotify")
			}
			d := startDaemon(t, harness.DaemonConfig{})
			source, other, outside := t.TempDir(), t.TempDir(), t.TempDir()
			sh(t, outside, "for t in a b c d e; do mkdir -p $t/sub/deep; echo $t > $t/sub/f; echo $t > $t/sub/deep/g; done")
			m := startMirror(t, "--watch", backend, "--poll-interval", "50ms", "--password-file", d.PasswordFile, source, d.URL(), other)
			check(t, m.WaitInStep(soon, 2))
			sh(t, source, "mv "+outside+"/* .") // trees whose directories no event has named
			converge(t, source, d.Path, munged)
			check(t, d.Crash())
			for _, script := range []string{
				"rm -r a/sub; mv b/sub b/gone; rm -r c/sub; mv d x; rm -r e/sub",
				"mkdir a/sub; mkdir b/sub; echo file > c/sub; mkdir d; echo new > d/sub; mkdir e/sub",
				"rm -r b/gone; echo new > a/sub/f; rm c/sub; mkdir c/sub; mv x/sub d/deep; rm -r e",
				"mkdir -p e/sub/deep; rm d/sub; mv d/deep d/sub; rm -r x",
			} {
				sh(t, source, script)
				converge(t, source, other, plain) // so that each step is seen on its own
			}
			check(t, d.Start())
			converge(t, source, d.Path, munged)
			stopMirror(t, m)
		})
	}
}

// Between batches a connection is held: one change arrives although the daemon
// takes no others.
func TestTheNextChangeNeedsNoNewConnection(t *testing.T) {
	for _, protocol := range []string{"27", "29", "30", "32"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			source := t.TempDir()
			write(t, filepath.Join(source, "old"), "x")
			d := startDaemon(t, harness.DaemonConfig{})
			m := startMirror(t, "--protocol", protocol, "--password-file", d.PasswordFile, source, d.URL())
			check(t, m.WaitInStep(soon, 1))
			check(t, d.WaitServing(soon))
			check(t, d.FreezeListener())
			write(t, filepath.Join(source, "new"), "y")
			expectAt(t, filepath.Join(d.Path, "new"), "y")
			check(t, d.Thaw())
			check(t, os.Remove(filepath.Join(source, "old")))
			check(t, harness.Poll(soon, "the removal", func() bool { return !exists(filepath.Join(d.Path, "old")) }))
			stopMirror(t, m)
		})
	}
}
