package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"lockstep/internal/rsync/session"
)

// Cancelling must end every state within a second.
func TestCancellation(t *testing.T) {
	silent := func(conn net.Conn) { listens(conn) }
	rows := []struct {
		stage string
		serve func(t *testing.T, reached func()) func(net.Conn)
	}{
		{"greeting", func(t *testing.T, reached func()) func(net.Conn) {
			return script(func(conn net.Conn) { reached(); silent(conn) }, turn{"\n", ""})
		}},
		{"authentication", func(t *testing.T, reached func()) func(net.Conn) {
			return script(func(conn net.Conn) { reached(); silent(conn) },
				turn{"\n", hello}, turn{"mod\n", "@RSYNCD: AUTHREQD abc\n"}, turn{"\n", ""})
		}},
		{"handshake", func(t *testing.T, reached func()) func(net.Conn) {
			return script(func(conn net.Conn) { reached(); silent(conn) }, append(toOK[:2:2], turn{endArgs, ""})...)
		}},
		{"handshake", func(t *testing.T, reached func()) func(net.Conn) { // while writing
			return script(func(conn net.Conn) { reached(); <-t.Context().Done() }, append(toOK[:2:2], turn{"--server", ""})...)
		}},
		{"transfer", func(t *testing.T, reached func()) func(net.Conn) {
			return script(func(conn net.Conn) { reached(); silent(conn) }, append(toSeed[:4:4], turn{listEnd, ""})...)
		}},
		{"transfer", func(t *testing.T, reached func()) func(net.Conn) { // while writing
			return script(func(conn net.Conn) { reached(); <-t.Context().Done() }, append(toSeed[:4:4], turn{listEnd, ""})...)
		}},
	}
	job := oneFile(t)
	for i, row := range rows {
		t.Run(fmt.Sprintf("%d: %s", i, row.stage), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var cancelled time.Time
			ep := fakeServer(t, row.serve(t, func() {
				cancelled = time.Now()
				cancel()
			}))
			ep.Password = password("pw")
			s, err := start(ctx, ep)
			if err == nil {
				_, err = s.Send(ctx, job)
			}
			checkCancelled(t, err, row.stage, cancelled)
		})
	}
}

// promptly is how long an end may take that nobody has to be waited for: a
// second, and what a busy machine adds.
const promptly = 6 * time.Second

func checkCancelled(t *testing.T, err error, stage string, cancelled time.Time) {
	t.Helper()
	if took := time.Since(cancelled); took > promptly {
		t.Errorf("it took %v", took)
	}
	if e := asError(t, err); !errors.Is(err, context.Canceled) || e.Code != session.ExitSignal || e.Stage != stage {
		t.Errorf("code %d at %s: %v", e.Code, e.Stage, err)
	}
}

func TestCancellationWhileDialling(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var cancelled time.Time
	ep := session.Endpoint{Daemon: true, Host: "h", Module: "m", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancelled = time.Now()
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	_, err := session.Connect(ctx, ep)
	checkCancelled(t, err, "dialling", cancelled)
}
