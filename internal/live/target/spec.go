package target

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"lockstep/internal/fs/tree"
)

// Transport is how a target is reached.
type Transport uint8

// The transports.
const (
	Local  Transport = iota // a directory on this machine
	Daemon                  // an rsync daemon over TCP
	Shell                   // an rsync started through a remote shell
)

// Spec is a target as the user names it.
type Spec struct {
	Text      string // as typed, for display
	Transport Transport
	TLS       bool // of a URL that says so
	User      string
	Host      string // without brackets
	Port      string // "" = the default
	Module    string // Daemon only
	Path      string // of the directory: local, inside the module, or on the host
}

// ParseSpec reads rsync's forms: DIR, [USER@]HOST:PATH, [USER@]HOST::MODULE[/PATH]
// and rsync[s]://[USER@]HOST[:PORT]/MODULE[/PATH]; an IPv6 host stands in brackets.
// As with rsync, a colon after the first slash does not make a host.
func ParseSpec(s string) (Spec, error) {
	sp := Spec{Text: s}
	if s == "" {
		return sp, fmt.Errorf("target: empty name")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return sp, fmt.Errorf("target %s: NUL byte", tree.Quote(s))
	}
	if rest, ok := strings.CutPrefix(s, "rsync://"); ok {
		return parseURL(sp, rest)
	}
	if rest, ok := strings.CutPrefix(s, "rsyncs://"); ok {
		sp.TLS = true
		return parseURL(sp, rest)
	}
	host, path, ok := cutHost(s)
	if !ok {
		sp.Path = s
		return sp, nil
	}
	sp.Transport, sp.Path = Shell, path
	if mod, ok := strings.CutPrefix(path, ":"); ok {
		sp.Transport = Daemon
		sp.Module, sp.Path, _ = strings.Cut(mod, "/")
	}
	return sp, sp.setHost(host)
}

// cutHost splits [USER@]HOST from what follows its colon.
func cutHost(s string) (host, path string, ok bool) {
	colon := strings.IndexByte(s, ':')
	if open := strings.IndexByte(s, '['); open >= 0 && (open == 0 || s[open-1] == '@') {
		if end := strings.IndexByte(s[open:], ']'); end >= 0 {
			colon = strings.IndexByte(s[open+end:], ':')
			if colon >= 0 {
				colon += open + end
			}
		}
	}
	if colon <= 0 {
		return "", "", false
	}
	if slash := strings.IndexByte(s, '/'); slash >= 0 && slash < colon {
		return "", "", false
	}
	return s[:colon], s[colon+1:], true
}

func parseURL(sp Spec, rest string) (Spec, error) {
	sp.Transport = Daemon
	auth, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(auth, '@'); i >= 0 {
		user, err := url.PathUnescape(auth[:i])
		if err != nil {
			return sp, fmt.Errorf("target %s: user: %w", tree.Quote(sp.Text), err)
		}
		sp.User, auth = user, auth[i+1:]
	}
	if host, port, err := net.SplitHostPort(auth); err == nil {
		auth, sp.Port = host, port
		if strings.Contains(host, ":") {
			auth = "[" + host + "]"
		}
	}
	sp.Module, sp.Path, _ = strings.Cut(path, "/")
	return sp, sp.setHost(auth)
}

// setHost takes [USER@]HOST apart and checks the whole.
func (sp *Spec) setHost(s string) error {
	bad := func(why string) error {
		return fmt.Errorf("target %s: %s", tree.Quote(sp.Text), why)
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		sp.User, s = s[:i], s[i+1:]
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if s, ok = strings.CutSuffix(inner, "]"); !ok {
			return bad("no closing bracket after the IPv6 address")
		}
	}
	sp.Host = s
	switch {
	case s == "":
		return bad("no host")
	case strings.HasPrefix(s, "-"):
		return bad("a host name may not begin with a dash")
	case strings.ContainsAny(s, " \t\r\n/"):
		return bad("a host name may not hold spaces or slashes")
	case strings.ContainsAny(sp.User, "\r\n"):
		return bad("a user name may not hold line ends")
	case sp.Transport == Daemon && sp.Module == "":
		return bad("no module: name one as HOST::MODULE or rsync://HOST/MODULE")
	case strings.ContainsAny(sp.Module+sp.Path, "\r\n") && sp.Transport == Daemon:
		return bad("a module or its path may not hold line ends")
	}
	if sp.Port != "" {
		if n, err := strconv.Atoi(sp.Port); err != nil || n < 1 || n > 65535 {
			return bad("port must be a number from 1 to 65535")
		}
	}
	return nil
}
