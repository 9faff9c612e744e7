package proof_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

// unit is a unit file as its lines say it.
type unit map[string]string

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(name)
	check(t, err)
	u := unit{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			u[key] = value
		}
	}
	return u
}

// TestTheInstalledSocketServesRsync does with the units that service install
// writes what systemd does: it listens where the socket unit says, starts what
// the service unit says when a client comes, and again after that has ended. No
// connection is refused meanwhile.
func TestTheInstalledSocketServesRsync(t *testing.T) {
	t.Parallel()
	d := newOwnDaemon(t)
	write(t, filepath.Join(d.dir, "share/file"), "text")
	units := filepath.Join(d.dir, "units")
	install := exec.Command(binary(t), "service", "install", "--dir", units, "--daemon", d.config, "--port", fmt.Sprint(d.port))
	install.Env = append(os.Environ(), "XDG_CONFIG_HOME="+d.dir) // an ordinary user has no mirrors there
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	socket, service := readUnit(t, filepath.Join(units, "lockstep-rsyncd.socket")), readUnit(t, filepath.Join(units, "lockstep-rsyncd.service"))
	if socket["WantedBy"] != "sockets.target" || service["Requires"] != "lockstep-rsyncd.socket" || socket["Accept"] != "" {
		t.Errorf("the units do not belong together: %v, %v", socket, service)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+socket["ListenStream"])
	check(t, err)
	defer l.Close()
	handed, err := l.(*net.TCPListener).File()
	check(t, err)
	defer handed.Close()
	for n := range 2 {
		to := filepath.Join(t.TempDir(), "to")
		client, err := harness.Start("rsync", exec.Command("rsync", "-a", "--contimeout=20", "--password-file="+d.password, d.url(), to), nil)
		check(t, err)
		t.Cleanup(client.End)
		check(t, harness.Poll(soon, "the client to knock", func() bool { return !client.Running() || waiting(t, l) }))
		words := append([]string{"-c", `LISTEN_FDS=1 LISTEN_FDNAMES=` + socket["FileDescriptorName"] + ` LISTEN_PID=$$ exec "$@"`, "sh"}, strings.Fields(service["ExecStart"])...)
		start := exec.Command("sh", words...)
		start.ExtraFiles = []*os.File{handed}
		p, err := harness.Start("the daemon", start, nil)
		check(t, err)
		t.Cleanup(p.End)
		if code, err := client.Wait(soon); code != 0 || err != nil {
			t.Fatalf("client %d ended with %d, %v\n%s\n%s", n, code, err, client.Tail(5), d.log())
		}
		expectAt(t, filepath.Join(to, "file"), "text")
		check(t, p.Signal(syscall.SIGTERM))
		_, err = p.Wait(soon)
		check(t, err)
	}
}

// waiting reports whether a connection waits to be accepted.
func waiting(t *testing.T, l net.Listener) bool {
	t.Helper()
	conn, err := l.(*net.TCPListener).SyscallConn()
	check(t, err)
	ready := false
	check(t, conn.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(set, 0)
		ready = err == nil && n == 1
	}))
	return ready
}
