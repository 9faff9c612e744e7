package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/daemon"
	"lockstep/internal/rsync/daemon/conf"
)

// globalTest shows a parameter of the daemon itself, with the real one or ours.
type globalTest func(t *testing.T, ours bool)

var globalTests = map[conf.Param]globalTest{
	conf.Address:            endpointOf,
	conf.Port:               endpointOf,
	conf.DaemonChroot:       inAChroot,
	conf.DaemonGID:          identityOf,
	conf.DaemonUID:          identityOf,
	conf.ListenBacklog:      backlogOf,
	conf.MotdFile:           motdOf,
	conf.PidFile:            pidFileOf,
	conf.ProxyProtocol:      proxyOf,
	conf.ProxyProtocolHosts: proxyOf,
	conf.SocketOptions:      sockoptsOf,
	conf.SyslogFacility:     nil, // TestSyslogGetsFacilityAndTag
	conf.SyslogTag:          nil,
}

// TestGlobalParameters shows what each parameter of the daemon itself does.
func TestGlobalParameters(t *testing.T) {
	rsync(t)
	if os.Getuid() != 0 {
		t.Skip("only root changes its identity")
	}
	for p, test := range globalTests {
		if test == nil {
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			for name, ours := range map[string]bool{"the real daemon": false, "our daemon": true} {
				t.Run(name, func(t *testing.T) { test(t, ours) })
			}
		})
	}
}

// alone starts a daemon without words about its socket.
func (w *world) alone(ours bool) *exec.Cmd {
	w.t.Helper()
	program := rsync(w.t)
	if ours {
		program = executable(w.t)
	}
	cmd := exec.Command(program, "--daemon", "--no-detach", "--config="+filepath.Join(w.dir, "rsyncd.conf"))
	cmd.Args[0] = "rsync"
	if !w.answers(w.launch(cmd)) {
		w.t.Fatalf("the daemon does not start:\n%s", w.read("log"))
	}
	return cmd
}

func freePort(t testing.TB) int {
	t.Helper()
	port, err := harness.FreePort()
	must(t, err)
	return port
}

func endpointOf(t *testing.T, ours bool) {
	port := freePort(t)
	w := build(t, stuff, owner()+fmt.Sprintf("address = 127.0.0.1\nport = %d\n[mod]\npath = DIR/mod\n", port))
	w.port = port
	w.alone(ours)
	if got := w.run("rsync -a URL/mod/ out/"); got != "-> 0\n" {
		t.Error(got)
	}
	if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.2:", port)); err == nil {
		c.Close()
		t.Error("it listens at another address, too")
	}
}

func inAChroot(t *testing.T, ours bool) {
	const script = stuff + "mkdir -p jail/mod jail/var; echo in > jail/mod/in; echo welcome > jail/motd; echo '/secret' > jail/rules; echo s > jail/mod/secret\n" +
		"cp secrets jail/secrets; mkdir jail/bin jail/lib64 jail/lib; cp /bin/sh jail/bin/; cp $(ldd /bin/sh | grep -o '/lib[^ ]*/ld-[^ ]*') jail/lib64/ || true\n" +
		"mkdir jail/etc jail/mine; echo m > jail/mine/m; chown 5555:5557 jail/mine; chmod 710 jail/mine; chmod 755 jail\n" +
		"printf 'bad\nalice:x:5555:5556::/:\nliang:x:6000:6001::/:\n' > jail/etc/passwd; printf 'own:x:5556:\nothers:x:5557:bob,alice\nkeys:x:6002:liang\n' > jail/etc/group\n"
	w := build(t, script, owner()+"daemon chroot = DIR/jail\nmotd file = /motd\n[mod]\npath = /mod\nexclude from = /rules\nlock file = /var/lock\nmax connections = 3\n"+
		"[inner]\npath = /mod\nuse chroot = yes\n[auth]\npath = /mod\nauth users = liang\nsecrets file = /secrets\n[out]\npath = /../../usr\n"+
		"[user]\npath = /mine\nuid = alice\ngid = own\n[groups]\npath = /mine\nuid = alice\ngid = *\n[stranger]\npath = /mod\nuid = nobody\n"+
		"[keys]\npath = /mod\nauth users = @keys\nsecrets file = /secrets\n[others]\npath = /mod\nauth users = @others\nsecrets file = /secrets\n")
	w.start(ours)
	for command, want := range map[string]string{
		"rsync -r URL/mod/ out/; ls out; ls jail/var":                                                  "welcome\n\nin\nlock\n-> 0\n",
		"rsync -r URL/inner/ out2/; ls out2":                                                           "welcome\n\nin\nsecret\n-> 0\n",
		"rsync -r --password-file=password rsync://liang@AT/auth/ out3/; ls out3":                      "welcome\n\nin\nsecret\n-> 0\n",
		"rsync -r --no-motd URL/out/ out4/ 2>&1 | grep -c 'chdir failed'; test ! -e out4 && echo none": "1\nnone\n-> 0\n",
		"rsync -r --no-motd URL/user/ out5/; ls out5":                                                  "m\n-> 0\n",
		"rsync -r --no-motd URL/groups/ out6/; ls out6":                                                "m\n-> 0\n",
		"rsync --no-motd URL/stranger/ 2>&1 | grep @ERROR":                                             "@ERROR: invalid uid nobody\n-> 0\n",
		"rsync -r --no-motd --password-file=password rsync://liang@AT/keys/ out7/; ls out7":            "in\nsecret\n-> 0\n",
		"rsync -r --no-motd --password-file=password rsync://liang@AT/others/ 2>&1 | grep @ERROR":      "@ERROR: auth failed on module others\n-> 0\n",
	} {
		if got := w.run(command); got != want {
			t.Errorf("%s\n%s%s", command, got, w.read("log"))
		}
	}
}

