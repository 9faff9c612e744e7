package session_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/session"
)

// A connection that is ended with much unread comes to an orderly end at the
// peer: a reset would take away what the peer has not read yet, and a stock
// receiver that sees one leaves its temporary files.
func TestAnEndWithUnreadDataIsNoReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	full, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		script(func(net.Conn) {
			// It writes until nothing more fits.
			for err == nil {
				_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				_, err = io.WriteString(conn, strings.Repeat("x", 1<<20))
			}
			full <- struct{}{}
			_, err = io.Copy(io.Discard, conn)
		}, toOK...)(conn)
		ended <- err
	}()
	ep := session.Endpoint{Daemon: true, Host: "h", Module: "mod", Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, l.Addr().String())
	}}
	c, err := session.Connect(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	<-full
	c.Close()
	if err := <-ended; err != nil {
		t.Errorf("the peer read to %v, want the end of the stream", err)
	}
}
