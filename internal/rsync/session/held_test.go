package session_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// A connection that is held tells when the daemon has gone.
func TestHeldConnectionIsLost(t *testing.T) {
	hangUp := make(chan struct{})
	c, err := session.Connect(t.Context(), fakeServer(t, script(func(net.Conn) { <-hangUp }, toOK...)))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Alive() {
		t.Error("not alive at OK")
	}
	close(hangUp)
	<-c.Lost()
	if c.Alive() {
		t.Error("alive after the end")
	}
	_, err = c.Start(t.Context(), session.Options{MaxDelete: -1}, "")
	if e := asError(t, err); e.Code != session.ExitStream && e.Code != session.ExitSocket || e.Permanent {
		t.Errorf("error %+v", e)
	}
}

// What the daemon says while the session is held is the reason of its end.
func TestHeldSessionIsRefused(t *testing.T) {
	refusal := "The server is configured to refuse --delete-missing-args\n"
	serve := script(func(conn net.Conn) {
		go listens(conn)
		io.WriteString(conn, frame(wire.CodeError, refusal)+frame(wire.CodeErrorExit, "\x04\x00\x00\x00"))
	}, toSeed...)
	for _, when := range []string{"by Err", "by Send"} {
		t.Run(when, func(t *testing.T) {
			s, err := start(t.Context(), fakeServer(t, serve))
			if err != nil {
				t.Fatal(err)
			}
			<-s.Lost()
			if when == "by Err" {
				err = s.Err()
			} else {
				_, err = s.Send(t.Context(), oneFile(t))
			}
			e := asError(t, err)
			if e.Code != 4 || !e.Permanent || e.Option != "--delete-missing-args" || e.Messages[0]+"\n" != refusal {
				t.Errorf("error %+v", e)
			}
			if s.Alive() {
				t.Error("alive after the end")
			}
			s.Close()
		})
	}
}

func TestHeldSessionKeepsAlive(t *testing.T) {
	for _, row := range []struct {
		name  string
		say   string
		every time.Duration
	}{
		{"with the daemon's timeout", frame(wire.CodeIOTimeout, "\x0A\x00\x00\x00"), 5 * time.Second},
		{"without a timeout", "", 20 * time.Second},
		{"with an absurd timeout", frame(wire.CodeIOTimeout, "\x00\x00\x00\x80"), 20 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := start(context.Background(), fakeServer(t, script(func(conn net.Conn) {
					io.WriteString(conn, row.say)
					for begin := time.Now(); time.Since(begin) < 100*time.Second; {
						b := make([]byte, 4)
						last := time.Now()
						if _, err := io.ReadFull(conn, b); err != nil || string(b) != "\x00\x00\x00\x07" {
							t.Errorf("read % X, %v", b, err)
							return
						}
						if took := time.Since(last); took > row.every {
							t.Errorf("a keep-alive after %v", took)
						}
					}
				}, toSeed...)))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.KeepAlive(); err != nil {
					t.Error(err)
				}
				<-s.Lost()
				s.Close()
				synctest.Wait()
			})
		})
	}
}
