package daemon

import (
	"bufio"
	"hash"
	"io"
	"net/netip"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/secure"
)

// NewPeer is a peer with given names.
func NewPeer(addr string, names resolver) *peer {
	return &peer{addr: netip.MustParseAddr(addr), names: names}
}

// Admits applies lists of hosts.
func Admits(allow, deny string, reverse, forward bool, p *peer) bool {
	a := access{allow: allow, deny: deny, reverse: reverse, forward: forward, warn: func(string) {}}
	return a.admits(p)
}

// Respond is the answer to a challenge by the digest of a greeting.
func Respond(protocol int, names []string, secret, challenge string) string {
	d, err := secure.ChooseDigest(protocol, names)
	if err != nil {
		return ""
	}
	return d.Respond(secret, challenge)
}

// Login checks a login against a secrets file, with the right password if secret
// is what the file has.
func Login(rules, file, user, secret string, groups map[string][]string) (string, error) {
	d := strongest()
	asked := challenge(d)
	l := login{
		user: user, response: d.Respond(secret, asked), challenge: asked, digest: d, rules: parseAuthUsers(rules),
		secrets: file, strict: true, groups: func(name string) []string { return groups[name] }, warn: func(string) {},
	}
	r, err := l.check()
	return [...]string{"module", "read only", "read write"}[r], err
}

var (
	ParseGreeting = parseGreeting
	Clean         = clean
	InModule      = inModule
	Unescape      = unescape
	ReadProxy     = readProxy
	Patterns      = patterns
	ParseSockopts = parseSockopts
)

// Protocol is what a greeting settles.
func (g greeting) Protocol() int { return g.protocol }

// ReadRequest reads the words of a client.
func ReadRequest(r io.Reader, protocol int) ([]string, bool, error) {
	q, secluded, err := readRequest(bufio.NewReader(r), protocol)
	return q.words, secluded, err
}

// Refuses tells what of some words a list of refusals refuses.
func Refuses(list, words string) string {
	all := strings.Fields(words)
	sends := strings.Contains(words, "--sender")
	if err := newRefusals(list, false).check(all, &option.Set{Sender: sends}); err != nil {
		return strings.TrimPrefix(err.Error(), "rsync: The server is configured to refuse ")
	}
	return ""
}

// Hides tells if a module's filter hides a name.
func Hides(m *Module, name string) (bool, error) {
	rules, err := m.loaded()
	if err != nil {
		return false, err
	}
	return rules.Scope(nil).Hidden(treePath(name), false), nil
}

// HookCommand is a hook with its references followed.
func HookCommand(value string, env conf.Env) (string, error) {
	h := hooks{env: env}
	return h.command(value)
}

func treePath(name string) tree.Path { return tree.Path(name) }

// LogToSyslog logs a line to the socket of syslog.
func LogToSyslog(socket, facility, tag string, id int, line string) error {
	j, err := syslogAt(socket, LogTo{Syslog: true, Tag: tag, Priority: facilityOf(facility)<<3 | infoLevel, ID: id})
	if err != nil {
		return err
	}
	defer j.close()
	j.Line(line)
	return nil
}

// Network is what limits count as one address.
func Network(addr string) string { return network(netip.MustParseAddr(addr)) }

// Begin takes a place among the transfers, and tells if there was one.
func (s *Server) Begin(address string) (end func(), ok bool) {
	end = s.begin(address)
	return end, end != nil
}

// Bounds on transfers.
const (
	MaxOpen     = maxOpen
	MaxOpenEach = maxOpenEach
)

func strongest() secure.Digest {
	d, err := secure.ChooseDigest(newest, strings.Fields(secure.DigestNames()))
	if err != nil {
		panic(err)
	}
	return d
}

// Compared counts the digests that a login with a wrong password costs.
func Compared(file, user string) int {
	n := 0
	d := strongest()
	counted := secure.Digest{Name: d.Name, New: func() hash.Hash { n++; return d.New() }}
	l := login{user: user, response: "wrong", challenge: "x", digest: counted, rules: parseAuthUsers("*"), secrets: file, strict: true,
		groups: func(string) []string { return nil }, warn: func(string) {}}
	_, _ = l.check()
	return n
}
