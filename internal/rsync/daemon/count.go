package daemon

import (
	"maps"
	"time"
)

// Counts are what a daemon has done since it was started.
type Counts struct {
	Started     time.Time
	Connections int            // accepted
	Waiting     int            // of clients that have not logged in, now
	Refused     map[string]int // by reason, see Reasons
	Modules     map[string]ModuleCounts
}

// ModuleCounts are those of one module.
type ModuleCounts struct {
	Open              int // transfers under way
	Transfers, Failed int // that have ended, and those of them that failed
	Totals
}

// Totals are what transfers came to.
type Totals struct {
	Files          int   // whose content was sent or received
	Bytes          int64 // of their content
	Sent, Received int64 // bytes of the connections
}

// Reason is why a connection was refused.
type Reason struct{ Name, Text string }

// Reasons are all of them.
var Reasons = []Reason{
	{"waiting", "too many clients wait that have not logged in"},
	{"proxy", "no header of a proxy, or of one that is not listed"},
	{"tls", "the handshake of TLS failed"},
	{"timeout", "the client did not come to the point in time"},
	{"protocol", "the client does not speak the protocol"},
	{"module", "no module of that name"},
	{"host", "the host may not use the module"},
	{"connections", "the module has no connection left"},
	{"busy", "too many transfers run, in all or for the address"},
	{"lock", "the lock file cannot be used"},
	{"digest", "no digest in common for passwords"},
	{"auth", "the login failed"},
	{"uid", "no such user, or the daemon may not become it"},
	{"gid", "no such group, or the daemon may not become it"},
	{"path", "the module's directory cannot be used"},
	{"filter", "the module's filter cannot be read"},
	{"charset", "the module's charset is not known"},
	{"munge", "symlinks cannot be munged safely"},
	{"hook", "a command before the transfer failed"},
	{"fork", "no process could be started"},
}

// Counts are a copy of what was counted.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Waiting = s.waiting.Len()
	c.Refused, c.Modules = maps.Clone(c.Refused), maps.Clone(c.Modules)
	return c
}

func (s *Server) count(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Refused[reason]++
}

func (s *Server) started(module string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts.Modules[module]
	c.Open++
	s.counts.Modules[module] = c
}

func (s *Server) finished(module string, done outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts.Modules[module]
	c.Open--
	c.Transfers++
	if done.Code != 0 {
		c.Failed++
	}
	c.Files += done.Totals.Files
	c.Bytes += done.Totals.Bytes
	c.Sent += done.Totals.Sent
	c.Received += done.Totals.Received
	s.counts.Modules[module] = c
}
