package secure

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"lockstep/internal/fs/tree"
)

// Client is what a client brings into a connection. The zero value trusts the
// authorities of the system and has no certificate.
type Client struct {
	CA   string // a file with the authorities that are trusted instead
	Cert string // a file with the client's certificate
	Key  string // a file with its key; "" is in Cert
	Name string // that the daemon's certificate must have; "" is the host's
}

// Set reports whether anything is said about a connection with TLS.
func (c Client) Set() bool { return c != Client{} }

// Error is a connection that TLS was not possible on.
type Error struct {
	Host string
	Err  error
	Hint string // what to do; "" if that is not known
}

func (e *Error) Error() string {
	s := "TLS with " + tree.Quote(e.Host) + ": " + e.Err.Error()
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Config reads the files for a connection to a host.
func (c Client) Config(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: cmp.Or(c.Name, host)}
	var err error
	if c.CA != "" {
		if config.RootCAs, err = readPool(c.CA); err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
	}
	if c.Cert == "" {
		if c.Key != "" {
			return nil, errors.New("--tls-key: a key without a certificate; name it with --tls-cert")
		}
		return config, nil
	}
	pair, err := readPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// Handshake makes a connection to a host one with TLS. ctx ends it; an error is
// an *Error, and conn is closed.
func (c Client) Handshake(ctx context.Context, conn net.Conn, host string) (*tls.Conn, error) {
	config, err := c.Config(host)
	if err != nil {
		conn.Close()
		return nil, &Error{Host: host, Err: err}
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &Error{Host: host, Err: err, Hint: hint(err)}
	}
	return secure, nil
}

// hint is what can be done about a failed handshake.
func hint(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "name the authority that has signed it with --tls-ca=FILE"
	case errors.As(err, &name):
		return "name what the certificate is for with --tls-name=NAME"
	case errors.As(err, &plain):
		return "what listens there has no TLS: is that the daemon's --tls-port?"
	}
	return ""
}
