package daemon

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/secure"
)

// Options are what a daemon is started with.
type Options struct {
	Config  string   // the file; "" is /etc/rsyncd.conf
	Params  []string // of --dparam
	LogFile string   // overrides those of the configuration
	BwLimit int64    // bytes a second of each transfer; 0 is none

	// LogFormat takes the place of those in the configuration and turns the log
	// of transfers on, an empty one off; nil leaves both.
	LogFormat *string

	JSON bool // logs are JSON objects, one a line
}

// DefaultConfig is where the configuration lies if nobody says.
const DefaultConfig = "/etc/rsyncd.conf"

// Bounds on those who have not said yet who they are.
const (
	maxWaiting     = 4096 // in all
	maxWaitingEach = 512  // from one address
)

// Bounds on transfers, each of which is a process if the daemon is root.
const (
	maxOpen     = 2048 // in all
	maxOpenEach = 512  // from one address
)

// network is what limits count as one address: of IPv6 the part that a host can
// choose freely does not count.
func network(a netip.Addr) string {
	const fixed = 64 // bits
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(fixed); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// begin takes a place among the transfers. The function that it returns gives it
// back; it is nil if there is none.
func (s *Server) begin(address string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxOpen || s.openFrom[address] >= maxOpenEach {
		return nil
	}
	s.open++
	s.openFrom[address]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.openFrom[address]--; s.openFrom[address] == 0 {
			delete(s.openFrom, address)
		}
	}
}

// Server is an rsync daemon.
type Server struct {
	options Options
	names   resolver
	serial  atomic.Int64 // numbers of connections
	visits  sync.WaitGroup
	config  configCache
	logs    logFiles

	lastResort *os.File // the log if there is neither a file nor syslog; nil is none

	mu       sync.Mutex
	waiting  list.List      // of *pass, those that came first in front
	from     map[string]int // how many of them, by address
	open     int            // transfers
	openFrom map[string]int
	failures map[string]failures
	told     string // the problems of the configuration that were logged last
	counts   Counts
}

// New returns a daemon that does nothing yet.
func New(o Options) *Server {
	if o.Config == "" {
		o.Config = DefaultConfig
	}
	o.Config, o.LogFile = absolute(o.Config), absolute(o.LogFile)
	s := &Server{options: o, names: net.DefaultResolver, lastResort: os.Stderr, from: map[string]int{}, openFrom: map[string]int{}, failures: map[string]failures{}}
	s.serial.Store(int64(os.Getpid()))
	s.counts = Counts{Started: time.Now(), Refused: map[string]int{}, Modules: map[string]ModuleCounts{}}
	return s
}

// environ is the daemon's environment.
func (s *Server) environ(name string) (string, bool) { return os.LookupEnv(name) }

// Config reads the configuration.
func (s *Server) Config() (*conf.Config, error) {
	return s.config.get(func(files conf.Files) (*conf.Config, error) {
		return conf.Load(s.options.Config, conf.Options{Files: files, Overrides: s.options.Params, Env: s.environ})
	})
}

// journal opens the daemon's log for a connection.
func (s *Server) journal(c *conf.Config, id int) *journal {
	file := s.options.LogFile
	if file == "" {
		file = c.Global.Text(conf.LogFile, s.environ)
	}
	return s.openJournal("", file, c.Global.Text(conf.SyslogFacility, s.environ), c.Global.Text(conf.SyslogTag, s.environ), LogTo{ID: id, JSON: s.options.JSON})
}

// complain logs the problems of a configuration, once for as long as they are
// the same.
func (s *Server) complain(log *journal, c *conf.Config, err error) {
	text := fmt.Sprint(c.Problems, err)
	s.mu.Lock()
	known := s.told == text
	s.told = text
	s.mu.Unlock()
	if known {
		return
	}
	for _, p := range c.Problems {
		for _, line := range p.Lines {
			log.linef("%s: %s", p.Where, line)
		}
	}
	if err != nil {
		log.Line(err.Error())
	}
}

// Serve accepts connections from listeners until the context ends, and then
// waits for what is under way. It closes the listeners.
func (s *Server) Serve(ctx context.Context, transfers context.Context, listeners []net.Listener) error {
	var wg sync.WaitGroup
	errs := make([]error, len(listeners))
	stop := context.AfterFunc(ctx, func() {
		for _, l := range listeners {
			l.Close()
		}
	})
	defer stop()
	for i, l := range listeners {
		wg.Go(func() { errs[i] = s.accept(ctx, transfers, l) })
	}
	wg.Wait()
	s.visits.Wait()
	return errors.Join(errs...)
}

// acceptPause is how long a listener rests that can accept nothing, for want of
// descriptors.
const acceptPause = 100 * time.Millisecond

