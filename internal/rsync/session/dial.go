package session

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Probes of an idle TCP connection: a host that has vanished is noticed after
// about two minutes.
var tcpKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4}

// dialTCP connects to a daemon. All addresses of the name are tried in the
// resolver's order, one after the other.
func dialTCP(ctx context.Context, ep *Endpoint) (*transport, error) {
	if ep.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ep.ConnectTimeout)
		defer cancel()
	}
	dial := ep.Dial
	if dial == nil {
		const inOrder = -1 // no racing of address families
		dialler := net.Dialer{FallbackDelay: inOrder, KeepAliveConfig: tcpKeepAlive}
		dial = dialler.DialContext
	}
	conn, err := dial(ctx, "tcp", ep.address())
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return newTransport(conn, nil), nil
	}
	if err := tcp.SetNoDelay(true); err != nil {
		conn.Close()
		return nil, err
	}
	quick := quickAck(tcp)
	quick()
	return newTransport(conn, quick), nil
}

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
