package secure_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/secure"
)

// place is a directory with certificates.
type place struct {
	t   *testing.T
	dir string
	ca  *harness.Authority
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	var err error
	if p.ca, err = harness.NewAuthority(p.file("ca")); err != nil {
		t.Fatal(err)
	}
	p.must(p.ca.Server(p.file("server"), "first"))
	p.must(p.ca.Client(p.file("client"), "liang"))
	other, err := harness.NewAuthority(p.file("otherca"))
	p.must(err)
	p.must(other.Client(p.file("stranger"), "liang"))
	return p
}

func (p *place) file(name string) string { return filepath.Join(p.dir, name) }

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// meet is a handshake: what the client sees, and the user that the server sees.
func (p *place) meet(s *secure.Server, c secure.Client, host string) (tls.ConnectionState, string, error) {
	p.t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	deadline := time.Now().Add(10 * time.Second)
	p.must(here.SetDeadline(deadline))
	p.must(there.SetDeadline(deadline))
	user := make(chan string, 1)
	go func() {
		defer there.Close()
		conn := tls.Server(there, s.Config())
		if conn.Handshake() != nil {
			user <- "refused"
			return
		}
		user <- secure.User(conn.ConnectionState())
	}()
	conn, err := c.Handshake(context.Background(), here, host)
	if err != nil {
		here.Close()
		return tls.ConnectionState{}, <-user, err
	}
	go io.Copy(io.Discard, conn) // an alert must not wait in the pipe
	return conn.ConnectionState(), <-user, nil
}

func TestOnlyWhatIsTrustedIsSpokenWith(t *testing.T) {
	p := newPlace(t)
	s, err := secure.NewServer(secure.Files{Cert: p.file("server"), ClientCA: p.file("ca")}, func(error) {})
	p.must(err)
	ca := p.file("ca")
	rows := []struct {
		name   string
		client secure.Client
		host   string
		user   string
		err    string // a part of it
	}{
		{"a host by its name", secure.Client{CA: ca}, "localhost", "", ""},
		{"a host by its address", secure.Client{CA: ca}, "127.0.0.1", "", ""},
		{"another name", secure.Client{CA: ca}, "example.org", "refused", "--tls-name=NAME"},
		{"another name that is expected", secure.Client{CA: ca, Name: "first"}, "example.org", "", ""},
		{"an authority that nobody knows", secure.Client{}, "localhost", "refused", "--tls-ca=FILE"},
		{"the authority of another", secure.Client{CA: p.file("otherca")}, "localhost", "refused", "--tls-ca=FILE"},
		{"the server's own certificate as its authority", secure.Client{CA: p.file("server")}, "localhost", "", ""},
		{"a certificate of a user", secure.Client{CA: ca, Cert: p.file("client")}, "localhost", "liang", ""},
		{"a user's certificate by another authority", secure.Client{CA: ca, Cert: p.file("stranger")}, "localhost", "refused", ""},
		{"a server's certificate in place of a user's", secure.Client{CA: ca, Cert: p.file("server")}, "localhost", "refused", ""},
		{"a file that is not there", secure.Client{CA: p.file("none")}, "localhost", "refused", "--tls-ca"},
		{"a key without a certificate", secure.Client{Key: p.file("client")}, "localhost", "refused", "--tls-cert"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			state, user, err := p.meet(s, r.client, r.host)
			if r.err == "" && err != nil || r.err != "" && (err == nil || !strings.Contains(err.Error(), r.err)) {
				t.Fatalf("got %v", err)
			}
			if user != r.user {
				t.Errorf("the server sees %q, not %q", user, r.user)
			}
			if err == nil && state.Version != tls.VersionTLS13 {
				t.Errorf("TLS is %x", state.Version)
			}
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	p := newPlace(t)
	s, err := secure.NewServer(secure.Files{Cert: p.file("server")}, func(error) {})
	p.must(err)
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		_ = tls.Server(there, s.Config()).Handshake()
	}()
	old := tls.Client(here, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err := old.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	p := newPlace(t)
	var told []string
	s, err := secure.NewServer(secure.Files{Cert: p.file("server")}, func(err error) { told = append(told, err.Error()) })
	p.must(err)
	name := func() string {
		state, _, err := p.meet(s, secure.Client{CA: p.file("ca")}, "localhost")
		p.must(err)
		return state.PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Fatalf("at first it is %q", got)
	}
	p.must(p.ca.Server(p.file("new"), "second"))
	p.must(os.Rename(p.file("new"), p.file("server")))
	if got := name(); got != "second" {
		t.Errorf("after a change it is %q", got)
	}
	p.must(os.WriteFile(p.file("new"), []byte("nothing"), 0o600))
	p.must(os.Rename(p.file("new"), p.file("server")))
	if got := name() + name(); got != "secondsecond" {
		t.Errorf("with a file that is none it is %q", got)
	}
	if len(told) != 1 || !strings.Contains(told[0], "stays in use") {
		t.Errorf("told: %q", told)
	}
}

func TestKeysThatOthersMayReadAreRefused(t *testing.T) {
	p := newPlace(t)
	p.must(os.Chmod(p.file("server"), 0o644))
	if _, err := secure.NewServer(secure.Files{Cert: p.file("server")}, func(error) {}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}
