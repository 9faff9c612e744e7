package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"lockstep/internal/rsync/secure"
)

// DefaultTLSPort is that of rsync daemons with TLS.
const DefaultTLSPort = 874

// TLS is how a daemon is reached with TLS. Without a certificate it is not.
type TLS struct {
	secure.Files
	Port int  // 0 is DefaultTLSPort
	Only bool // nothing is served without
}

// server reads the certificates; nil is a daemon without.
func (t *TLS) server(s *Server) (*secure.Server, error) {
	if t.Cert != "" {
		t.Cert, t.Key, t.ClientCA = absolute(t.Cert), absolute(t.Key), absolute(t.ClientCA)
		return secure.NewServer(t.Files, s.tell)
	}
	if t.Key != "" || t.ClientCA != "" || t.Port != 0 || t.Only {
		return nil, errors.New("TLS needs a certificate: name its file with --tls-cert")
	}
	return nil, nil
}

// tell logs what no connection is the cause of.
func (s *Server) tell(err error) {
	c, _ := s.Config()
	log := s.journal(c, os.Getpid())
	defer log.close()
	log.Line(err.Error())
}

// encrypted is a listener whose connections have TLS.
type encrypted struct {
	net.Listener
	tls *secure.Server
}

// Encrypt makes a listener one whose connections have TLS.
func Encrypt(l net.Listener, s *secure.Server) net.Listener { return &encrypted{l, s} }

func encryptAll(all []net.Listener, s *secure.Server) []net.Listener {
	for i := range all {
		all[i] = Encrypt(all[i], s)
	}
	return all
}

// inheritedTLS is what systemd calls the sockets of TLS.
const inheritedTLS = "tls"

// protect is about the listeners that systemd opened: those that it calls "tls"
// are for TLS.
func (t *TLS) protect(all []inherited, s *secure.Server) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, l := range all {
		switch {
		case l.name != inheritedTLS && t.Only:
			return nil, fmt.Errorf("--tls-only: the socket %q of systemd is without; set FileDescriptorName=%s", l.name, inheritedTLS)
		case l.name != inheritedTLS:
			listeners = append(listeners, l)
		case s == nil:
			return nil, errors.New("a socket for TLS, but no certificate: name its file with --tls-cert")
		default:
			listeners = append(listeners, Encrypt(l, s))
		}
	}
	return listeners, nil
}

// encrypt takes the connection through the handshake of TLS. What was read ahead
// belongs to it.
func (v *visit) encrypt(ctx context.Context, s *secure.Server) error {
	c, ok := v.conn.stream.(net.Conn)
	if !ok {
		return fmt.Errorf("%T is no connection for TLS", v.conn.stream)
	}
	secret := tls.Server(&resumed{c, v.conn.buffered()}, s.Config())
	if err := secret.HandshakeContext(ctx); err != nil {
		return err
	}
	v.conn = newConn(secret)
	v.vouched = secure.User(secret.ConnectionState())
	return nil
}

// certified is the rule of auth users about the user that a certificate stands
// for. Without one the client may still have a password.
func certified(rules []authRule, user string, groups func(string) []string) (authRule, bool) {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if user == "" || strings.HasPrefix(user, "#") || strings.ContainsFunc(user, control) {
		return authRule{}, false
	}
	rule, _, ok := ruleFor(rules, user, groups)
	return rule, ok
}
