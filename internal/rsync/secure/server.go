package secure

import (
	"crypto/tls"
	"fmt"
	"sync"
)

// Files are those of a daemon.
type Files struct {
	Cert     string // the certificate, with those that lead to its authority
	Key      string // its key; "" is in Cert
	ClientCA string // the authorities whose certificates stand for users; "" is none
}

// names are the files that there are.
func (f Files) names() []string { return []string{f.Cert, f.Key, f.ClientCA} }

// Server is what a daemon brings into its connections.
type Server struct {
	files Files
	tell  func(error)

	mu     sync.Mutex
	stamps [3]stamp
	config *tls.Config
}

// NewServer reads the files. tell hears, later, of files that have changed and
// cannot be used.
func NewServer(f Files, tell func(error)) (*Server, error) {
	s := &Server{files: f, tell: tell, stamps: stampsOf(f)}
	var err error
	s.config, err = f.config()
	return s, err
}

func stampsOf(f Files) (all [3]stamp) {
	for i, name := range f.names() {
		if name != "" {
			all[i] = stampOf(name)
		}
	}
	return all
}

// config reads the files. Sessions are not resumed: a certificate that is no
// longer trusted must not live on in a ticket.
func (f Files) config() (*tls.Config, error) {
	pair, err := readPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: true}
	if f.ClientCA == "" {
		return config, nil
	}
	if config.ClientCAs, err = readPool(f.ClientCA); err != nil {
		return nil, fmt.Errorf("--tls-client-ca: %w", err)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}

// Config is for the next handshake: with the files as they are now, if they can
// be used.
func (s *Server) Config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := stampsOf(s.files)
	for i := range now {
		if now[i].same(s.stamps[i]) {
			continue
		}
		s.stamps = now
		config, err := s.files.config()
		if err != nil {
			s.tell(fmt.Errorf("the certificate that was read before stays in use: %w", err))
			break
		}
		s.config = config
		break
	}
	return s.config
}

// User is who a client's certificate stands for, "" if it showed none: the
// common name of its subject.
func User(state tls.ConnectionState) string {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return ""
	}
	return state.PeerCertificates[0].Subject.CommonName
}
