package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// listEnd is where the file list of oneFile ends: the mode of a.txt, the end
// of the list and no error.
const listEnd = "\xA4\x81\x00\x00\x00\x00"

// listens reads until the connection ends.
func listens(conn net.Conn) { io.Copy(io.Discard, conn) }

func TestDiallingFailures(t *testing.T) {
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
	}
	ep := session.Endpoint{Daemon: true, Host: "h", Module: "m", ConnectTimeout: time.Millisecond, Dial: never}
	_, err := session.Connect(t.Context(), ep)
	if e := asError(t, err); e.Code != session.ExitConnTimeout || e.Stage != "dialling" || e.Permanent {
		t.Errorf("timeout: %+v", e)
	}
	ep = session.Endpoint{Daemon: true, Host: "127.0.0.1", Port: freePort(t), Module: "m"}
	_, err = session.Connect(t.Context(), ep)
	if e := asError(t, err); e.Code != session.ExitSocket || e.Permanent {
		t.Errorf("nobody there: %+v", e)
	}
}

// Real sockets, of both address families.
func TestDialling(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skipf("no such address here: %v", err)
			}
			defer l.Close()
			go func() {
				if conn, err := l.Accept(); err == nil {
					defer conn.Close()
					script(listens, toOK...)(conn)
				}
			}()
			ep := session.Endpoint{Daemon: true, Host: host, Port: l.Addr().(*net.TCPAddr).Port, Module: "mod", ConnectTimeout: 30 * time.Second}
			c, err := session.Connect(t.Context(), ep)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Alive() {
				t.Error("not alive")
			}
			c.Close()
			<-c.Lost()
		})
	}
}

func TestGreetingTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := session.Connect(context.Background(), fakeServer(t, listens))
		if e := asError(t, err); e.Code != session.ExitTimeout || e.Stage != "greeting" {
			t.Errorf("error %+v", e)
		}
	})
}

func TestHandshakeFailures(t *testing.T) {
	flags := func(b string) []turn { return append(toOK[:2:2], turn{endArgs, b}) }
	rows := []struct {
		name  string
		turns []turn
		code  int
		words string
	}{
		{"nothing after the arguments", flags(""), 12, "EOF"},
		{"flags that are no number", flags("\xF8\x00\x00\x00\x00\x00"), 12, "extra bytes"},
		{"flags cut short", flags("\x81"), 12, "EOF"},
		{"incremental lists without an offer", flags("\x81\xFF\x23" + names + " none"), 2, "without being offered"},
		{"a list of names beyond the limit", flags("\x81\xFE\x81\x00" + strings.Repeat("x", 256)), 12, "256 bytes"},
		{"no common checksum", flags("\x81\xFE\x04none"), 4, "negotiate a checksum"},
		{"no list of names", flags("\x81\xFE"), 12, "EOF"},
		{"no seed", flags("\x81\xFE\x23" + names + " none"), 12, "checksum seed"},
		{"half a seed", append(flags("\x81\xFE\x23"+names+" none"), turn{names, "\x01\x02"}), 12, "checksum seed"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := start(t.Context(), fakeServer(t, script(nil, row.turns...)))
			e := asError(t, err)
			if e.Code != row.code || e.Stage != "handshake" || !strings.Contains(err.Error(), row.words) {
				t.Errorf("code %d at %s: %v", e.Code, e.Stage, err)
			}
		})
	}
}

