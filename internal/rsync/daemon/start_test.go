package daemon_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command is a daemon's command line: the real one or ours.
func (w *world) command(ours bool, words ...string) []string {
	argv := []string{rsync(w.t)}
	if ours {
		argv = []string{executable(w.t), "rsync"}
	}
	return append(append(argv, "--daemon", "--config="+filepath.Join(w.dir, "rsyncd.conf")), words...)
}

// syslogFront is what syslog gets in front of a text: priority, time, tag and
// process; and what has been sent differs, too.
var (
	syslogFront = regexp.MustCompile(`^(<\d+>)\S+ +\d+ [\d:]+ (.*?)\[\d+\]: `)
	sentBytes   = regexp.MustCompile(`(sent|received) \d+`)
)

// TestSyslogOfADaemon lets a daemon talk to a syslog of its own, which it sees at
// the usual place.
func TestSyslogOfADaemon(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can show a process another /dev")
	}
	var said [2][]string
	for i, ours := range []bool{false, true} {
		w := build(t, stuff+"mkdir dev; for f in null urandom random zero; do touch dev/$f; done; chmod 755 dev",
			owner()+"reverse lookup = no\nsyslog facility = local3\nsyslog tag = webs\n[mod]\npath = DIR/mod\ntransfer logging = yes\nsyslog tag = of mod\n")
		config := strings.Replace(w.read("rsyncd.conf"), "log file = "+w.dir+"/log\n", "", 1)
		w.write("rsyncd.conf", config, 0o600)
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(w.dir, "dev", "log"), Net: "unixgram"})
		must(t, err)
		defer socket.Close()
		must(t, os.Chmod(filepath.Join(w.dir, "dev", "log"), 0o666))
		w.port = freePort(t)
		script := `for f in null urandom random zero; do mount --bind /dev/$f "$0/$f"; done; mount --rbind "$0" /dev && exec "$@"`
		words := append([]string{"-m", "sh", "-c", script, filepath.Join(w.dir, "dev")},
			w.command(ours, "--no-detach", "--address=127.0.0.1", fmt.Sprint("--port=", w.port))...)
		if !w.answers(w.launch(exec.Command("unshare", words...))) {
			t.Fatalf("the daemon does not start: ours %v", ours)
		}
		if got := w.run("rsync URL/mod/a.txt out/"); got != "-> 0\n" {
			t.Error(got)
		}
		must(t, socket.SetReadDeadline(time.Now().Add(20*time.Second)))
		buf := make([]byte, 4096)
		for line := ""; !strings.Contains(line, "total size"); {
			n, err := socket.Read(buf)
			if err != nil {
				t.Fatalf("ours %v, after %q: %v", ours, said[i], err)
			}
			line = strings.TrimRight(string(buf[:n]), "\n\x00")
			text := sentBytes.ReplaceAllString(syslogFront.ReplaceAllString(line, "$1 $2: "), "$1 N")
			if strings.Contains(text, "mod") { // others are of who asked whether it listens
				said[i] = append(said[i], text)
			}
		}
	}
	if real, ours := strings.Join(said[0], "\n"), strings.Join(said[1], "\n"); real != ours || !strings.Contains(ours, "<158> of mod: send ") {
		t.Errorf("rsync says\n%s\nwe say\n%s", real, ours)
	}
}

