package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// Conn is a way to a server that has not been told yet what to do: a daemon
// that said "OK", or a remote shell not yet started.
type Conn struct {
	ep       Endpoint
	stage    stage
	protocol int
	greeted  int // the protocol that a daemon would speak
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
	if limit := cmp.Or(ep.GreetTimeout, greetingTimeout+ep.ConnectTimeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errTimeout)
		defer cancel()
	}
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	defer c.endWith(ctx)()
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// dial reaches a daemon: over TCP, by a program that does so, or through a
// remote shell.
func (c *Conn) dial(ctx context.Context) error {
	switch {
	case !c.ep.overTCP():
		argv := c.ep.shellArgv([]string{c.ep.rsyncPath(), "--server", "--daemon", "."})
		c.ep.trace(option.DebugCmd, shown("opening connection using: ", argv))
		return c.spawn(command{argv: argv, env: []string{"RSYNC_PORT=" + c.ep.port()}})
	case c.ep.Program != "":
		program, err := programFor(c.ep.Program, c.ep.Host)
		if err != nil {
			return c.fail(err)
		}
		c.ep.trace(option.DebugConnect, fmt.Sprintf("Using RSYNC_CONNECT_PROG instead of opening tcp connection to %s port %s", c.ep.Host, c.ep.port()))
		c.ep.trace(option.DebugCmd, fmt.Sprintf("Running socket program: \"%s\"", program))
		return c.spawn(command{argv: []string{cmp.Or(c.ep.Sh, "sh"), "-c", program}, socket: true})
	}
	c.ep.trace(option.DebugConnect, fmt.Sprintf("opening tcp connection to %s port %s", c.ep.Host, c.ep.port()))
	t, err := dialTCP(ctx, &c.ep)
	if err != nil {
		return c.fail(err)
	}
	c.attach(t)
	return nil
}

// spawn starts what carries the connection.
func (c *Conn) spawn(what command) error {
	what.stderr, what.onLine = c.ep.Stderr, c.hearLine
	p, err := spawn(what)
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
	c.hangUp()
	return failure(c.stage, err, c.journal.messages())
}

// hangUp is Close that waits until the peer has taken note, or lingering is
// over: the process may end after it.
func (c *Conn) hangUp() {
	c.Close()
	c.mu.Lock()
	t := c.t
	c.mu.Unlock()
	if t != nil {
		t.closed()
	}
}

// withShell waits for a remote shell that seems to be ending, so that its words
// and its exit code are known, and prefers its code to that of a broken stream,
// but not while a daemon has not let us in.
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
	switch {
	case !broken || code == ExitShellKilled || code <= own:
		return err
	case c.stage == greeting || c.stage == authentication:
		return fmt.Errorf("the remote shell ended early, with exit code %d: %w", code, err)
	}
	return fmt.Errorf("the remote shell ended early: %w (%w)", exitError{code}, err)
}

// Start tells the server what to do and does the binary handshake. path is the
// destination directory below the endpoint's Path, "" for that itself; it is
// taken literally. The Conn is used up, whether or not there is an error.
func (c *Conn) Start(ctx context.Context, opts Options, path string) (*Session, error) {
	if c.stage != ready {
		return nil, refuse(c.stage, ExitSyntax, errors.New("this connection has been used"))
	}
	c.stage = arguments
	arg, err := c.destination(&opts, path)
	if err != nil {
		c.Close()
		return nil, refuse(c.stage, ExitSyntax, err)
	}
	set := opts.set(c.protocol)
	s := &Session{Conn: c, opts: opts, watched: make(chan struct{})}
	side, err := c.open(ctx, set, true, []string{arg}, jobTalk{s})
	if err != nil {
		return nil, err
	}
	s.side = side
	if opts.Rate != nil {
		c.t.throttle = newVariable(opts.Rate)
	}
	s.hold()
	return s, nil
}

// destination is a directory as an argument for this server, quoted.
func (c *Conn) destination(opts *Options, path string) (string, error) {
	if err := opts.Validate(); err != nil {
		return "", err
	}
	path = c.ep.join(path)
	if c.ep.Daemon {
		return daemonPath(c.ep.Module, path)
	}
	if strings.Contains(path, "\x00") {
		return "", fmt.Errorf("%s holds a NUL byte: %w", tree.Quote(path), ErrPath)
	}
	return shellPath(path), nil
}

