package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/secure"
)

// The protocols that this package speaks.
const (
	MinProtocol = 27
	MaxProtocol = 32
)

// The usual TCP ports of a daemon.
const (
	DefaultPort    = 873
	DefaultTLSPort = 874
)

// Endpoint says where the receiving server is and how to reach it.
type Endpoint struct {
	// Daemon and no Shell: a daemon over TCP. Daemon and Shell: a daemon
	// started by the remote shell. No Daemon: a server started by the remote
	// shell, ssh if Shell is empty.
	Daemon bool
	Shell  []string // command and first arguments, split into words

	Host      string
	Port      int    // of a daemon over TCP; 0 is DefaultPort
	HasUser   bool   // also an empty User is passed to the remote shell
	User      string // for the daemon's authentication, and -l of the remote shell
	Module    string // of a daemon
	Path      string // below the module, or on the remote host; "" is the module itself or the home directory
	RsyncPath string // command on the remote host, as its shell sees it; "" is rsync

	// Password is asked only if the daemon wants one. An error from it is
	// passed on as the reason.
	Password func() (string, error)

	Protocol int // highest to offer; 0 is MaxProtocol

	// Of a connection over TCP.
	IPv      int    // 4 or 6; 0 is either
	Local    string // our address or host name; "" leaves it to the system
	Sockopts string // in rsync's form: NAME[=VALUE],…
	Proxy    string // [USER:PASSWORD@]HOST:PORT of an HTTP proxy
	Program  string // a command to run in place of connecting, %H being the host
	Sh       string // what runs it, "" is sh

	// TLS, if not nil, is spoken with the daemon, whose port is then
	// DefaultTLSPort if Port is 0.
	TLS *secure.Client

	// EarlyInput is for a module's early exec, at most maxEarlyInput bytes.
	EarlyInput []byte
	// List asks for the list of modules instead of naming one.
	List bool

	// What a command of rsync shows and passes on. OnText gets the daemon's
	// lines before it comes to the point; if it is nil, MOTD has them. OnTrace
	// gets what is being opened, and the word of --debug that asks for it.
	// OnGreeted hears the protocol once a daemon has greeted, before it is asked
	// for the module. Stderr gets the remote shell's standard error as it is; if it
	// is nil, errors have it.
	OnText    func(line string)
	OnTrace   func(what option.Debug, line string)
	OnGreeted func(protocol int)
	Stderr    io.Writer
	Getenv    func(string) string // nil is os.Getenv

	// ConnectTimeout bounds dialling. GreetTimeout bounds dialling, greeting and
	// authentication together; 0 is greetingTimeout more than the former, below
	// 0 there is no limit.
	ConnectTimeout, GreetTimeout time.Duration

	// Dial replaces the TCP dialler, if set.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// maxEarlyInput is what a daemon takes for the early exec of a module.
const maxEarlyInput = 5 << 10

// greetingTimeout bounds the text handshake: a daemon allows a minute itself.
const greetingTimeout = 75 * time.Second

// Validate reports an endpoint that cannot be reached whatever happens.
func (ep *Endpoint) Validate() error {
	switch {
	case strings.HasPrefix(ep.Host, "-"):
		return fmt.Errorf("endpoint: host %s begins with a dash", tree.Quote(ep.Host))
	case ep.Protocol != 0 && (ep.Protocol < MinProtocol || ep.Protocol > MaxProtocol):
		return fmt.Errorf("endpoint: protocol %d is not %d to %d", ep.Protocol, MinProtocol, MaxProtocol)
	case ep.Port < 0 || ep.Port > 65535:
		return fmt.Errorf("endpoint: port %d is not 1 to 65535", ep.Port)
	case len(ep.Shell) > 0 && ep.Shell[0] == "":
		return errors.New("endpoint: the remote shell has no name")
	case ep.TLS != nil && !ep.overTCP():
		return errors.New("endpoint: TLS is for daemons that are reached over TCP, not through a remote shell")
	case ep.TLS != nil && ep.Program != "":
		return errors.New("endpoint: TLS does not go through RSYNC_CONNECT_PROG; a proxy is named with RSYNC_PROXY")
	case ep.Daemon && ep.Module == "" && !ep.List:
		return errors.New("endpoint: no module")
	case len(ep.EarlyInput) > maxEarlyInput:
		return fmt.Errorf("endpoint: %d bytes of early input, at most %d can be sent", len(ep.EarlyInput), maxEarlyInput)
	case ep.Daemon && (strings.HasPrefix(ep.Module, "#") || strings.ContainsAny(ep.Module, "/\r\n")):
		return fmt.Errorf("endpoint: %s cannot be the name of a module", tree.Quote(ep.Module))
	case ep.Daemon && strings.ContainsAny(ep.User, " \r\n"):
		return fmt.Errorf("endpoint: user %s holds a space or a line end", tree.Quote(ep.User))
	}
	for _, s := range append([]string{ep.Host, ep.User, ep.Module, ep.Path, ep.RsyncPath}, ep.Shell...) {
		if strings.Contains(s, "\x00") {
			return fmt.Errorf("endpoint: %s holds a NUL byte", tree.Quote(s))
		}
	}
	return nil
}

func (ep *Endpoint) trace(what option.Debug, line string) {
	if ep.OnTrace != nil {
		ep.OnTrace(what, line)
	}
}

func (ep *Endpoint) getenv(name string) string {
	if ep.Getenv == nil {
		return os.Getenv(name)
	}
	return ep.Getenv(name)
}

// overTCP reports whether the endpoint is dialled rather than spawned.
func (ep *Endpoint) overTCP() bool { return ep.Daemon && len(ep.Shell) == 0 }

// protocol is the highest that we offer.
func (ep *Endpoint) protocol() int {
	if ep.Protocol == 0 {
		return MaxProtocol
	}
	return ep.Protocol
}

// port is the daemon's.
func (ep *Endpoint) port() string {
	switch {
	case ep.Port != 0:
		return strconv.Itoa(ep.Port)
	case ep.TLS != nil:
		return strconv.Itoa(DefaultTLSPort)
	}
	return strconv.Itoa(DefaultPort)
}

// address is the daemon's, for the dialler.
func (ep *Endpoint) address() string { return net.JoinHostPort(ep.Host, ep.port()) }

// shellArgv is the command line that starts argv on the remote host
// (rsync-session 1.3). argv[0] is for the remote shell to take apart, the rest
// must be quoted already.
func (ep *Endpoint) shellArgv(argv []string) []string {
	words := ep.Shell
	if len(words) == 0 {
		words = []string{"ssh"}
	}
	words = append([]string(nil), words...)
	if (ep.User != "" || ep.HasUser) && !(ep.Daemon && hasLoginName(words)) {
		words = append(words, "-l", ep.User)
	}
	return append(append(words, ep.Host), argv...)
}

// hasLoginName reports whether a shell command already says who logs in.
func hasLoginName(words []string) bool {
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-l") {
			return true
		}
	}
	return false
}

// rsyncPath is the remote command.
func (ep *Endpoint) rsyncPath() string {
	if ep.RsyncPath == "" {
		return "rsync"
	}
	return ep.RsyncPath
}

// join is a path below the endpoint's own.
func (ep *Endpoint) join(path string) string {
	switch {
	case path == "":
		return ep.Path
	case ep.Path == "":
		return path
	}
	return strings.TrimRight(ep.Path, "/") + "/" + path
}
