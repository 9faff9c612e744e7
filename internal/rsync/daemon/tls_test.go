package daemon_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/daemon"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/secure"
	"lockstep/internal/rsync/session"
)

// ours runs a command of our own client in this process, as run does with the
// real one. It must have no words with spaces.
func (w *world) ours(command string) string {
	w.t.Helper()
	return w.oursIn(nil, command)
}

// oursIn does so in an environment.
func (w *world) oursIn(env map[string]string, command string) string {
	w.t.Helper()
	getenv := func(name string) string { return env[name] }
	command = strings.NewReplacer("DIR", w.dir, "URL", "rsync://"+w.address(), "AT", w.address()).Replace(command)
	set, err := option.Parse(option.Input{Words: strings.Fields(command), Getenv: getenv})
	if err != nil {
		return err.Error() + "\n-> refused\n"
	}
	var out bytes.Buffer
	printer := output.NewPrinter(output.Config{Opt: set, Out: &out, Err: &out})
	client := &session.Client{Opt: set, Argv: append([]string{"rsync"}, strings.Fields(command)...), Talk: printer, Getenv: getenv}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = client.Run(ctx)
	if e := printer.Close(); e != nil {
		w.t.Error(e)
	}
	return w.plain(out.String()) + fmt.Sprintf("-> %d\n", session.ExitCode(err))
}