func identityOf(t *testing.T, ours bool) {
	w := build(t, "mkdir mod; chmod 777 . mod", "daemon uid = 4711\ndaemon gid = 4712\nuse chroot = no\n[mod]\npath = DIR/mod\nearly exec = (id -u; id -g) > DIR/id\n")
	must(t, os.Chmod(filepath.Join(w.dir, "rsyncd.conf"), 0o644))
	must(t, os.WriteFile(filepath.Join(w.dir, "log"), nil, 0o666))
	must(t, os.Chmod(filepath.Join(w.dir, "log"), 0o666))
	w.start(ours)
	if got := w.run("rsync -r URL/mod/ out/; cat id"); got != "4711\n4712\n-> 0\n" {
		t.Error(got, w.read("log"))
	}
}

// backlogOf fills the queue of a daemon that accepts nothing.
func backlogOf(t *testing.T, ours bool) {
	const backlog = 3
	w := build(t, "mkdir mod", owner()+fmt.Sprintf("listen backlog = %d\n[mod]\npath = DIR/mod\n", backlog))
	cmd := w.start(ours)
	eventually(t, "the first connection is gone", func() bool { return strings.HasSuffix(w.speak("@RSYNCD: 31.0\n#list\n"), "EXIT\n") })
	must(t, cmd.Process.Signal(syscall.SIGSTOP))
	eventually(t, "it accepts nothing", func() bool { return stopped(cmd.Process.Pid) })
	connected := 0
	for ; connected < 4*backlog; connected++ {
		c, err := net.DialTimeout("tcp", w.address(), 10*time.Second)
		if err != nil {
			break
		}
		defer c.Close()
	}
	if connected < backlog || connected > backlog+2 { // the kernel takes one more than it is told
		t.Errorf("%d connections wait, the backlog is %d", connected, backlog)
	}
}

// stopped reports whether a signal has stopped all threads of a process.
func stopped(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range files {
		data, _ := os.ReadFile(name)
		if _, after, _ := strings.Cut(string(data), ") "); !strings.HasPrefix(after, "T") {
			return false
		}
	}
	return len(files) > 0
}

