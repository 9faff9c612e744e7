package proof_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"lockstep/internal/proof/harness"
)

// withCertificate is a Chromium that trusts an authority, has a certificate of
// it and shows that unasked: its policies are in a directory that no other
// process sees, its keys in a home of its own.
const withCertificate = `#!/bin/sh
set -e
export HOME=%[1]s/home
exec unshare --mount sh -c '
	mkdir -p /etc/chromium
	mount -t tmpfs none /etc/chromium
	mkdir -p /etc/chromium/policies/managed
	cp %[1]s/policy.json /etc/chromium/policies/managed
	exec chromium "$@"' sh "$@"
`

// TestThePageWithAClientCertificate looks at a page that is served by TLS to who
// has a certificate, in a browser that has one, and knocks without.
func TestThePageWithAClientCertificate(t *testing.T) {
	t.Parallel()
	needRoot(t, "a directory of policies for one browser")
	need(t, "chromium", "certutil", "pk12util", "openssl", "unshare")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	authority, err := harness.NewAuthority(at("ca.pem"))
	check(t, err)
	check(t, authority.Server(at("server.pem"), "server"))
	check(t, authority.Client(at("alice.pem"), "alice"))
	sh(t, dir, `mkdir -p home/.pki/nssdb source
		openssl pkcs12 -export -in alice.pem -inkey alice.pem -name alice -passout pass:x -out alice.p12
		db=sql:home/.pki/nssdb
		certutil -N -d $db --empty-password && certutil -A -d $db -n authority -t C,, -i ca.pem && pk12util -i alice.p12 -d $db -W x >/dev/null`)
	write(t, at("policy.json"), `{"AutoSelectCertificateForUrls": ["{\"pattern\":\"https://localhost\",\"filter\":{}}"]}`)
	check(t, os.WriteFile(at("browser"), fmt.Appendf(nil, withCertificate, dir), 0o755))
	port, err := harness.FreePort()
	check(t, err)
	write(t, at("lockstep.toml"), fmt.Sprintf(`control = "%[1]s/ctl"
page = "0.0.0.0:%[2]d"
page_cert = "%[1]s/server.pem"
page_key = "%[1]s/server.pem"
page_client_ca = "%[1]s/ca.pem"
[mirror.www]
source = "%[1]s/source"
targets = ["%[1]s/copy"]
`, dir, port))
	p, err := harness.Start("lockstep run", exec.Command(binary(t), "run", "-c", at("lockstep.toml")), nil)
	check(t, err)
	t.Cleanup(p.End)
	url := fmt.Sprintf("https://localhost:%d/", port)
	trust := x509.NewCertPool()
	pem, err := os.ReadFile(at("ca.pem"))
	check(t, err)
	trust.AppendCertsFromPEM(pem)
	get := func(own ...tls.Certificate) error {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, Certificates: own}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	alice, err := tls.LoadX509KeyPair(at("alice.pem"), at("alice.pem"))
	check(t, err)
	check(t, harness.Poll(soon, "the page", func() bool { return get(alice) == nil }))
	if get() == nil {
		t.Error("the page is shown to somebody without a certificate")
	}
	server, err := tls.LoadX509KeyPair(at("server.pem"), at("server.pem"))
	check(t, err)
	if get(server) == nil {
		t.Error("a certificate that is not for clients is taken for one")
	}

	b := newBrowser(t, chromedp.ExecPath(at("browser")))
	act(t, b, chromedp.Navigate(url))
	b.text(t, "#verdict", "Everything is in step")
	write(t, at("source/news.html"), "news")
	b.text(t, "#changes li .paths", "news.html") // it lives over TLS, too
}