// open sends the server its command line, with paths that are quoted already,
// and does the handshake.
func (c *Conn) open(ctx context.Context, set *option.Set, push bool, paths []string, talk output.Talk) (*end, error) {
	c.stage = arguments
	words := serverWords(set, c.protocol, push, paths)
	if c.ep.Daemon { // else both ends find out, and both say so
		if err := fits(set, c.protocol, false); err != nil {
			c.Close()
			return nil, refuse(c.stage, ExitProtocol, err)
		}
	}
	rest, err := c.secluded(set, push, paths)
	if err == nil {
		rest, err = c.send(words, rest)
	}
	if err != nil {
		return nil, err
	}
	if set.SecludedArgs {
		c.ep.trace(option.DebugCmd, shown("protected args: ", c.secludedWords(set, push, paths)))
	}
	defer c.endWith(ctx)()
	e := &end{
		opt: set, push: push, daemon: c.ep.Daemon, r: c.r, w: c.w, link: c.t, talk: &witness{Talk: talk},
		pulse: newPulse(c.t, c.w, set.Timeout),
	}
	e.pulse.slow = push
	c.t.throttle = newBucket(set.BwLimit)
	defer e.pulse.limitSilence()()
	c.w.Write(rest)
	c.w.Flush() // if that fails, the server has hung up, which shake will see
	c.stage = handshaking
	h := handshake{
		opt: set, push: push, daemon: c.ep.Daemon, env: c.ep.getenv, r: c.r, w: c.w,
		agreement: agreement{protocol: c.protocol}, peer: c.greeted,
		tell: func(line string) { talk.Text(wire.CodeInfo, line) },
	}
	if err := h.shake(); err != nil {
		return nil, c.fail(err)
	}
	h.account(talk)
	e.agreement = h.agreement
	c.protocol = h.protocol
	e.mux()
	return e, nil
}

// serverWords is the command line of a server as far as it may be seen.
func serverWords(set *option.Set, protocol int, push bool, paths []string) []string {
	words := set.ServerArgs(protocol, !push)
	if set.SecludedArgs {
		return words
	}
	return append(append(words, "."), paths...)
}

// send starts a remote shell with words for the server; for a daemon it puts
// them in front of rest, to be written.
func (c *Conn) send(words []string, rest []byte) ([]byte, error) {
	if c.ep.Daemon {
		encoded, err := encodeArgs(c.protocol, words)
		if err != nil {
			c.Close()
			return nil, refuse(c.stage, ExitSyntax, err)
		}
		return append(encoded, rest...), nil
	}
	for i := range words {
		words[i] = quoteLines(words[i])
	}
	argv := c.ep.shellArgv(append([]string{c.ep.rsyncPath()}, words...))
	c.ep.trace(option.DebugCmd, shown("opening connection using: ", argv))
	return rest, c.spawn(command{argv: argv})
}

// secluded is the second round of a server's words (rsync-session 2.5).
func (c *Conn) secluded(set *option.Set, push bool, paths []string) ([]byte, error) {
	if !set.SecludedArgs {
		return nil, nil
	}
	words := append([]string{"rsync"}, c.secludedWords(set, push, paths)...)
	if names, err := iconvOf(set, false, c.ep.getenv); err == nil {
		for i := range words {
			words[i] = names.textToWire(words[i])
		}
	}
	encoded, err := encodeArgs(nulProtocol, words)
	if err != nil {
		c.Close()
		return nil, refuse(c.stage, ExitSyntax, err)
	}
	return encoded, nil
}

func (c *Conn) secludedWords(set *option.Set, push bool, paths []string) []string {
	return append(append(set.SecludedRest(c.protocol, !push), "."), paths...)
}

// shown is a command line for the user, with the number of its words.
func shown(begin string, words []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.=@_+-/"
	var b strings.Builder
	b.WriteString(begin)
	for _, word := range words {
		if strings.Trim(word, plain) != "" {
			word = `"` + word + `"`
		}
		b.WriteString(word + " ")
	}
	return fmt.Sprintf("%s (%d args)", b.String(), len(words))
}
