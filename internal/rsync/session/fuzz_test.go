package session_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/session"
)

// canned is a connection on which the peer has said all it will ever say.
type canned struct{ *bytes.Reader }

func (canned) Write(p []byte) (int, error)      { return len(p), nil }
func (canned) Close() error                     { return nil }
func (canned) LocalAddr() net.Addr              { return nil }
func (canned) RemoteAddr() net.Addr             { return nil }
func (canned) SetDeadline(time.Time) error      { return nil }
func (canned) SetReadDeadline(time.Time) error  { return nil }
func (canned) SetWriteDeadline(time.Time) error { return nil }

// FuzzHandshake lets a daemon say anything: we must come to an end, with an
// error that can be printed.
func FuzzHandshake(f *testing.F) {
	for _, words := range []string{
		hello + ok + "\x81\xFE\x23" + names + " none\xDB\xF8\x14\x6B\x04\x00\x00\x28\x4D\x00\x00\x00",
		"@RSYNCD: 29\n" + ok + "\x01\x02\x03\x04" + "\x03\x00\x00\x08oop",
		hello + "motd\n@RSYNCD: AUTHREQD abc\n@ERROR: auth failed on module mod\n",
		"@RSYNCD: 30.0\n" + ok + "\x06\x01\x02\x03\x04\x00\x00\x00\x5d",
	} {
		f.Add([]byte(words), true)
	}
	f.Fuzz(func(t *testing.T, words []byte, compress bool) {
		ep := session.Endpoint{
			Daemon: true, Host: "h", Module: "mod", User: "alice", Password: password("topsecret"),
			Dial: func(context.Context, string, string) (net.Conn, error) { return canned{bytes.NewReader(words)}, nil },
		}
		c, err := session.Connect(t.Context(), ep)
		if err != nil {
			printable(t, err)
			return
		}
		opts := session.Options{Recurse: true, MaxDelete: -1}
		if compress {
			opts.Compress = "auto"
		}
		s, err := c.Start(t.Context(), opts, "")
		if err != nil {
			printable(t, err)
			return
		}
		defer s.Close()
		<-s.Lost()
		if err := s.Err(); err != nil {
			printable(t, err)
		}
	})
}

func printable(t *testing.T, err error) {
	var e *session.Error
	if !errors.As(err, &e) || e.Code < 1 || e.Code > 255 || e.Stage == "" {
		t.Errorf("error %#v", err)
	}
	text := err.Error()
	if strings.Contains(text, "topsecret") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		t.Errorf("error %q", text)
	}
}

// FuzzGreeting reads any line as a greeting; what is accepted leads to a
// protocol that we and the peer have.
func FuzzGreeting(f *testing.F) {
	f.Add("@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", 32)
	f.Add("@RSYNCD: 31.14", 30)
	f.Add("@RSYNCD: 29", 27)
	f.Fuzz(func(t *testing.T, line string, own int) {
		own = session.MinProtocol + int(uint(own)%6)
		protocol, digests, err := session.Negotiated(line, own)
		if err != nil {
			return
		}
		if protocol > own || protocol < 19 {
			t.Errorf("protocol %d", protocol)
		}
		name, answer, err := session.Respond(protocol, digests, "pw", line)
		if err == nil && (name == "" || strings.ContainsAny(answer, "= \n")) {
			t.Errorf("answer %q with %q", answer, name)
		}
	})
}

// FuzzArguments sends any value and path and takes them apart as the other side
// does.
func FuzzArguments(f *testing.F) {
	f.Add("../old dir", "new/dir", 32)
	f.Add("a\\*b[c]", "x mod/y", 29)
	f.Add("\n", "\r", 30)
	f.Add("-", "-", 31)
	f.Fuzz(func(t *testing.T, value, path string, protocol int) {
		protocol = session.MinProtocol + int(uint(protocol)%6)
		quoted := session.QuoteValue(value)
		if got := unquote(quoted); got != value {
			t.Errorf("%q came back as %q", value, got)
		}
		arg, err := session.DaemonPath("mod", path)
		if err != nil {
			if !errors.Is(err, session.ErrPath) {
				t.Errorf("path %q: %v", path, err)
			}
			return
		}
		below := strings.TrimPrefix(arg, "mod/")
		if strings.HasPrefix(path, "-") { // the daemon takes "mod/" off: what is left must be no option
			below = strings.TrimPrefix(below, "./")
			if !strings.HasPrefix(arg, "mod/./") {
				t.Errorf("path %q became %q, an option to the daemon", path, arg)
			}
		}
		if !strings.HasPrefix(arg, "mod/") || !strings.HasSuffix(arg, "/") || strings.Trim(path, "/") != strings.Trim(below, "/") {
			t.Errorf("path %q became %q", path, arg)
		}
		args := []string{"--link-dest", quoted, ".", arg}
		b, err := session.EncodeArgs(protocol, args)
		if err != nil {
			return
		}
		end := "\x00"
		if protocol < 30 {
			end = "\n"
		}
		text, ended := strings.CutSuffix(string(b), end+end)
		if got := strings.Split(text, end); !ended || strings.Join(got, "|") != strings.Join(args, "|") {
			t.Errorf("%q came back as %q", args, got)
		}
	})
}

// unquote removes one level of backslashes.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