// TestAddressesOfVersionSix reaches daemons over IPv6, with both clients.
func TestAddressesOfVersionSix(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	} else {
		l.Close()
	}
	for name, ours := range map[string]bool{"the real daemon": false, "our daemon": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t, stuff, owner()+"[mod]\npath = DIR/mod\nhosts allow = ::1/128\n[other]\npath = DIR/mod\nhosts allow = 127.0.0.1\n")
			up := func() bool {
				c, err := net.DialTimeout("tcp", fmt.Sprintf("[::1]:%d", w.port), time.Second)
				if err == nil {
					c.Close()
				}
				return err == nil
			}
			w.port = freePort(t)
			argv := w.command(ours, "--no-detach", "--ipv6", "--address=::1", fmt.Sprint("--port=", w.port))
			ended := w.launch(exec.Command(argv[0], argv[1:]...))
			eventually(t, "it listens", func() bool {
				select {
				case <-ended:
					t.Fatalf("it has ended: %s", w.read("log"))
				default:
				}
				return up()
			})
			url := fmt.Sprintf("rsync://[::1]:%d/", w.port)
			if got := w.run("rsync -a " + url + "mod/ out/ && diff -r mod out"); got != "-> 0\n" {
				t.Error(got, w.read("log"))
			}
			if got := w.ours("-a " + url + "mod/ DIR/out2/"); got != "-> 0\n" || w.tree("out2") != w.tree("mod") {
				t.Error(got, w.read("log"))
			}
			if got := w.run("rsync " + url + "other/ 2>&1 | grep -c 'access denied to other from .*(::1)'"); got != "1\n-> 0\n" {
				t.Error(got, w.read("log"))
			}
			if c, err := net.Dial("tcp", w.address()); err == nil {
				c.Close()
				t.Error("it listens at 127.0.0.1, too")
			}
		})
	}
}

// TestADaemonOfARemoteShell has a remote shell carry the connection: rsync's
// client and ours, with rsync's daemon and ours at the other end.
func TestADaemonOfARemoteShell(t *testing.T) {
	t.Parallel()
	rsync(t)
	for name, ours := range map[string]bool{"the real daemon": false, "our daemon": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t, stuff, owner()+"munge symlinks = no\n[mod]\npath = DIR/mod\nread only = no\nauth users = liang\nsecrets file = DIR/secrets\n")
			shell := "#!/bin/sh\nexport REMOTE_HOST=192.0.2.9\nshift\nshift\nexec " + strings.Join(w.command(ours), " ") + " \"$@\"\n" // HOST rsync --server --daemon .
			w.write("shell", shell, 0o755)
			for i, client := range []string{"rsync", executable(t) + " rsync"} {
				got := w.run(fmt.Sprintf("%s -a --password-file=password -e DIR/shell src/ liang@host::mod/up%d/ && %[1]s -a --password-file=password -e DIR/shell liang@host::mod/up%[2]d/ out%[2]d/ && diff -r src out%[2]d", client, i))
				if got != "-> 0\n" {
					t.Errorf("%s: %s%s", client, got, w.read("log"))
				}
			}
			if log := w.read("log"); !strings.Contains(log, "from liang@") || !strings.Contains(log, "(192.0.2.9)") {
				t.Errorf("the log does not name the user and the address:\n%s", log)
			}
		})
	}
}

// TestASecondSignalEndsTransfers holds a transfer open while the daemon is told
// to end, twice.
func TestASecondSignalEndsTransfers(t *testing.T) {
	t.Parallel()
	w := build(t, "mkdir mod; head -c 20000000 /dev/zero > mod/big", owner()+"[mod]\npath = DIR/mod\n")
	daemon := w.start(true)
	client := exec.Command(rsync(t), "-a", "--bwlimit=500", "rsync://"+w.address()+"/mod/", filepath.Join(w.dir, "out"))
	must(t, client.Start())
	defer func() { _ = client.Process.Kill() }()
	eventually(t, "the transfer is under way", func() bool { return strings.Contains(w.read("log"), "building file list") })
	must(t, daemon.Process.Signal(syscall.SIGTERM))
	eventually(t, "it accepts no more", func() bool {
		c, err := net.Dial("tcp", w.address())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if !running(daemon.Process.Pid) {
		t.Error("it did not wait for the transfer")
	}
	must(t, daemon.Process.Signal(syscall.SIGTERM))
	eventually(t, "all its processes are gone", func() bool { return !running(daemon.Process.Pid) })
	if err := client.Wait(); err == nil {
		t.Error("the client thinks that it has everything")
	}
}