// Flags without the bit of negotiation mean that no names are exchanged.
func TestNoNegotiation(t *testing.T) {
	turns := append(toOK[:2:2], turn{endArgs, "\x06\x01\x02\x03\x04"})
	s, err := start(t.Context(), fakeServer(t, script(listens, turns...)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Protocol() != 32 || !s.Alive() {
		t.Errorf("protocol %d, alive %v", s.Protocol(), s.Alive())
	}
}

func TestMessagesReachTheJob(t *testing.T) {
	messages := frame(wire.CodeInfo, "created directory x\n") + frame(wire.CodeErrorXfer, "rsync: no space\nrsync: still none\n") +
		frame(wire.CodeDeleted, "old\x00") + frame(wire.CodeDeleted, "file") + frame(wire.CodeNoop, "") + frame(wire.CodeData, "")
	ep := fakeServer(t, script(func(conn net.Conn) {
		go io.WriteString(conn, messages+string(unhex(t, "01 00 00 07 00 03 00 00 07 00 00 00 01 00 00 07 00")))
		listens(conn)
	}, append(toSeed[:4:4], turn{listEnd, ""})...))
	s, err := start(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	job := oneFile(t)
	job.OnMessage = func(c wire.Code, text string) { heard = append(heard, fmt.Sprintf("%v %q", c, text)) }
	job.OnDeleted = func(name string, dir bool) { heard = append(heard, fmt.Sprintf("deleted %q %v", name, dir)) }
	result, err := s.Send(t.Context(), job)
	want := `INFO "created directory x\n";ERROR_XFER "rsync: no space\nrsync: still none\n";deleted "old" true;deleted "file" false`
	if got := strings.Join(heard, ";"); got != want {
		t.Errorf("heard\n%s, want\n%s", got, want)
	}
	e := asError(t, err)
	if e.Code != session.ExitPartial || e.Stage != "goodbye" || e.Permanent || strings.Join(e.Messages, "|") != "rsync: no space|rsync: still none" {
		t.Errorf("error %+v", e)
	}
	if result.Files != 1 {
		t.Errorf("result %+v", result)
	}
}

func TestHostileStreams(t *testing.T) {
	rows := []struct {
		name, say string
		code      int
	}{
		{"an unknown message", "\x00\x00\x00\x20", 12},
		{"a text too long", "\x00\x14\x00\x09", 12},
		{"an internal message", "\x04\x00\x00\x10\x00\x00\x00\x00", 12},
		{"an index of nothing", frame(wire.CodeData, "\x50\x00\xA0"+strings.Repeat("\x00", 16)), 2},
		{"an end", "", 12},
		{"an impossible exit code", frame(wire.CodeErrorExit, "\xFF\xFF\xFF\xFF"), 12},
		{"an exit code", frame(wire.CodeErrorExit, "\x0B\x00\x00\x00"), 11},
	}
	job := oneFile(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s, err := start(t.Context(), fakeServer(t, script(func(conn net.Conn) {
				go listens(conn)
				io.WriteString(conn, row.say)
			}, append(toSeed[:4:4], turn{listEnd, ""})...)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Send(t.Context(), job)
			if e := asError(t, err); e.Code != row.code || e.Stage != "transfer" {
				t.Errorf("code %d at %s: %v", e.Code, e.Stage, err)
			}
		})
	}
}

// Endless complaints must not fill the memory, and the first and last are kept.
func TestManyMessages(t *testing.T) {
	s, err := start(t.Context(), fakeServer(t, script(func(conn net.Conn) {
		go listens(conn)
		for i := range 1000 {
			io.WriteString(conn, frame(wire.CodeError, fmt.Sprintln("trouble", i)))
		}
	}, append(toSeed[:4:4], turn{listEnd, ""})...)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(t.Context(), oneFile(t))
	m := asError(t, err).Messages
	if len(m) > 100 || m[0] != "trouble 0" || m[len(m)-1] != "trouble 999" {
		t.Errorf("%d messages, %q to %q", len(m), m[0], m[len(m)-1])
	}
}

// A peer that says nothing any more is given up, however many keep-alives go
// out; sooner once it has answered.
func TestSilentPeer(t *testing.T) {
	for _, row := range []struct {
		name string
		say  string
		want time.Duration
	}{
		{"before it answered", "", 40 * time.Second},
		{"after it answered", frame(wire.CodeData, ""), 10 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			job := oneFile(t)
			synctest.Test(t, func(t *testing.T) {
				ep := fakeServer(t, script(func(conn net.Conn) {
					io.WriteString(conn, row.say)
					listens(conn)
				}, append(toSeed[:4:4], turn{listEnd, ""})...))
				c, err := session.Connect(context.Background(), ep)
				if err != nil {
					t.Fatal(err)
				}
				s, err := c.Start(context.Background(), session.Options{Times: true, Relative: true, MaxDelete: -1, Timeout: 10}, "")
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				_, err = s.Send(context.Background(), job)
				took := time.Since(begin)
				if e := asError(t, err); e.Code != session.ExitTimeout || took < row.want || took > row.want+2*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
				synctest.Wait()
			})
		})
	}
}

func TestSessionsAreUsedOnce(t *testing.T) {
	c, err := session.Connect(t.Context(), fakeServer(t, script(listens, toSeed...)))
	if err != nil {
		t.Fatal(err)
	}
	opts := session.Options{Times: true, Relative: true, MaxDelete: -1}
	s, err := c.Start(t.Context(), opts, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(t.Context(), opts, ""); err == nil {
		t.Error("started twice")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if _, err := s.Send(ctx, oneFile(t)); err == nil {
			t.Error("sent on a cancelled or used session")
		}
	}
	if err := errors.Join(s.Close(), s.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

func TestBandwidthLimit(t *testing.T) {
	t.Parallel()
	t.Run("one rate", func(t *testing.T) {
		limitedSend(t, session.Options{Relative: true, MaxDelete: -1, BwLimit: 1024}, 350*time.Millisecond)
	})
	t.Run("a rate that changes", func(t *testing.T) {
		var began time.Time
		limitedSend(t, session.Options{Relative: true, MaxDelete: -1, Rate: func() int { // slow for a while, then without a limit
			if began.IsZero() {
				began = time.Now()
			}
			if time.Since(began) < 200*time.Millisecond {
				return 512
			}
			return 0
		}}, 180*time.Millisecond)
	})
}

// limitedSend sends 512 KiB, which has to take so long at least.
func limitedSend(t *testing.T, opts session.Options, least time.Duration) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/big", strings.Repeat("x", 512<<10), 0o644)
	ep := fakeServer(t, script(func(conn net.Conn) {
		readUntil(conn, "big")
		readUntil(conn, "\x00\x00")
		go conn.Write(unhex(t, "13 00 00 07 01 00 A0 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"+
			"01 00 00 07 00 03 00 00 07 00 00 00 01 00 00 07 00"))
		listens(conn)
	}, toSeed...))
	c, err := session.Connect(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Start(t.Context(), opts, "")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := s.Send(t.Context(), sender.Job{Root: openRoot(t, dir), List: []sender.Item{{Path: "big"}}}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < least || took > 20*time.Second {
		t.Errorf("512 KiB took %v, want %v at least", took, least)
	}
}
