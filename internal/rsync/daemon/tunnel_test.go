package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// installed skips a test whose program is not there, and fails it in CI.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// stunnel starts a tunnel from a free port, which it returns.
func (w *world) stunnel(name, config string) (port int) {
	w.t.Helper()
	program := installed(w.t.(*testing.T), "stunnel")
	for range 5 { // the port may be taken by somebody else
		port = freePort(w.t)
		w.write(name, fmt.Sprintf("foreground = yes\npid =\nsyslog = no\noutput = DIR/%s.log\n[rsync]\naccept = 127.0.0.1:%d\n%s", name, port, config), 0o600)
		there := &world{t: w.t, dir: w.dir, port: port}
		if there.answers(there.launch(exec.Command(program, filepath.Join(w.dir, name)))) {
			return port
		}
	}
	w.t.Fatalf("stunnel does not start:\n%s", w.read(name+".log"))
	return 0
}

// Clients that know nothing of TLS come through a tunnel to the daemon's port.
func TestStunnelBeforeTheClient(t *testing.T) {
	t.Parallel()
	rsync(t)
	w := secret(t, secretModules)
	w.run("head -c 3000000 /dev/urandom > src/large")
	const client = "client = yes\nCAfile = DIR/ca.pem\nverifyChain = yes\ncheckHost = server\n"
	plain := w.stunnel("plain", client+"connect = "+w.address()+"\n")
	eve := w.stunnel("eve", client+"cert = DIR/eve.pem\nconnect = "+w.address()+"\n")
	joe := w.stunnel("joe", client+"cert = DIR/joe.pem\nconnect = "+w.address()+"\n")
	stranger := w.stunnel("stranger", strings.Replace(client, "= server", "= other", 1)+"connect = "+w.address()+"\n")
	for _, r := range []struct {
		name, command string
		port          int
		want          string
	}{
		{"a push", "rsync -azH --delete src/ URL/mod/up/", plain, "-> 0\n"},
		{"a pull of what was pushed", "rsync -a URL/mod/up/ out/ && diff -r src out", plain, "-> 0\n"},
		{"a password", "rsync -a --password-file=password src/ rsync://liang@AT/other/in/", plain, "-> 0\n"},
		{"a user's certificate", "rsync -a src/new URL/auth/eve/", eve, "-> 0\n"},
		{"the certificate of somebody who is denied", "rsync -a URL/auth/ no/ 2>&1 | grep @ERROR", joe, "@ERROR: auth failed on module auth\n-> 0\n"},
		{"a list of the modules", "rsync URL/ | wc -l", plain, "3\n-> 0\n"},
		{"the certificate of another host", "rsync URL/ >/dev/null 2>&1 || echo refused", stranger, "refused\n-> 0\n"},
	} {
		t.Run(r.name, func(t *testing.T) {
			there := &world{t: t, dir: w.dir, port: r.port}
			if got := there.run(r.command); got != r.want {
				t.Errorf("%s%s", got, w.read("log"))
			}
		})
	}
}

// Our client and lockstep's own daemon meet a tunnel that does the TLS: with
// rsync's daemon behind it, and with ours, which the tunnel tells who is there.
func TestStunnelBeforeTheDaemon(t *testing.T) {
	t.Parallel()
	rsync(t)
	for name, ours := range map[string]bool{"the real daemon": false, "our daemon": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := secret(t, "proxy protocol = yes\nproxy protocol hosts = 127.0.0.1\n[mod]\npath = DIR/mod\nread only = no\n")
			w.start(ours)
			w.port = w.stunnel("front", "cert = DIR/server.pem\nprotocol = proxy\nsslVersionMin = TLSv1.3\nconnect = "+w.address()+"\n")
			for _, command := range []string{"-az --tls-ca=DIR/ca.pem DIR/src/ rsyncs://AT/mod/up/", "-a --tls-ca=DIR/ca.pem rsyncs://AT/mod/up/ DIR/out/"} {
				if got := w.ours(command); got != "-> 0\n" {
					t.Errorf("%s: %s%s%s", command, got, w.read("log"), w.read("front.log"))
				}
			}
			if got, want := w.tree("out"), w.tree("src"); got != want {
				t.Errorf("there and back:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Debian's rsync takes the program that connects from its environment.
func TestOpensslAsTheWayToTheDaemon(t *testing.T) {
	t.Parallel()
	rsync(t)
	installed(t, "openssl")
	w := secret(t, secretModules)
	connect := func(more string) string {
		return "RSYNC_CONNECT_PROG='openssl s_client -quiet -verify_quiet -verify_return_error -CAfile DIR/ca.pem -servername server -connect AT" + more + "' "
	}
	for _, r := range []struct{ name, command, want string }{
		{"a push", connect("") + "rsync -a --delete src/ rsync://server/mod/up/", "-> 0\n"},
		{"a pull of what was pushed", connect("") + "rsync -a rsync://server/mod/up/ out/ && diff -r src out", "-> 0\n"},
		{"a user's certificate", connect(" -cert DIR/eve.pem -key DIR/eve.pem") + "rsync -a src/new rsync://server/auth/eve/", "-> 0\n"},
		{"TLS 1.2", connect(" -tls1_2") + "rsync rsync://server/ >/dev/null 2>&1 || echo refused", "refused\n-> 0\n"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := w.run(r.command); got != r.want {
				t.Errorf("%s%s", got, w.read("log"))
			}
		})
	}
}

// webProxy connects whoever asks to the daemon at address, and returns its own.
func webProxy(t *testing.T, address string, asked *atomic.Pointer[http.Request]) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				request, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				asked.Store(request)
				to, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer to.Close()
				_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
				go func() { _, _ = io.Copy(to, r) }()
				_, _ = io.Copy(c, to)
			}()
		}
	}()
	return l.Addr().String()
}

// What a proxy of the web carries is encrypted from end to end, and the
// certificate is for the host behind it.
func TestTLSThroughAProxyOfTheWeb(t *testing.T) {
	t.Parallel()
	w := secret(t, secretModules)
	var asked atomic.Pointer[http.Request]
	env := map[string]string{"RSYNC_PROXY": "me:pw@" + webProxy(t, w.address(), &asked)}
	for _, r := range []struct{ name, command, to, want string }{
		{"a push", "-a --tls-ca=DIR/ca.pem DIR/src/ rsyncs://server/mod/up/", "server:874", "-> 0\n"},
		{"a pull of what was pushed", "-a --tls-ca=DIR/ca.pem rsyncs://server:8740/mod/up/ DIR/out/", "server:8740", "-> 0\n"},
		{"another host", "-a --tls-ca=DIR/ca.pem rsyncs://other/mod/ DIR/no/", "other:874",
			"rsync: [Receiver] TLS with other: tls: failed to verify certificate: x509: certificate is valid for localhost, server, not other; " +
				"name what the certificate is for with --tls-name=NAME\n-> 10\n"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := w.oursIn(env, r.command); got != r.want {
				t.Errorf("%s%s", got, w.read("log"))
			}
			request := asked.Load()
			if request.Method != http.MethodConnect || request.Host != r.to || request.Header.Get("Proxy-Authorization") != "Basic bWU6cHc=" {
				t.Errorf("the proxy was asked %s %s %v", request.Method, request.Host, request.Header)
			}
		})
	}
	if got, want := w.tree("out"), w.tree("src"); got != want {
		t.Errorf("there and back:\n%s\nwant\n%s", got, want)
	}
}
