package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/daemon/conf"
)

// DefaultPort is that of rsync daemons.
const DefaultPort = 873

// Endpoint is where a daemon listens; what is zero comes from the configuration.
type Endpoint struct {
	Address  string
	Port     int
	IPv      int // 4, 6 or 0 for both
	Sockopts string
}

// Listen opens the listeners. warn hears of socket options that nobody knows.
func Listen(c *conf.Config, e Endpoint, warn func(text string)) ([]net.Listener, error) {
	env := conf.Env(os.LookupEnv)
	network := map[int]string{4: "tcp4", 6: "tcp6"}[e.IPv]
	address := cmp.Or(e.Address, c.Global.Text(conf.Address, env))
	port := cmp.Or(e.Port, c.Global.Int(conf.Port), DefaultPort)
	options, unknown, err := parseSockopts(cmp.Or(e.Sockopts, c.Global.Text(conf.SocketOptions, env)))
	if err != nil {
		return nil, err
	}
	for _, name := range unknown {
		warn("Unknown socket option " + name)
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return options.apply(raw) }}
	l, err := config.Listen(context.Background(), cmp.Or(network, "tcp"), net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("unable to bind any inbound sockets on port %d: %w", port, err)
	}
	_, set := c.Global.Set(conf.ListenBacklog) // the default of rsync is 5: a burst of clients would wait for seconds
	if raw, err := l.(*net.TCPListener).SyscallConn(); err == nil && set {
		_ = raw.Control(func(fd uintptr) { _ = unix.Listen(int(fd), c.Global.Int(conf.ListenBacklog)) })
	}
	return []net.Listener{l}, nil
}

// portOf is where a listener listens, 0 if it has no port.
func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// inherited is a listener that systemd hands over, with the name that the unit
// has for it.
type inherited struct {
	net.Listener
	name string
}

// takeInherited returns the listeners that systemd hands over, none if it does not.
func takeInherited() ([]inherited, error) {
	const first = 3
	pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID"))
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid != os.Getpid() || n <= 0 {
		return nil, nil
	}
	var all []inherited
	for fd := first; fd < first+n; fd++ {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "listener")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("descriptor %d of LISTEN_FDS: %w", fd, err)
		}
		name := ""
		if i := fd - first; i < len(names) {
			name = names[i]
		}
		all = append(all, inherited{l, name})
	}
	return all, nil
}

// socketOption is one option of setsockopt.
type socketOption struct {
	level, option, value int
}

type socketOptions []socketOption

// known are the options that can be set, by name; those with a level alone have
// a value of their own.
var knownSockopts = map[string]socketOption{
	"SO_KEEPALIVE":      {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	"SO_BROADCAST":      {unix.SOL_SOCKET, unix.SO_BROADCAST, 1},
	"SO_SNDBUF":         {unix.SOL_SOCKET, unix.SO_SNDBUF, -1},
	"SO_RCVBUF":         {unix.SOL_SOCKET, unix.SO_RCVBUF, -1},
	"SO_SNDLOWAT":       {unix.SOL_SOCKET, unix.SO_SNDLOWAT, -1},
	"SO_RCVLOWAT":       {unix.SOL_SOCKET, unix.SO_RCVLOWAT, -1},
	"SO_REUSEADDR":      {unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
	"TCP_NODELAY":       {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	"IPTOS_LOWDELAY":    {unix.IPPROTO_IP, unix.IP_TOS, 0x10},
	"IPTOS_THROUGHPUT":  {unix.IPPROTO_IP, unix.IP_TOS, 0x08},
	"IPTOS_RELIABILITY": {unix.IPPROTO_IP, unix.IP_TOS, 0x04},
}

// parseSockopts reads NAME[=VALUE] words, and tells those that it does not know.
func parseSockopts(text string) (all socketOptions, unknown []string, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\t", r) }) {
		name, value, has := strings.Cut(word, "=")
		o, ok := knownSockopts[name]
		if !ok {
			unknown = append(unknown, name)
			continue
		}
		if has {
			n, err := strconv.Atoi(value)
			if err != nil {
				return nil, nil, fmt.Errorf("socket option %s: %q is no number", name, value)
			}
			o.value = n
		}
		if o.value < 0 {
			return nil, nil, fmt.Errorf("socket option %s needs a value", name)
		}
		all = append(all, o)
	}
	return all, unknown, nil
}

func (o socketOptions) apply(raw syscall.RawConn) error {
	var errs []error
	err := raw.Control(func(fd uintptr) {
		for _, s := range o {
			if err := unix.SetsockoptInt(int(fd), s.level, s.option, s.value); err != nil {
				errs = append(errs, os.NewSyscallError("setsockopt", err))
			}
		}
	})
	return errors.Join(append(errs, err)...)
}

// PidFile is a pid file that is held.
type PidFile struct {
	name string
	file *os.File
}

// HoldPidFile writes a pid file and keeps it locked. It fails if another process
// holds it.
func HoldPidFile(name string) (*PidFile, error) {
	if name == "" {
		return nil, nil
	}
	name = absolute(name)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("failed to create pid file: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		f.Close()
		return nil, fmt.Errorf("failed to lock pid file %s: another daemon holds it", name)
	}
	text := fmt.Sprintf("%d\n", os.Getpid())
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("failed to write pid file: %w", err)
	}
	return &PidFile{name, f}, nil
}

// Release removes the file; a nil PidFile is none.
func (p *PidFile) Release() {
	if p != nil {
		os.Remove(p.name)
		p.file.Close()
	}
}
