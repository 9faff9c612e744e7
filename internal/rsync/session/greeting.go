package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/secure"
	"lockstep/internal/rsync/wire"
)

// Limits of the text handshake. What exceeds them is no daemon.
const (
	maxLine     = 5 << 10 // bytes of a line
	maxMOTD     = 1 << 20 // bytes of text before the daemon comes to the point
	keepMOTD    = 100     // lines of it that are kept
	peerVersion = 20      // lowest version number that a peer may name (rsync-session 4)
	peerNewest  = 40      // highest
)

// The words of the daemon protocol (rsync-session 2.3).
const (
	daemonPrefix    = "@RSYNCD: "
	daemonChallenge = daemonPrefix + "AUTHREQD "
	daemonOK        = daemonPrefix + "OK"
	daemonExit      = daemonPrefix + "EXIT"
	daemonError     = "@ERROR"
)

// version is a daemon's first line.
type version struct {
	protocol int
	sub      int
	digests  []string
}

// parseGreeting reads "@RSYNCD: 32.0 sha512 … md4" (rsync-session 2.2).
func parseGreeting(line string) (version, error) {
	var v version
	bad := func(why string) (version, error) { return version{}, &greetingError{line, why} }
	rest, ok := strings.CutPrefix(line, daemonPrefix)
	if !ok {
		return bad("not an rsync daemon")
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return bad("no version")
	}
	number, sub, hasSub := strings.Cut(fields[0], ".")
	var err error
	if v.protocol, err = strconv.Atoi(number); err != nil {
		return bad("no version number")
	}
	if hasSub {
		if v.sub, err = strconv.Atoi(sub); err != nil || v.sub < 0 {
			return bad("bad subversion")
		}
	}
	v.digests = fields[1:]
	switch {
	case !hasSub && v.protocol >= 30:
		return bad(noSubversion)
	case v.protocol < peerVersion || v.protocol > peerNewest:
		return bad("no such protocol version")
	case len(v.digests) == 0 && v.protocol >= 32:
		return bad(noDigests)
	}
	return v, nil
}

// greetingError is a first line that is no greeting, or not one to go on from.
type greetingError struct{ line, why string }

func (e *greetingError) Error() string {
	return fmt.Sprintf("greeting %s: %s", tree.Quote(clip(e.line)), e.why)
}

const (
	noDigests    = "no list of digests"
	noSubversion = "no subversion"
)

// negotiate is the protocol of the session, given our own highest. Our own
// subversion is 0.
func (v version) negotiate(own int) int {
	if v.sub != 0 && v.protocol <= own {
		return v.protocol - 1
	}
	return min(v.protocol, own)
}

// clip shortens a line for an error message.
func clip(s string) string {
	const enough = 120
	if len(s) > enough {
		return s[:enough] + "…"
	}
	return s
}

// readLine reads up to LF; CR anywhere is dropped, NUL is an error.
func readLine(r *wire.Reader) (string, error) {
	var line bytes.Buffer
	for {
		b, err := r.Byte()
		if err != nil {
			if line.Len() > 0 && errors.Is(err, io.EOF) {
				err = fmt.Errorf("connection closed after %s: %w", tree.Quote(clip(line.String())), io.ErrUnexpectedEOF)
			}
			return "", err
		}
		switch b {
		case '\n':
			return line.String(), nil
		case '\r':
			continue
		case 0:
			return "", fmt.Errorf("NUL byte in line %s: %w", tree.Quote(clip(line.String())), wire.ErrStream)
		}
		if line.Len() >= maxLine {
			return "", fmt.Errorf("line longer than %d bytes: %w", maxLine, wire.ErrStream)
		}
		line.WriteByte(b)
	}
}

// say sends a line. If that fails, the daemon has hung up, perhaps after telling
// why: whoever reads next will see.
func (c *Conn) say(format string, words ...any) {
	fmt.Fprintf(c.w, format, words...)
	c.w.Flush()
}

// greet does the text handshake up to "OK".
func (c *Conn) greet(ctx context.Context) error {
	c.stage = greeting
	c.say("%s%d.0 %s\n", daemonPrefix, c.ep.protocol(), secure.DigestNames())
	line, err := readLine(c.r)
	if err != nil {
		return c.fail(err)
	}
	if strings.HasPrefix(line, daemonError) {
		c.journal.hear(wire.CodeError, line)
		return c.fail(nil)
	}
	v, err := parseGreeting(line)
	if err != nil {
		return c.fail(err)
	}
	c.greeted, c.protocol = v.protocol, v.negotiate(c.ep.protocol())
	if c.protocol < MinProtocol {
		c.Close()
		return refuse(c.stage, ExitProtocol, fmt.Errorf("the daemon speaks protocol %d, at least %d is needed", v.protocol, MinProtocol))
	}
	if c.ep.OnGreeted != nil {
		c.ep.OnGreeted(c.protocol)
	}
	if len(c.ep.EarlyInput) > 0 {
		c.say("#early_input=%d\n%s", len(c.ep.EarlyInput), c.ep.EarlyInput)
	}
	c.say("%s\n", c.ep.Module)
	return c.untilOK(ctx, v.digests)
}

// errListed is the end of a listing of modules.
var errListed = errors.New("the daemon listed its modules")

// startupError is why none of the lines came that follow a greeting.
type startupError struct{ error }

func (e startupError) Unwrap() error { return e.error }

// untilOK reads the daemon's lines and answers its challenge.
func (c *Conn) untilOK(ctx context.Context, peerDigests []string) error {
	for total := 0; total < maxMOTD || c.ep.List; {
		line, err := readLine(c.r)
		if err != nil {
			return c.fail(startupError{err})
		}
		total += len(line) + 1
		challenge, wanted := strings.CutPrefix(line, daemonChallenge)
		switch {
		case line == daemonOK:
			c.stage = ready
			return nil
		case wanted:
			c.stage = authentication
			if err := c.authenticate(challenge, peerDigests); err != nil {
				return err
			}
		case line == daemonExit && c.ep.List:
			c.Close()
			return errListed
		case line == daemonExit:
			return c.fail(errors.New("the daemon listed its modules instead of opening one"))
		case strings.HasPrefix(line, daemonError):
			c.journal.hear(wire.CodeError, line)
			return c.fail(nil)
		case c.ep.OnText != nil:
			c.ep.OnText(line)
		case len(c.motd) < keepMOTD:
			c.motd = append(c.motd, line)
		}
		if ctx.Err() != nil {
			return c.fail(context.Cause(ctx))
		}
	}
	return c.fail(fmt.Errorf("more than %d bytes of text before \"OK\": %w", maxMOTD, wire.ErrStream))
}

// authenticate answers a challenge.
func (c *Conn) authenticate(challenge string, peerDigests []string) error {
	d, err := secure.ChooseDigest(c.protocol, peerDigests)
	if err != nil {
		c.Close()
		return refuse(c.stage, ExitUnsupported, err)
	}
	if c.ep.Password == nil {
		c.Close()
		return refuse(c.stage, ExitStartClient, fmt.Errorf("module %s wants a password and none was given", tree.Quote(c.ep.Module)))
	}
	password, err := c.ep.Password()
	if err != nil {
		if errors.As(err, new(*fatal)) { // which says everything
			return c.fail(err)
		}
		return c.fail(fmt.Errorf("password for module %s: %w", tree.Quote(c.ep.Module), err))
	}
	c.say("%s %s\n", c.ep.user(), d.Respond(password, challenge))
	return nil
}