func motdOf(t *testing.T, ours bool) {
	w := build(t, stuff+"printf 'good\\nmorning' > motd", owner()+"motd file = DIR/motd\n[mod]\npath = DIR/mod\ncomment = x\n")
	w.start(ours)
	for command, want := range map[string]string{
		"rsync URL/":                            "good\nmorning\nmod            \tx\n-> 0\n",
		"rsync -a --no-motd URL/mod/ out/":      "-> 0\n",
		"rsync -r URL/mod/a.txt out2/; ls out2": "good\nmorning\na.txt\n-> 0\n",
	} {
		if got := w.run(command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func pidFileOf(t *testing.T, ours bool) {
	w := build(t, "mkdir mod", owner()+"pid file = DIR/pid\n[mod]\npath = DIR/mod\n")
	cmd := w.start(ours)
	want := fmt.Sprintln(cmd.Process.Pid)
	eventually(t, "the file has "+want, func() bool { return w.read("pid") == want })
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, "the file is gone", func() bool {
		_, err := os.Stat(filepath.Join(w.dir, "pid"))
		return err != nil
	})
}

func proxyOf(t *testing.T, ours bool) {
	w := build(t, "mkdir mod", owner()+"reverse lookup = no\nproxy protocol = yes\nproxy protocol hosts = 127.0.0.1\n[mod]\npath = DIR/mod\nhosts allow = 192.0.2.7\n")
	w.start(ours)
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 1000 873\r\n":                                            "@RSYNCD: OK\n",
		"PROXY TCP4 192.0.2.8 192.0.2.1 1000 873\r\n":                                            "@ERROR: access denied to mod from UNDETERMINED (192.0.2.8)\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x03\xe8\x03\x69": "@RSYNCD: OK\n",
		"@RSYNCD: 31.0\n": "",
	} {
		c, err := net.Dial("tcp", w.address())
		must(t, err)
		must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = io.WriteString(c, header+"@RSYNCD: 31.0\nmod\n")
		must(t, err)
		r := bufio.NewReader(c)
		greeting, _ := r.ReadString('\n')
		line, _ := r.ReadString('\n')
		c.Close()
		if line != want || (greeting == "") != (want == "") {
			t.Errorf("after %q: %q, %q", header, greeting, line)
		}
	}
	stranger := build(t, "mkdir mod", owner()+"proxy protocol = yes\nproxy protocol hosts = 192.0.2.1\n[mod]\npath = DIR/mod\n")
	stranger.start(ours)
	c, err := net.Dial("tcp", stranger.address())
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 1000 873\r\n@RSYNCD: 31.0\nmod\n")
	must(t, err)
	if all, _ := io.ReadAll(c); len(all) != 0 {
		t.Errorf("a proxy that is not listed hears %q", all)
	}
}

func sockoptsOf(t *testing.T, ours bool) {
	w := build(t, "mkdir mod", owner()+"socket options = SO_KEEPALIVE, SO_RCVBUF=65536,TCP_NODELAY\n[mod]\npath = DIR/mod\n")
	w.start(ours)
	if got := w.run("rsync -a URL/mod/ out/"); got != "-> 0\n" {
		t.Error(got)
	}
	if got := w.run("grep -c 'ocket option' log"); got != "0\n-> 1\n" {
		t.Errorf("the log has something about it: %s", w.read("log"))
	}
	unknown := build(t, "mkdir mod", owner()+"socket options = SO_NONSENSE\n[mod]\npath = DIR/mod\n")
	unknown.start(ours)
	if got := unknown.run("rsync -r URL/mod/ out/; grep -c 'Unknown socket option SO_NONSENSE' log"); got != "1\n-> 0\n" {
		t.Errorf("an option that nobody knows: %s%s", got, unknown.read("log"))
	}
}

// TestSyslogGetsFacilityAndTag reads what the daemon says to syslog.
func TestSyslogGetsFacilityAndTag(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "log"), Net: "unixgram"})
	must(t, err)
	defer socket.Close()
	must(t, socket.SetDeadline(time.Now().Add(30*time.Second)))
	must(t, daemon.LogToSyslog(filepath.Join(dir, "log"), "local3", "rsyncd.liang", 77, "a line"))
	buf := make([]byte, 1000)
	n, err := socket.Read(buf)
	must(t, err)
	const local3info = 19<<3 | 6
	got := string(buf[:n])
	if !strings.HasPrefix(got, fmt.Sprintf("<%d>", local3info)) || !strings.HasSuffix(got, " rsyncd.liang[77]: a line") {
		t.Errorf("got %q", got)
	}
}

// --log-file-format takes the place of what the configuration says, and turns the
// log of transfers on; an empty one turns it off.
func TestTheFormatOfTheCommandLine(t *testing.T) {
	t.Parallel()
	rsync(t)
	for _, r := range []struct{ config, format, want string }{
		{"", "%o of %n in %m", "recv of new in mod\n-> 0\n"},
		{"transfer logging = yes\nlog format = other\n", "%o of %n in %m", "recv of new in mod\n-> 0\n"},
		{"transfer logging = yes\nlog format = %o of %n\n", "", "-> 1\n"},
	} {
		for _, ours := range []bool{false, true} {
			w := build(t, stuff, owner()+r.config+"[mod]\npath = DIR/mod\nread only = no\n")
			w.start(ours, "--log-file-format="+r.format)
			got := w.run("rsync -a src/new URL/mod/; until grep -q 'total size' log; do sleep 0.01; done; sed 's/^[^]]*. //' log | grep 'of '")
			if got != r.want {
				t.Errorf("ours: %v, %q with %q: %s", ours, r.format, r.config, got)
			}
		}
	}
}
