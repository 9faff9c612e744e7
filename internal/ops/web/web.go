// Package web is the page: how every mirror and every target does, for people
// with a browser. It shows what package report knows and changes nothing.
//
// Everything that the page needs is in the binary; a strict content security
// policy keeps it that way. The page is rendered here, whole, also without
// scripts; a script of a few lines then takes newer renderings over
// server-sent events and changes what differs.
//
//	GET /             the page
//	GET /events       the body of the page, again and again (text/event-stream)
//	GET /status.json  the snapshot, as "lockstep status --json" prints it
//	POST /login       a form with the token; sets a cookie
//	GET /page.css, /page.js, /icon.svg
//
// Who may look: on loopback and on a unix socket (mode 0600) everybody who gets
// there, as long as the request names a loopback host, so that no page of
// somebody else can read it through a name of its own. On any other address only
// who has the token (a header "Authorization: Bearer TOKEN", or the cookie) or a
// certificate of the given authority; Listen refuses to serve without either.
//
// A Server has one goroutine that takes a snapshot every second and one for each
// request. At most maxStreams browsers are kept up to date at a time, and one
// that does not read is let go.
package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/report"
)

// Options say where the page is served and to whom.
type Options struct {
	Address  string // HOST:PORT, or unix:PATH
	Token    string // what one has to know to look; "" is nothing
	Cert     string // PEM file of the certificate; "" is no TLS
	Key      string // PEM file of its key
	ClientCA string // PEM file of the authority whose certificates may look; "" asks for none

	Status func() report.Status
	Recent func(most int) []report.Change // the newest first; nil for none
}

// unixPrefix marks an address that is a socket's path.
const unixPrefix = "unix:"

// Exposed reports whether others than this machine's users could reach address.
func Exposed(address string) bool {
	if strings.HasPrefix(address, unixPrefix) {
		return false
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// Validate reports options that cannot be served, or must not.
func (o *Options) Validate() error {
	switch {
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("page: a certificate and its key belong together")
	case o.ClientCA != "" && o.Cert == "":
		return errors.New("page: client certificates need a certificate of the page's own")
	case Exposed(o.Address) && o.Token == "" && o.ClientCA == "":
		return fmt.Errorf("page: %s can be reached from other machines: set page_token_file or page_client_ca, or use a loopback address", tree.Quote(o.Address))
	}
	return nil
}

// Times within which a browser has to come to the point.
const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	closeTime  = 2 * time.Second
)

// Server serves the page.
type Server struct {
	http   *http.Server
	listen net.Listener
	hub    *hub
	done   chan struct{}
	err    error
}

// Listen serves the page until Close.
func Listen(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var secure *tls.Config
	var err error
	if o.Cert != "" {
		if secure, err = o.tls(); err != nil {
			return nil, err
		}
	}
	l, err := listen(o.Address)
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	s := &Server{listen: l, hub: newHub(o.Status, o.Recent), done: make(chan struct{})}
	s.http = &http.Server{Handler: handler(o, s.hub), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 1 << 14}
	s.http.RegisterOnShutdown(s.hub.close)
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// listen opens the socket. One of unix that nobody answers on is replaced.
func listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, unixPrefix)
	if !unix {
		return net.Listen("tcp", address)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is there and is no socket", tree.Quote(path))
		}
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("somebody answers on %s already", tree.Quote(path))
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	return l, err
}

// tls reads the certificates.
func (o *Options) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("page: certificate: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if o.ClientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("page: client authority: %w", err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("page: client authority: no certificate is in %s", tree.Quote(o.ClientCA))
	}
	return c, nil
}

// URL is what to open, "" for a unix socket.
func (s *Server) URL() string {
	if s.listen.Addr().Network() == "unix" {
		return ""
	}
	scheme := "http"
	if _, plain := s.listen.(*net.TCPListener); !plain {
		scheme = "https"
	}
	return scheme + "://" + s.listen.Addr().String() + "/"
}

// Close ends the server and lets go of all browsers.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	s.hub.close()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
	s.hub.wait()
	return s.err
}
