package proof_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// ownDaemon is `lockstep rsync --daemon` with a configuration.
type ownDaemon struct {
	t        *testing.T
	dir      string
	port     int
	config   string
	password string
}

// newOwnDaemon prepares one with the module web1, which asks for a password.
func newOwnDaemon(t *testing.T) *ownDaemon {
	t.Helper()
	check(t, harness.Need("rsync"))
	d := &ownDaemon{t: t, dir: t.TempDir()}
	d.config, d.password = filepath.Join(d.dir, "rsyncd.conf"), filepath.Join(d.dir, "password")
	check(t, os.Mkdir(filepath.Join(d.dir, "share"), 0o755))
	write(t, filepath.Join(d.dir, "secrets"), "liang:123456\n")
	write(t, d.password, "123456\n")
	check(t, os.Chmod(filepath.Join(d.dir, "secrets"), 0o600))
	check(t, os.Chmod(d.password, 0o600))
	identity := ""
	if os.Getuid() == 0 {
		identity = "uid = root\ngid = root\n"
	}
	write(t, d.config, fmt.Sprintf(`uid = nobody
gid = nobody
use chroot = no
max connections = 10
stric mode = yes
pid file = %[1]s/pid
lock file = %[1]s/lock
log file = %[1]s/log
[web1]
path = %[1]s/share
comment = web1 file
ignore errors
read only = no
write only = no
hosts allow = 127.0.0.1
hosts deny = *
list = false
auth users = liang
secrets file = %[1]s/secrets
%[2]s`, d.dir, identity))
	if os.Getuid() != 0 { // who cannot be nobody
		text, err := os.ReadFile(d.config)
		check(t, err)
		write(t, d.config, strings.Replace(string(text), "uid = nobody\ngid = nobody\n", "", 1))
	}
	d.findPort()
	return d
}

func (d *ownDaemon) findPort() {
	d.t.Helper()
	var err error
	d.port, err = harness.FreePort()
	check(d.t, err)
}

// gone reports whether a process that is not our child has ended. Nobody may
// have asked for its exit code yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}

// command is a run of the daemon's binary.
func (d *ownDaemon) command(words ...string) *exec.Cmd {
	d.t.Helper()
	binary, err := harness.Binary()
	check(d.t, err)
	return exec.Command(binary, append([]string{"rsync", "--daemon", "--config=" + d.config}, words...)...)
}

// detach starts it as people do, and ends it with the test.
func (d *ownDaemon) detach() int {
	d.t.Helper()
	var out []byte
	var err error
	for range 5 { // somebody's connection may have taken the port
		if out, err = d.command("--address=127.0.0.1", fmt.Sprint("--port=", d.port)).CombinedOutput(); err == nil {
			break
		}
		if !strings.Contains(string(out), "unable to bind") {
			d.t.Fatalf("%v: %s", err, out)
		}
		d.findPort()
	}
	check(d.t, err)
	text, err := os.ReadFile(filepath.Join(d.dir, "pid"))
	check(d.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	check(d.t, err)
	d.t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		check(d.t, harness.Poll(settled, "the daemon's end", func() bool { return gone(pid) }))
	})
	return pid
}

func (d *ownDaemon) url() string { return fmt.Sprintf("rsync://liang@127.0.0.1:%d/web1/", d.port) }

func (d *ownDaemon) log() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(text)
}

// A command that starts a daemon returns when it listens.
func TestTheDaemonDetachesAndEnds(t *testing.T) {
	d := newOwnDaemon(t)
	pid := d.detach()
	source := t.TempDir()
	makeTree(t, source, 200)
	out, err := exec.Command("rsync", "-avzH", "--delete", "--progress", "--password-file="+d.password, source+"/", d.url()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, d.log())
	}
	converge(t, source, filepath.Join(d.dir, "share"), harness.Comparison{Munged: true})
	if out, err := d.command("--address=127.0.0.1", fmt.Sprint("--port=", d.port)).CombinedOutput(); err == nil || !strings.Contains(string(out), "unable to bind") {
		t.Errorf("a second daemon at the same port: %v, %s", err, out)
	}
	check(t, syscall.Kill(pid, syscall.SIGHUP))
	check(t, harness.Poll(settled, "a word about SIGHUP", func() bool { return strings.Contains(d.log(), "configuration reread") }))
	check(t, syscall.Kill(pid, syscall.SIGTERM))
	check(t, harness.Poll(settled, "the end of the pid file", func() bool {
		_, err := os.Stat(filepath.Join(d.dir, "pid"))
		return err != nil
	}))
}

// A connection may be the standard input, as inetd gives it.
func TestTheDaemonServesItsStandardInput(t *testing.T) {
	d := newOwnDaemon(t)
	write(t, filepath.Join(d.dir, "share", "file"), "content")
	l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", d.port))
	check(t, err)
	defer l.Close()
	to := t.TempDir()
	client := exec.Command("rsync", "-a", "--password-file="+d.password, d.url(), to)
	check(t, client.Start())
	check(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(settled)))
	c, err := l.Accept()
	check(t, err)
	socket, err := c.(*net.TCPConn).File()
	check(t, err)
	daemon := d.command()
	daemon.Stdin, daemon.Stdout = socket, socket
	check(t, daemon.Start())
	check(t, socket.Close())
	check(t, c.Close())
	check(t, client.Wait())
	check(t, daemon.Wait())
	if text, err := os.ReadFile(filepath.Join(to, "file")); string(text) != "content" {
		t.Errorf("got %q, %v; %s", text, err, d.log())
	}
}

