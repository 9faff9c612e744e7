package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/rsync/secure"
)

// Limits of the text handshake (rsync-session 2).
const (
	maxLine      = 1023 // bytes of a greeting, a command, the name of a module
	maxReply     = 5119 // of an answer to a challenge, and of a word
	maxEarly     = 5120 // of early input
	maxMotd      = 64 << 10
	newest       = 32 // the protocol that we speak at most
	handshakeMax = 60 * time.Second
)

// stream is a connection with a client.
type stream interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// conn is a stream that is read line by line first.
type conn struct {
	stream
	r *bufio.Reader
}

func newConn(s stream) *conn { return &conn{stream: s, r: bufio.NewReaderSize(s, 4<<10)} }

func (c *conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// CloseWrite tells the client that nothing more is coming.
func (c *conn) CloseWrite() error {
	if half, ok := c.stream.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// buffered takes what was read ahead.
func (c *conn) buffered() []byte {
	b, _ := c.r.Peek(c.r.Buffered())
	return append([]byte(nil), b...)
}

var errLine = errors.New("a line that is too long, or has a NUL byte")

// line reads up to a line feed; carriage returns do not count.
func (c *conn) line(limit int) (string, error) {
	var line []byte
	for {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b == '\n':
			return string(line), nil
		case b == '\r':
			continue
		case b == 0 || len(line) >= limit:
			return "", errLine
		}
		line = append(line, b)
	}
}

func (c *conn) say(format string, words ...any) error {
	_, err := fmt.Fprintf(c.stream, format, words...)
	return err
}

// refusal is an end that the client is told about.
type refusal struct {
	told   string // after "@ERROR: "
	logged string // "" is nothing
	reason string // for counting
}

func (e *refusal) Error() string { return e.told }

func refused(reason, told, logged string, words ...any) error {
	return &refusal{told: told, logged: fmt.Sprintf(logged, words...), reason: reason}
}

// greeting is a client's first line (rsync-session 2.2).
type greeting struct {
	protocol int
	digests  []string
}

// clip bounds what of a client's line is repeated.
func clip(line string) string {
	const enough = 200
	return line[:min(len(line), enough)]
}

func parseGreeting(line string) (greeting, error) {
	wrong := refused("protocol", "protocol startup error", "")
	rest, ok := strings.CutPrefix(line, "@RSYNCD: ")
	if !ok {
		return greeting{}, wrong
	}
	words := strings.Fields(rest)
	if len(words) == 0 {
		return greeting{}, wrong
	}
	number, subText, hasSub := strings.Cut(words[0], ".")
	theirs, err := strconv.Atoi(number)
	if err != nil || theirs < 0 {
		return greeting{}, wrong
	}
	sub := 0
	if hasSub {
		if sub, err = strconv.Atoi(subText); err != nil {
			return greeting{}, wrong
		}
	}
	g := greeting{protocol: min(theirs, newest), digests: words[1:]}
	switch {
	case !hasSub && theirs >= 30:
		return g, refused("protocol", "your client omitted the subprotocol value: "+clip(line), "")
	case len(g.digests) == 0 && theirs >= 32:
		return g, refused("protocol", "your client omitted the digest name list: "+clip(line), "")
	}
	if sub != 0 && theirs <= newest {
		g.protocol--
	}
	if theirs > maxPeerProtocol || theirs < minPeerProtocol {
		g.protocol = 0 // the handshake refuses it
	}
	return g, nil
}

// The protocols that a peer may name at all (rsync-session 4).
const (
	minPeerProtocol = 20
	maxPeerProtocol = 40
)

// greet exchanges greetings.
func (v *visit) greet() error {
	if err := v.conn.say("@RSYNCD: %d.0 %s\n%s", newest, secure.DigestNames(), v.motd()); err != nil {
		return err
	}
	line, err := v.conn.line(maxLine)
	if err != nil {
		return err
	}
	v.greeting, err = parseGreeting(line)
	return err
}

// command reads what the client wants: the name of a module, or "" for a list.
func (v *visit) command() (string, error) {
	for {
		line, err := v.conn.line(maxLine)
		if err != nil {
			return "", err
		}
		size, early := strings.CutPrefix(line, "#early_input=")
		switch {
		case early:
			n, err := strconv.Atoi(size)
			if err != nil || n < 1 || n > maxEarly || v.early != nil {
				return "", refused("protocol", "invalid early_input length", "")
			}
			v.early = make([]byte, n)
			if _, err := io.ReadFull(v.conn, v.early); err != nil {
				return "", err
			}
		case line == "#list" || line == "":
			return "", nil
		case strings.HasPrefix(line, "#"):
			return "", refused("protocol", fmt.Sprintf("Unknown command '%s'", clip(line)), "")
		default:
			return line, nil
		}
	}
}

// authenticate asks for a password if the module wants one.
func (v *visit) authenticate(m *module) error {
	rules := parseAuthUsers(m.authUsers)
	if len(rules) == 0 {
		return nil
	}
	failed := func(user string, why error) error {
		v.server.slow(network(v.peer.addr), v.ended)
		return refused("auth", "auth failed on module "+m.Name, "auth failed on module %s from %s (%s) for %s: %v",
			m.Name, v.host(), v.peer.address(), user, why)
	}
	switch rule, ok := certified(rules, v.vouched, v.jail().groupsOf); {
	case ok && rule.deny:
		return failed(clip(v.vouched), errDenied)
	case ok:
		v.loggedIn(m, v.vouched, rule.right)
		return nil
	}
	d, err := secure.ChooseDigest(v.greeting.protocol, v.greeting.digests)
	if err != nil {
		return refused("digest", "your client does not support one of our daemon-auth checksums: "+secure.DigestNames(), "no common digest")
	}
	if d.Weaker(m.authDigest) {
		return failed("(unknown)", errWeakDigest)
	}
	asked := challenge(d)
	if err := v.conn.say("@RSYNCD: AUTHREQD %s\n", asked); err != nil {
		return err
	}
	line, err := v.conn.line(maxReply)
	if err != nil {
		return err
	}
	user, response, _ := strings.Cut(line, " ")
	l := login{
		user: user, response: response, challenge: asked, digest: d, rules: rules,
		jail: v.jail(), secrets: m.secrets, strict: m.strict, groups: v.jail().groupsOf, warn: v.log.Line,
	}
	right, err := l.check()
	if err != nil {
		return failed(clip(user), err)
	}
	v.server.forgive(network(v.peer.addr))
	v.loggedIn(m, user, right)
	return nil
}

// loggedIn gives a user the rights of the rule that let it in.
func (v *visit) loggedIn(m *module, user string, right right) {
	v.user = user
	switch right {
	case readOnly:
		m.ReadOnly = true
	case readWrite:
		m.ReadOnly = false
	}
}

// isTimeout reports whether a deadline passed.
func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