func (s *Server) accept(ctx, transfers context.Context, l net.Listener) error {
	var secret *secure.Server
	if e, ok := l.(*encrypted); ok {
		secret = e.tls
	}
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		case errors.Is(err, syscall.ECONNABORTED):
			continue
		case err != nil:
			return err
		}
		who := caller{c, addressOf(c), secret}
		if p := s.admit(who); p != nil { // here, so that who came first is let in first
			s.visits.Go(func() { s.visit(ctx, transfers, who, p) })
		}
	}
}

func addressOf(c net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// Visit serves one connection that somebody else accepted.
func (s *Server) Visit(ctx context.Context, c net.Conn) {
	s.only(ctx, caller{stream: c, from: addressOf(c)})
}

// only serves a connection that no listener of ours accepted.
func (s *Server) only(ctx context.Context, c caller) {
	if p := s.admit(c); p != nil {
		s.visit(ctx, ctx, c, p)
	}
}

// caller is a connection that was accepted.
type caller struct {
	stream
	from netip.Addr
	tls  *secure.Server // what the connection has to be encrypted with; nil is nothing
}

// visit serves one connection. Until it is trusted, ctx ends it.
func (s *Server) visit(ctx, transfers context.Context, c caller, p *pass) {
	defer p.release()
	p.end = context.AfterFunc(ctx, func() { c.Close() })
	id := int(s.serial.Add(1))
	config, err := s.Config()
	log := s.journal(config, id)
	s.complain(log, config, err)
	if err != nil {
		log.close()
		c.Close()
		return
	}
	v := &visit{
		server: s, conn: newConn(c.stream), id: id, config: config, log: log, pass: p, ended: ctx.Done(),
		peer: &peer{addr: c.from, names: s.names},
	}
	if reason, err := v.open(ctx, c.tls); err != nil {
		log.Line(err.Error())
		log.event("refused", slog.String("reason", reason), slog.String("address", v.peer.address()))
		log.close()
		c.Close()
		s.count(reason)
		return
	}
	v.run(transfers)
}

// pass is the permission to wait among those that are not trusted yet.
type pass struct {
	server  *Server
	address string
	conn    stream
	at      *list.Element
	end     func() bool // stops what ends the connection with the daemon
	once    sync.Once
}

// admit gives a pass. If too many wait from the address it refuses the
// connection, and gives none.
func (s *Server) admit(c caller) *pass {
	p := s.enter(network(c.from), c)
	if p == nil {
		if c.tls == nil { // what is sent first never has to wait
			_ = c.SetDeadline(time.Now().Add(lingerTime))
			_, _ = fmt.Fprint(c, "@ERROR: too many connections -- try again later\n")
		}
		c.Close()
	}
	return p
}

// enter adds a connection to those that wait, unless too many wait from the
// address. If too many wait in all, who has waited longest must go: an honest
// client is through in no time.
func (s *Server) enter(address string, c stream) *pass {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Connections++
	if s.from[address] >= maxWaitingEach {
		s.counts.Refused["waiting"]++
		return nil
	}
	p := &pass{server: s, address: address, conn: c}
	if s.waiting.Len() >= maxWaiting {
		s.counts.Refused["waiting"]++
		oldest := s.waiting.Front().Value.(*pass)
		s.remove(oldest)
		oldest.conn.Close()
	}
	p.at = s.waiting.PushBack(p)
	s.from[address]++
	return p
}

// remove takes a pass out of those that wait; the caller holds mu.
func (s *Server) remove(p *pass) {
	if p.at == nil {
		return
	}
	s.waiting.Remove(p.at)
	p.at = nil
	if s.from[p.address]--; s.from[p.address] == 0 {
		delete(s.from, p.address)
	}
}

// release gives the pass back; further calls do nothing.
func (p *pass) release() {
	p.once.Do(func() {
		if p.end != nil {
			p.end()
		}
		s := p.server
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(p)
	})
}

// failures are the failed logins from an address.
type failures struct {
	count int
	last  time.Time
}

// Bounds of the time that a failed login costs.
const (
	firstDelay     = 50 * time.Millisecond
	longestDelay   = 5 * time.Second
	forgetFailures = 10 * time.Minute
	maxFailures    = 10_000 // addresses that are remembered
)

// slow waits after a failed login, longer after each, unless the daemon ends.
func (s *Server) slow(address string, end <-chan struct{}) {
	now := time.Now()
	s.mu.Lock()
	f := s.failures[address]
	if now.Sub(f.last) > forgetFailures {
		f.count = 0
	}
	f.count++
	f.last = now
	if len(s.failures) >= maxFailures {
		maps.DeleteFunc(s.failures, func(_ string, f failures) bool { return now.Sub(f.last) > forgetFailures/10 })
	}
	if len(s.failures) < maxFailures {
		s.failures[address] = f
	}
	s.mu.Unlock()
	select {
	case <-end:
	case <-time.After(min(firstDelay<<min(f.count-1, 10), longestDelay)):
	}
}

// forgive forgets the failed logins of an address.
func (s *Server) forgive(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, address)
}