// Listeners may be handed over, as systemd does it.
func TestTheDaemonTakesListeners(t *testing.T) {
	d := newOwnDaemon(t)
	l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", d.port))
	check(t, err)
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	check(t, err)
	inner := d.command("--no-detach")
	words := append([]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh"}, inner.Args...)
	daemon := exec.Command("sh", words...)
	daemon.ExtraFiles = []*os.File{file}
	check(t, daemon.Start())
	out, err := exec.Command("rsync", "-a", "--password-file="+d.password, d.config, d.url()).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s\n%s", err, out, d.log())
	}
	check(t, daemon.Process.Signal(syscall.SIGTERM))
	check(t, daemon.Wait())
}

// One that the unit calls "tls" is for TLS.
func TestTheDaemonTakesAListenerForTLS(t *testing.T) {
	d := newOwnDaemon(t)
	at := func(name string) string { return filepath.Join(d.dir, name) }
	ca, err := harness.NewAuthority(at("ca.pem"))
	check(t, err)
	check(t, ca.Server(at("server.pem"), "server"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	check(t, err)
	inner := d.command("--no-detach", "--tls-cert="+at("server.pem"))
	words := append([]string{"-c", `LISTEN_FDS=1 LISTEN_FDNAMES=tls LISTEN_PID=$$ exec "$@"`, "sh"}, inner.Args...)
	daemon := exec.Command("sh", words...)
	daemon.ExtraFiles = []*os.File{file}
	check(t, daemon.Start())
	binary, err := harness.Binary()
	check(t, err)
	out, err := exec.Command(binary, "rsync", "-a", "--tls-ca="+at("ca.pem"), "--password-file="+d.password, d.config,
		fmt.Sprintf("rsyncs://liang@localhost:%d/web1/", l.Addr().(*net.TCPAddr).Port)).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s\n%s", err, out, d.log())
	}
	check(t, daemon.Process.Signal(syscall.SIGTERM))
	check(t, daemon.Wait())
}

// A live mirror keeps a module of our own daemon in step.
func TestAMirrorAndOurOwnDaemon(t *testing.T) {
	d := newOwnDaemon(t)
	d.detach()
	source := t.TempDir()
	makeTree(t, source, 500)
	m := startMirror(t, "--password-file", d.password, source, d.url())
	check(t, m.WaitInStep(settled, 1))
	share := filepath.Join(d.dir, "share")
	want := harness.Comparison{Munged: true}
	converge(t, source, share, want)
	write(t, filepath.Join(source, "new/deep/file"), "new")
	check(t, os.Rename(filepath.Join(source, "d000"), filepath.Join(source, "renamed")))
	check(t, os.Symlink("/etc/passwd", filepath.Join(source, "absolute")))
	converge(t, source, share, want)
	stopMirror(t, m)
}

// A live mirror logs in to our own daemon by a certificate, and goes on when the
// daemon has another one of its own.
func TestAMirrorSpeaksTLS(t *testing.T) {
	d := newOwnDaemon(t)
	at := func(name string) string { return filepath.Join(d.dir, name) }
	ca, err := harness.NewAuthority(at("ca.pem"))
	check(t, err)
	check(t, ca.Server(at("server.pem"), "first"))
	check(t, ca.Client(at("liang.pem"), "liang"))
	daemon := d.command("--no-detach", "--address=127.0.0.1", "--tls-only", fmt.Sprint("--tls-port=", d.port),
		"--tls-cert="+at("server.pem"), "--tls-client-ca="+at("ca.pem"))
	daemon.Stderr = os.Stderr
	check(t, daemon.Start())
	t.Cleanup(func() {
		check(t, daemon.Process.Signal(syscall.SIGTERM))
		check(t, daemon.Wait())
	})
	check(t, harness.Poll(settled, "a daemon", func() bool { return strings.Contains(d.log(), "listening on port") }))
	source := t.TempDir()
	makeTree(t, source, 100)
	m := startMirror(t, "--tls-ca", at("ca.pem"), "--tls-cert", at("liang.pem"), source, fmt.Sprintf("rsyncs://localhost:%d/web1/", d.port))
	check(t, m.WaitInStep(settled, 1))
	want := harness.Comparison{Munged: true, AnyTime: true}
	check(t, ca.Server(at("new.pem"), "second"))
	check(t, os.Rename(at("new.pem"), at("server.pem")))
	write(t, filepath.Join(source, "new/file"), "new")
	converge(t, source, filepath.Join(d.dir, "share"), want)
	stopMirror(t, m)
	if log := d.log(); !strings.Contains(log, "from liang@") {
		t.Errorf("nobody logged in by a certificate:\n%s", log)
	}
}
