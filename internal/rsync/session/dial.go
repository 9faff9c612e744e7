package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/secure"
)

// Probes of an idle TCP connection: a host that has vanished is noticed after
// about two minutes.
var tcpKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4}

// dialTCP connects to a daemon, perhaps through a proxy. All addresses of the
// name are tried in the resolver's order, one after the other.
func dialTCP(ctx context.Context, ep *Endpoint) (*transport, error) {
	if ep.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ep.ConnectTimeout)
		defer cancel()
	}
	address := ep.address()
	proxy, err := parseProxy(ep.Proxy)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		address = proxy.address
	}
	conn, err := ep.dial(ctx, address)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, err
	}
	if proxy != nil {
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		err := proxy.connect(conn, ep)
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
	}
	quick, err := tuned(conn, ep)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if ep.TLS != nil {
		if conn, err = ep.TLS.Handshake(ctx, conn, ep.Host); err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return nil, err
		}
	}
	return newTransport(conn, quick), nil
}

// tuned sets the options of a TCP connection. What it returns, nil for another
// one, is to be called after each read.
func tuned(conn net.Conn, ep *Endpoint) (func(), error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, nil
	}
	if err := tcp.SetNoDelay(true); err != nil {
		return nil, err
	}
	if err := setSockopts(tcp, ep.Sockopts); err != nil {
		return nil, err
	}
	quick := quickAck(tcp)
	quick()
	return quick, nil
}

// dial connects to an address with what the endpoint says about it.
func (ep *Endpoint) dial(ctx context.Context, address string) (net.Conn, error) {
	if host, _, _ := net.SplitHostPort(address); host == "" { // which the dialler takes for this machine
		return nil, &net.DNSError{Err: "no host", IsNotFound: true}
	}
	network := "tcp"
	if ep.IPv != 0 {
		network += strconv.Itoa(ep.IPv)
	}
	if ep.Dial != nil {
		return ep.Dial(ctx, network, address)
	}
	const inOrder = -1 // no racing of address families
	dialler := net.Dialer{FallbackDelay: inOrder, KeepAliveConfig: tcpKeepAlive}
	if ep.Local != "" {
		local, err := net.ResolveTCPAddr(network, net.JoinHostPort(ep.Local, "0"))
		if err != nil {
			return nil, &bindError{ep.Local, err}
		}
		dialler.LocalAddr = local
	}
	return dialler.DialContext(ctx, network, address)
}

// bindError is about our own address.
type bindError struct {
	host string
	err  error
}

func (e *bindError) Error() string { return "address " + e.host + ": " + e.err.Error() }
func (e *bindError) Unwrap() error { return e.err }

// quickAck returns a function that makes the kernel acknowledge what arrives
// at once. The kernel falls back to delayed acknowledgements on its own, which
// a stock daemon, with Nagle's algorithm on, waits for: 40 ms at each step.
// So it is to be called after every read; failing does no harm.
func quickAck(conn *net.TCPConn) func() {
	raw, err := conn.SyscallConn()
	if err != nil {
		return func() {}
	}
	set := func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }
	return func() { raw.Control(set) }
}

// sockopt is a socket option that rsync knows by name. Those without a value
// of their own need one.
type sockopt struct {
	level, option int
	value         int
	fixed         bool // the name stands for value
}

var sockopts = map[string]sockopt{
	"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, false},
	"SO_REUSEADDR":     {unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, false},
	"SO_BROADCAST":     {unix.SOL_SOCKET, unix.SO_BROADCAST, 1, false},
	"TCP_NODELAY":      {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, false},
	"IPTOS_LOWDELAY":   {unix.IPPROTO_IP, unix.IP_TOS, 0x10, true},
	"IPTOS_THROUGHPUT": {unix.IPPROTO_IP, unix.IP_TOS, 0x08, true},
	"SO_SNDBUF":        {unix.SOL_SOCKET, unix.SO_SNDBUF, 1, false},
	"SO_RCVBUF":        {unix.SOL_SOCKET, unix.SO_RCVBUF, 1, false},
	"SO_SNDLOWAT":      {unix.SOL_SOCKET, unix.SO_SNDLOWAT, 1, false},
	"SO_RCVLOWAT":      {unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1, false},
	"SO_SNDTIMEO":      {unix.SOL_SOCKET, unix.SO_SNDTIMEO, 1, false},
	"SO_RCVTIMEO":      {unix.SOL_SOCKET, unix.SO_RCVTIMEO, 1, false},
}

// setSockopts sets the options of a list like "SO_SNDBUF=65536,TCP_NODELAY".
// One that the system refuses is left as it is.
func setSockopts(conn *net.TCPConn, list string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	for _, word := range strings.FieldsFunc(list, func(c rune) bool { return strings.ContainsRune(" \t,", c) }) {
		name, text, given := strings.Cut(word, "=")
		o, known := sockopts[name]
		if !known {
			continue // Sockopts has been looked at
		}
		value := o.value
		if given && !o.fixed {
			value, _ = strconv.Atoi(text)
		}
		if err := raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), o.level, o.option, value) }); err != nil {
			return err
		}
	}
	return nil
}

// unknownSockopts are the names in a list that mean nothing.
func unknownSockopts(list string) (names []string) {
	for _, word := range strings.FieldsFunc(list, func(c rune) bool { return strings.ContainsRune(" \t,", c) }) {
		name, _, _ := strings.Cut(word, "=")
		if _, known := sockopts[name]; !known {
			names = append(names, name)
		}
	}
	return names
}

// connectWords is why a connection was not made, in rsync's words.
func connectWords(ep *Endpoint, role string, err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var bind *bindError
	var secret *secure.Error
	host, port := ep.Host, ep.port()
	if proxy, bad := parseProxy(ep.Proxy); bad == nil && proxy != nil {
		host, port, _ = net.SplitHostPort(proxy.address)
	}
	switch {
	case errors.As(err, &secret):
		return fmt.Sprintf("rsync: [%s] %s", role, secret)
	case errors.As(err, &bind):
		return fmt.Sprintf("rsync: getaddrinfo %s: Name or service not known", bind.host)
	case errors.As(err, &dns):
		return fmt.Sprintf("rsync: getaddrinfo: %s %s: Name or service not known", host, port)
	case errors.As(err, new(*net.AddrError)):
		return fmt.Sprintf("rsync: getaddrinfo: %s %s: Address family for hostname not supported", host, port)
	case errors.As(err, &op) && op.Addr != nil:
		address, _, _ := net.SplitHostPort(op.Addr.String())
		return fmt.Sprintf("rsync: [%s] failed to connect to %s (%s): %s", role, host, address, output.Strerror(err))
	}
	return err.Error()
}
