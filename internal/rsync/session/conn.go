package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// Conn is a way to a server that has not been told yet what to do: a daemon
// that said "OK", or a remote shell not yet started.
type Conn struct {
	ep       Endpoint
	stage    stage
	protocol int
	motd     []string
	journal  journal
	r        *wire.Reader
	w        *wire.Writer

	mu     sync.Mutex // guards what follows
	t      *transport // nil until something was dialled or started
	proc   *process   // of a remote shell
	onLine func(string)
	closed bool
}

// Connect dials, greets and authenticates up to the daemon's "OK". For a
// server that a remote shell starts there is nothing to do before Start. A
// daemon closes a connection at "OK" after a minute, or its timeout.
func Connect(ctx context.Context, ep Endpoint) (*Conn, error) {
	if err := ep.Validate(); err != nil {
		return nil, refuse(dialling, ExitSyntax, err)
	}
	c := &Conn{ep: ep, protocol: ep.protocol()}
	if !ep.Daemon {
		c.stage = ready
		return c, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, greetingTimeout+ep.ConnectTimeout, errTimeout)
	defer cancel()
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	defer c.endWith(ctx)()
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// dial reaches a daemon, over TCP or through a remote shell.
func (c *Conn) dial(ctx context.Context) error {
	if !c.ep.overTCP() {
		return c.spawn([]string{c.ep.rsyncPath(), "--server", "--daemon", "."})
	}
	t, err := dialTCP(ctx, &c.ep)
	if err != nil {
		return c.fail(err)
	}
	c.attach(t)
	return nil
}

// spawn starts the remote shell with a command for the other host.
func (c *Conn) spawn(argv []string) error {
	argv = c.ep.shellArgv(argv)
	p, err := spawn(argv, c.hearLine)
	if err != nil {
		c.Close()
		return &Error{Code: spawnCode(err), Stage: c.stage.String(), Err: err}
	}
	c.mu.Lock()
	c.proc = p
	c.mu.Unlock()
	c.attach(newTransport(p, nil))
	return nil
}

// hearLine takes a line of the remote shell's standard error.
func (c *Conn) hearLine(line string) {
	c.journal.hear(wire.CodeError, line)
	c.mu.Lock()
	pass := c.onLine
	c.mu.Unlock()
	if pass != nil {
		pass(line)
	}
}

func (c *Conn) attach(t *transport) {
	c.r, c.w = wire.NewReader(t), wire.NewWriter(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
	if c.closed {
		t.end(errClosed)
	}
}

// endWith ends the connection when ctx ends, until the returned function is
// called.
func (c *Conn) endWith(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() { c.t.end(context.Cause(ctx)) })
}

// Protocol is that of the session with a daemon; for a server that a remote
// shell will start, the highest we offer.
func (c *Conn) Protocol() int { return c.protocol }

// MOTD is the text that the daemon sent before it came to the point, without
// line ends, at most 100 lines.
func (c *Conn) MOTD() []string { return c.motd }

// Alive reports whether the server is still there, as far as can be known
// without asking: the daemon has not closed the connection. A remote shell not
// yet started is alive.
func (c *Conn) Alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && (c.t == nil || c.t.alive(true))
}

// Lost is closed when the connection has ended from either side. It is nil if
// there is none yet.
func (c *Conn) Lost() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.t == nil {
		return nil
	}
	return c.t.readDone
}

// Close ends the connection at once. It may be called at any time and more
// than once.
func (c *Conn) Close() error {
	c.mu.Lock()
	t := c.t
	c.closed = true
	c.mu.Unlock()
	if t != nil {
		t.end(errClosed)
	}
	return nil
}

// fail closes the connection and reports err, nil if the peer's words are all
// there is to say.
func (c *Conn) fail(err error) error {
	if err != nil {
		err = c.withShell(err)
	}
	c.Close()
	return failure(c.stage, err, c.journal.messages())
}

// withShell waits for a remote shell that seems to be ending, so that its words
// and its exit code are known, and prefers its code to that of a broken stream.
func (c *Conn) withShell(err error) error {
	c.mu.Lock()
	p := c.proc
	c.mu.Unlock()
	var ours *Error
	own := exitCode(c.stage, err)
	if p == nil || own == ExitSignal || own == ExitTimeout || errors.As(err, &ours) {
		return err
	}
	code := p.wait(abortPatience)
	broken := own == ExitStream || own == ExitStartClient || own == ExitSocket
	if broken && code != ExitShellKilled && code > own {
		return fmt.Errorf("the remote shell ended early: %w (%w)", exitError{code}, err)
	}
	return err
}

// Start tells the server what to do and does the binary handshake. path is the
// destination directory below the endpoint's Path, "" for that itself; it is
// taken literally. The Conn is used up, whether or not there is an error.
func (c *Conn) Start(ctx context.Context, opts Options, path string) (*Session, error) {
	if c.stage != ready {
		return nil, refuse(c.stage, ExitSyntax, errors.New("this connection has been used"))
	}
	c.stage = arguments
	argv, args, err := c.arguments(&opts, path)
	if err != nil {
		c.Close()
		return nil, refuse(c.stage, ExitSyntax, err)
	}
	if err := opts.fits(c.protocol); err != nil {
		c.Close()
		return nil, refuse(c.stage, ExitProtocol, err)
	}
	if !c.ep.Daemon {
		if err := c.spawn(argv); err != nil {
			return nil, err
		}
	}
	defer c.endWith(ctx)()
	s := newSession(c, opts)
	defer s.limitSilence()()
	if c.ep.Daemon {
		c.w.Write(args)
		c.w.Flush() // if that fails, the daemon has hung up, which shake will see
	}
	c.stage = handshake
	if err := s.shake(); err != nil {
		return nil, c.fail(err)
	}
	s.hold()
	return s, nil
}

// arguments is the server's command line: the words for a remote shell, or
// the bytes for a daemon.
func (c *Conn) arguments(opts *Options, path string) (argv []string, encoded []byte, err error) {
	if err := opts.Validate(); err != nil {
		return nil, nil, err
	}
	args := append(opts.serverArgs(c.protocol), ".")
	path = c.ep.join(path)
	if c.ep.Daemon {
		arg, err := daemonPath(c.ep.Module, path)
		if err != nil {
			return nil, nil, err
		}
		encoded, err = encodeArgs(c.protocol, append(args, arg))
		return nil, encoded, err
	}
	if strings.Contains(path, "\x00") {
		return nil, nil, fmt.Errorf("%s holds a NUL byte: %w", tree.Quote(path), ErrPath)
	}
	args = append(args, shellPath(path))
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "\n", "'\n'")
	}
	return append([]string{c.ep.rsyncPath()}, args...), nil, nil
}
