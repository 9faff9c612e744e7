package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/output"
)

// Start is a daemon that is about to run.
type Start struct {
	Server   *Server
	Endpoint Endpoint
	TLS      TLS
	Ready    func(port int) // is called when it listens; may be nil
}

// Run listens and serves until ctx ends; then transfers go on until they are
// done or the other context ends.
func (s *Start) Run(ctx, transfers context.Context) error {
	c, err := s.Server.Config()
	log := s.Server.journal(c, os.Getpid())
	defer log.close()
	s.Server.complain(log, c, err)
	if err != nil {
		return err
	}
	listeners, err := s.listen(c, log.Line)
	if err != nil {
		log.Line(err.Error())
		return err
	}
	pid, err := HoldPidFile(c.Global.Text(conf.PidFile, s.Server.environ))
	if err == nil {
		defer pid.Release()
		err = s.Server.become(c)
	}
	if err != nil {
		for _, l := range listeners {
			l.Close()
		}
		log.Line(err.Error())
		return err
	}
	port := portOf(listeners[0])
	log.linef("rsyncd version %s starting, listening on port %d", output.Version, port)
	if s.Ready != nil {
		s.Ready(port)
	}
	return s.Server.Serve(ctx, transfers, listeners)
}

// listen opens the listeners, or takes those that systemd opened.
func (s *Start) listen(c *conf.Config, warn func(string)) ([]net.Listener, error) {
	secret, err := s.TLS.server(s.Server)
	if err != nil {
		return nil, err
	}
	handed, err := takeInherited()
	if err != nil {
		return nil, err
	}
	if len(handed) > 0 {
		return s.TLS.protect(handed, secret)
	}
	var listeners []net.Listener
	if !s.TLS.Only {
		if listeners, err = Listen(c, s.Endpoint, warn); err != nil || secret == nil {
			return listeners, err
		}
	}
	e := s.Endpoint
	e.Port = cmp.Or(s.TLS.Port, DefaultTLSPort)
	more, err := Listen(c, e, warn)
	if err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return nil, err
	}
	return append(listeners, encryptAll(more, secret)...), nil
}

// Reread looks at the configuration and logs what is wrong with it; every
// connection reads it anyway.
func (s *Server) Reread() {
	c, err := s.Config()
	log := s.journal(c, os.Getpid())
	defer log.close()
	s.complain(log, c, err)
	log.Line("configuration reread")
}

// become takes on the user that the daemon itself is to run as.
func (s *Server) become(c *conf.Config) error {
	uid, gid := c.Global.Text(conf.DaemonUID, s.environ), c.Global.Text(conf.DaemonGID, s.environ)
	names := jail(c.Global.Text(conf.DaemonChroot, s.environ))
	id := Identity{UID: -1}
	if gid != "" {
		n, ok := names.groupID(gid)
		if !ok {
			return fmt.Errorf("invalid daemon gid %s", gid)
		}
		id.GIDs = []int{n}
	}
	if uid != "" {
		n, ok := names.userID(uid)
		if !ok {
			return fmt.Errorf("invalid daemon uid %s", uid)
		}
		id.UID = n
	}
	_, err := id.assume()
	return err
}

// IsSocket reports whether a file is a socket: a daemon whose standard input is
// one was started by inetd, for that connection.
func IsSocket(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// Inetd serves the connection that is the standard input, and that may be the
// standard error, too.
func (s *Server) Inetd(ctx context.Context, in *os.File) error {
	if same(in, s.lastResort) {
		s.lastResort = nil
	}
	c, err := net.FileConn(in)
	if err != nil {
		return err
	}
	in.Close()
	st, ok := c.(stream)
	if !ok {
		return fmt.Errorf("standard input: %T is no connection", c)
	}
	s.only(ctx, caller{stream: st, from: addressOf(c)})
	return nil
}

// same reports whether two descriptors lead to the same place.
func same(a, b *os.File) bool {
	first, err := a.Stat()
	if err != nil {
		return false
	}
	second, err := b.Stat()
	return err == nil && os.SameFile(first, second)
}

// Pipe serves a connection that a remote shell carries. The client's address is
// in the environment, and the standard error is for the client's user, no log.
func (s *Server) Pipe(ctx context.Context, in, out *os.File) error {
	s.lastResort = nil
	p := &pipe{in: pollable(in), out: pollable(out)}
	s.only(ctx, caller{stream: p, from: shellAddress(os.Getenv)})
	return nil
}

// shellAddress is who a remote shell works for (rsync-session 1.3).
func shellAddress(env func(string) string) netip.Addr {
	for _, name := range []string{"REMOTE_HOST", "SSH_CONNECTION", "SSH_CLIENT", "SSH2_CLIENT"} {
		word, _, _ := strings.Cut(strings.TrimSpace(env(name)), " ")
		if a, err := netip.ParseAddr(word); err == nil {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}

// pipe is a connection of two files.
type pipe struct{ in, out *os.File }

// pollable is f with deadlines, if it is a pipe or a socket.
func pollable(f *os.File) *os.File {
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return f
	}
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return f
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return f
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func (p *pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pipe) Close() error                { return errors.Join(p.in.Close(), p.out.Close()) }

// SetDeadline implements stream; files that have none go without.
func (p *pipe) SetDeadline(t time.Time) error {
	for _, f := range []*os.File{p.in, p.out} {
		if err := f.SetDeadline(t); err != nil && !errors.Is(err, os.ErrNoDeadline) {
			return err
		}
	}
	return nil
}