// secret is a world whose daemon has TLS at port, and certificates in DIR.
func secret(t *testing.T, config string) *world {
	t.Helper()
	w := build(t, stuff, owner()+"reverse lookup = no\nmunge symlinks = no\n"+config)
	at := func(name string) string { return filepath.Join(w.dir, name) }
	ca, err := harness.NewAuthority(at("ca.pem"))
	must(t, err)
	must(t, ca.Server(at("server.pem"), "server"))
	for _, user := range []string{"liang", "joe", "eve"} {
		must(t, ca.Client(at(user+".pem"), user))
	}
	secret, err := secure.NewServer(secure.Files{Cert: at("server.pem"), ClientCA: at("ca.pem")}, func(err error) { t.Error(err) })
	must(t, err)
	return w.serveOn(func(l net.Listener) net.Listener { return daemon.Encrypt(l, secret) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const secretModules = `
[mod]
path = DIR/mod
read only = no
[auth]
path = DIR/mod
auth users = joe:deny liang:ro eve:rw
secrets file = DIR/secrets
[other]
path = DIR/mod
read only = no
auth users = liang
secrets file = DIR/secrets
`

func TestOurClientAndDaemonSpeakTLS(t *testing.T) {
	t.Parallel()
	w := secret(t, secretModules)
	for _, r := range []struct{ name, command, want string }{
		{"a pull", "-a --tls-ca=DIR/ca.pem rsyncs://AT/mod/ DIR/out/", "-> 0\n"},
		{"a push", "-a --delete --tls-ca=DIR/ca.pem DIR/src/ rsyncs://AT/mod/up/", "-> 0\n"},
		{"a push that compresses", "-az --tls --tls-ca=DIR/ca.pem DIR/src/ URL/mod/zip/", "-> 0\n"},
		{"the name of somebody else", "-a --tls-ca=DIR/ca.pem --tls-name=other rsyncs://AT/mod/ DIR/out/",
			"rsync: [Receiver] TLS with 127.0.0.1: tls: failed to verify certificate: x509: certificate is valid for localhost, server, not other; " +
				"name what the certificate is for with --tls-name=NAME\n-> 10\n"},
		{"a user with a certificate", "-a --tls-ca=DIR/ca.pem --tls-cert=DIR/liang.pem --tls-key=DIR/liang.pem rsyncs://AT/auth/ DIR/out2/", "-> 0\n"},
		{"a user with a certificate who may not write", "-a --tls-ca=DIR/ca.pem --tls-cert=DIR/liang.pem DIR/src/ rsyncs://AT/auth/", "ERROR: module is read only\n-> 1\n"},
		{"a user with a certificate who may", "-a --tls-ca=DIR/ca.pem --tls-cert=DIR/eve.pem DIR/src/ rsyncs://AT/auth/eve/", "-> 0\n"},
		{"a user with a certificate who is denied", "-a --tls-ca=DIR/ca.pem --tls-cert=DIR/joe.pem rsyncs://AT/auth/ DIR/out3/", "@ERROR: auth failed on module auth\n-> 5\n"},
		{"a certificate that stands for nobody, and a password", "-a --tls-ca=DIR/ca.pem --tls-cert=DIR/eve.pem --password-file=DIR/password DIR/src/ rsyncs://liang@AT/other/in/", "-> 0\n"},
		{"the same with a wrong password", "-a --tls-ca=DIR/ca.pem --tls-cert=DIR/eve.pem --password-file=DIR/wrong DIR/src/ rsyncs://liang@AT/other/in/", "@ERROR: auth failed on module other\n-> 5\n"},
		{"no TLS", "-a --contimeout=5 URL/mod/ DIR/out/", "rsync: server sent \"\\#025\\#003\\#003\" rather than greeting\n-> 5\n"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := w.ours(r.command); r.name != "no TLS" && got != r.want || r.name == "no TLS" && strings.HasSuffix(got, "-> 0\n") {
				t.Errorf("%s%s", got, w.read("log"))
			}
		})
	}
	if got, want := w.tree("mod/up"), w.tree("mod/zip"); got != want || !strings.Contains(got, "file") {
		t.Errorf("pushed\n%s\ncompressed\n%s", got, want)
	}
	if log := w.read("log"); !strings.Contains(log, "rsync on auth/ from liang@UNDETERMINED (127.0.0.1)") {
		t.Errorf("the log does not name the user:\n%s", log)
	}
}

// Debian's script speaks TLS by a program of its own.
func TestRsyncSSL(t *testing.T) {
	t.Parallel()
	rsync(t)
	installed(t, "rsync-ssl")
	installed(t, "openssl")
	w := secret(t, secretModules)
	const env = "RSYNC_SSL_TYPE=openssl RSYNC_SSL_CA_CERT=DIR/ca.pem RSYNC_SSL_SKIP_HOSTNAME_CHECK=1 "
	for _, r := range []struct{ name, command, want string }{
		{"a pull", env + "rsync-ssl -a URL/mod/ out/", "-> 0\n"},
		{"a push", env + "rsync-ssl -a --delete src/ URL/mod/up/", "-> 0\n"},
		{"a certificate for the name", "RSYNC_SSL_CA_CERT=DIR/ca.pem rsync-ssl -a rsync://localhost:${PORT}/mod/ out2/", "-> 0\n"},
		{"a user's certificate", env + "RSYNC_SSL_CERT=DIR/eve.pem RSYNC_SSL_KEY=DIR/eve.pem rsync-ssl -a src/ URL/auth/eve/", "-> 0\n"},
		{"a password", env + "rsync-ssl -a --password-file=password src/ rsync://liang@AT/other/in/", "-> 0\n"},
	} {
		t.Run(r.name, func(t *testing.T) {
			got := w.run(strings.ReplaceAll(r.command, "${PORT}", fmt.Sprint(w.port)))
			if got = strings.TrimPrefix(got, "verify depth is 4\n"); got != r.want { // which openssl prints
				t.Errorf("%s%s", got, w.read("log"))
			}
		})
	}
	if want, got := w.tree("src"), w.tree("mod/eve"); got != want {
		t.Errorf("pushed\n%s\nwant\n%s", got, want)
	}
}

func TestTheHandshakeOfTLSIsBounded(t *testing.T) {
	t.Parallel()
	w := secret(t, "timeout = 1\n[mod]\npath = DIR/mod\n")
	c, err := net.Dial("tcp", w.address())
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	if n, err := c.Read(make([]byte, 1)); n != 0 || isTimeout(err) {
		t.Errorf("somebody silent hears %d bytes, %v", n, err)
	}
	eventually(t, "a refusal is counted", func() bool { return w.server.Counts().Refused["tls"] == 1 })
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// A proxy's header comes before TLS.
func TestAProxyInFrontOfTLS(t *testing.T) {
	w := secret(t, "proxy protocol = yes\nproxy protocol hosts = 127.0.0.1\n[mod]\npath = DIR/mod\nhosts allow = 192.0.2.7\n")
	c, err := net.Dial("tcp", w.address())
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = c.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1000 874\r\n"))
	must(t, err)
	config, err := secure.Client{CA: filepath.Join(w.dir, "ca.pem")}.Config("localhost")
	must(t, err)
	conn := tls.Client(c, config)
	_, err = conn.Write([]byte("@RSYNCD: 31.0\nmod\n"))
	must(t, err)
	all := ""
	for !strings.Contains(all, "OK\n") {
		buf := make([]byte, 1000)
		n, err := conn.Read(buf)
		if all += string(buf[:n]); err != nil {
			t.Fatalf("%q, %v; %s", all, err, w.read("log"))
		}
	}
}
