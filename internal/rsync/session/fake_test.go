package session_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// fakeServer is the endpoint of a daemon whose side of each connection is
// serve, which may return at any time: the connection is then closed.
func fakeServer(t testing.TB, serve func(net.Conn)) session.Endpoint {
	t.Helper()
	return session.Endpoint{
		Daemon: true, Host: "fake", Module: "mod",
		Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer theirs.Close()
				serve(theirs)
			}()
			t.Cleanup(func() {
				theirs.Close()
				<-done
			})
			return ours, nil
		},
	}
}

// says is a server that sends text whatever it hears, then hangs up.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		go io.Copy(io.Discard, conn)
		io.WriteString(conn, text)
	}
}

// script is a server that plays its part in turns: it sends one text for each
// line or NUL-ended list that it reads. It goes on to call then.
func script(then func(net.Conn), turns ...turn) func(net.Conn) {
	return func(conn net.Conn) {
		for _, turn := range turns {
			if turn.await != "" && !readUntil(conn, turn.await) {
				return
			}
			if _, err := io.WriteString(conn, turn.say); err != nil {
				return
			}
		}
		if then != nil {
			then(conn)
		}
	}
}

// turn is one step of a script: read up to and with await, then say.
type turn struct{ await, say string }

func readUntil(r io.Reader, end string) bool {
	var got []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(got, []byte(end)) {
		if _, err := r.Read(b); err != nil {
			return false
		}
		got = append(got, b[0])
	}
	return true
}

// The usual words.
const (
	hello   = "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n"
	ok      = "@RSYNCD: OK\n"
	names   = "xxh128 xxh3 xxh64 md5 md4 sha1"
	endArgs = "\x00\x00"
)

// toOK are the turns of a modern daemon without authentication.
var toOK = []turn{{"\n", hello}, {"mod\n", ok}}

// toSeed goes on from toOK to the end of the handshake.
var toSeed = append(toOK[:2:2], turn{endArgs, "\x81\xFE\x23" + names + " none"}, turn{names, "\xDB\xF8\x14\x6B"})

// unhex decodes hex digits with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frame is a message on the wire.
func frame(code wire.Code, payload string) string {
	n := len(payload)
	return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), 7 + byte(code)}) + payload
}

// asError is err as an *Error, which it must be.
func asError(t testing.TB, err error) *session.Error {
	t.Helper()
	var e *session.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *session.Error", err)
	}
	return e
}

// start connects and starts with plain options.
func start(ctx context.Context, ep session.Endpoint) (*session.Session, error) {
	c, err := session.Connect(ctx, ep)
	if err != nil {
		return nil, err
	}
	return c.Start(ctx, session.Options{Times: true, Relative: true, MaxDelete: -1}, "")
}
