package session_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"lockstep/internal/rsync/session"
)

func TestGreetings(t *testing.T) {
	rows := []struct {
		line    string
		own     int
		want    int
		digests int
	}{
		{"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", 32, 32, 5},
		{"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", 29, 29, 5},
		{"@RSYNCD: 31.0", 32, 31, 0},
		{"@RSYNCD: 31.0 md5 md4", 32, 31, 2},
		{"@RSYNCD: 29", 32, 29, 0},
		{"@RSYNCD: 28.0", 32, 28, 0},
		{"@RSYNCD: 31.14", 32, 30, 0},    // a pre-release, older than we are
		{"@RSYNCD: 32.1 md5", 32, 31, 1}, // the same version, another subversion
		{"@RSYNCD: 33.2 md5", 32, 32, 1}, // newer than we are
		{"@RSYNCD: 40.0 md5", 32, 32, 1},
	}
	for _, row := range rows {
		got, digests, err := session.Negotiated(row.line, row.own)
		if err != nil || got != row.want || len(digests) != row.digests {
			t.Errorf("%q to a client of %d: %d, %q, %v", row.line, row.own, got, digests, err)
		}
	}
	for _, line := range []string{
		"", "@RSYNCD:", "@RSYNCD: ", "@RSYNCD: x.0 md5", "@RSYNCD: 32.x md5", "@RSYNCD: 32.-1 md5", "HTTP/1.1 400 Bad Request",
		"SSH-2.0-OpenSSH", "@RSYNCD: 19.0", "@RSYNCD: 41.0 md5", "@RSYNCD: -3.0", "@RSYNCD: 30", "@RSYNCD: 32.0",
		"@RSYNCD: 99999999999999999999.0 md5",
	} {
		if _, _, err := session.Negotiated(line, 32); err == nil {
			t.Errorf("%q was taken for a greeting", line)
		}
	}
}

// The answers of rsync-session 2.4, from live runs.
func TestAuthenticationVectors(t *testing.T) {
	rows := []struct {
		name      string
		protocol  int
		peer      string
		challenge string
		digest    string
		want      string
	}{
		{"md5 by the list", 32, "md5 md4", "p07wJob4B2mDr0htDdrdHQ", "md5", "8GLvcgy4fz1r/JA4wjJYhg"},
		{"md5 without a list", 30, "", "p07wJob4B2mDr0htDdrdHQ", "md5", "8GLvcgy4fz1r/JA4wjJYhg"},
		{"old md4 without a list", 29, "", "aDwiW8E6ASjf3FNYOhXJwA", "md4", "lBebsaVMwlDpkZS9JUddiw"},
		{"plain md4 by the list", 29, "md4", "qTd1VwZ7u6sdSUjUjhj7IA", "md4", "F27UxJr0mUZoRIl0cx4Abg"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			name, got, err := session.Respond(row.protocol, strings.Fields(row.peer), "pw", row.challenge)
			if err != nil || name != row.digest || got != row.want {
				t.Errorf("%s %s, %v; want %s %s", name, got, err, row.digest, row.want)
			}
		})
	}
}

// Our own order decides, not the peer's; unknown names are passed over.
func TestDigestChoice(t *testing.T) {
	lengths := map[string]int{"sha512": 86, "sha256": 43, "sha1": 27, "md5": 22, "md4": 22}
	for peer, want := range map[string]string{
		"sha512 sha256 sha1 md5 md4": "sha512", "md4 md5 sha1 sha256": "sha256", "whirlpool sha1": "sha1", "md4": "md4",
	} {
		name, answer, err := session.Respond(32, strings.Fields(peer), "pw", "challenge")
		if err != nil || name != want || len(answer) != lengths[want] {
			t.Errorf("of %q: %s with %d letters, %v", peer, name, len(answer), err)
		}
	}
	if _, _, err := session.Respond(32, []string{"whirlpool"}, "pw", "challenge"); err == nil {
		t.Error("a digest was chosen although none is common")
	}
}

func TestConnectVariants(t *testing.T) {
	rows := []struct {
		name     string
		serve    func(net.Conn)
		protocol int
		motd     []string
	}{
		{"a modern daemon", script(nil, toOK...), 32, nil},
		{"a message of the day", script(nil, turn{"\n", hello + "Welcome\n\n"}, turn{"mod\n", "more\n" + ok}), 32, []string{"Welcome", "", "more"}},
		{"carriage returns", script(nil, turn{"\n", "@RSYNCD: 31.0 md5\r\n"}, turn{"mod\n", "@RSYNCD: OK\r\n"}), 31, nil},
		{"protocol 29 without a list", script(nil, turn{"\n", "@RSYNCD: 29\n"}, turn{"mod\n", ok}), 29, nil},
		{"the old digest", script(nil, turn{"\n", "@RSYNCD: 28\n"}, turn{"mod\n", "@RSYNCD: AUTHREQD aDwiW8E6ASjf3FNYOhXJwA\n"},
			turn{"alice lBebsaVMwlDpkZS9JUddiw\n", ok}), 28, nil},
		{"md5 from the list", script(nil, turn{"\n", "@RSYNCD: 31.0 md5\n"}, turn{"mod\n", "@RSYNCD: AUTHREQD p07wJob4B2mDr0htDdrdHQ\n"},
			turn{"alice 8GLvcgy4fz1r/JA4wjJYhg\n", ok}), 31, nil},
		{"byte by byte", func(conn net.Conn) {
			for _, text := range []string{hello, ok} {
				readUntil(conn, "\n")
				for i := range len(text) {
					conn.Write([]byte{text[i]})
				}
			}
		}, 32, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			ep := fakeServer(t, row.serve)
			ep.User, ep.Password = "alice", password("pw")
			c, err := session.Connect(t.Context(), ep)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if c.Protocol() != row.protocol {
				t.Errorf("protocol %d, want %d", c.Protocol(), row.protocol)
			}
			if strings.Join(c.MOTD(), "|") != strings.Join(row.motd, "|") {
				t.Errorf("message of the day %q, want %q", c.MOTD(), row.motd)
			}
		})
	}
}

func TestConnectFailures(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name      string
		serve     func(net.Conn)
		code      int
		stage     string
		permanent bool
		words     string // part of the error
	}{
		{"a line without end", says(strings.Repeat("x", 10000)), 5, "greeting", false, "longer than"},
		{"a NUL byte", says("@RSYNCD: 3\x002.0 md5\n"), 5, "greeting", false, "NUL"},
		{"another protocol", says("220 mail.example.org ESMTP\r\n"), 5, "greeting", false, "not an rsync daemon"},
		{"control characters", says("\x1b[31mred\n"), 5, "greeting", false, `\x1b`},
		{"nothing", says(""), 5, "greeting", false, "EOF"},
		{"half a line", says("@RSYN"), 5, "greeting", false, "closed after @RSYN"},
		{"too new a version", says("@RSYNCD: 99.0 md5\n"), 5, "greeting", false, "no such protocol"},
		{"too old a version", says("@RSYNCD: 26\n"), 2, "greeting", true, "protocol 26"},
		{"an error instead of a greeting", says("@ERROR: access denied to mod from x (1.2.3.4)\n"), 5, "greeting", true, "access denied"},
		{"an end after the greeting", script(nil, toOK[0]), 5, "greeting", false, "EOF"},
		{"an unknown module", script(nil, toOK[0], turn{"mod\n", "@ERROR: Unknown module 'mod'\n"}), 5, "greeting", true, "@ERROR: Unknown module 'mod'"},
		{"too many connections", script(nil, toOK[0], turn{"mod\n", "@ERROR: max connections (2) reached -- try again later\n"}),
			5, "greeting", false, "try again later"},
		{"a lock file that fails", script(nil, toOK[0], turn{"mod\n", "@ERROR: failed to open lock file\n"}), 5, "greeting", false, "lock file"},
		{"a listing", script(nil, toOK[0], turn{"mod\n", "mod\tcomment\n@RSYNCD: EXIT\n"}), 5, "greeting", false, "listed its modules"},
		{"endless text", script(nil, toOK[0], turn{"mod\n", strings.Repeat("spam spam spam\n", 100000)}), 5, "greeting", false, "text before"},
		{"no common digest", script(nil, turn{"\n", "@RSYNCD: 32.0 whirlpool\n"}, turn{"mod\n", "@RSYNCD: AUTHREQD abc\n"}),
			4, "authentication", true, "no common digest"},
		{"a wrong password", script(nil, toOK[0], turn{"mod\n", "@RSYNCD: AUTHREQD abc\n"}, turn{"\n", "@ERROR: auth failed on module mod\n"}),
			5, "authentication", true, "@ERROR: auth failed on module mod"},
		{"an end instead of an answer", script(nil, toOK[0], turn{"mod\n", "@RSYNCD: AUTHREQD abc\n"}, turn{"\n", ""}),
			5, "authentication", false, "EOF"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			ep := fakeServer(t, row.serve)
			ep.User, ep.Password = "alice", password("topsecret")
			_, err := session.Connect(t.Context(), ep)
			e := asError(t, err)
			if e.Code != row.code || e.Stage != row.stage || e.Permanent != row.permanent {
				t.Errorf("code %d at %s, permanent %v: %v", e.Code, e.Stage, e.Permanent, e)
			}
			if !strings.Contains(err.Error(), row.words) {
				t.Errorf("%q does not say %q", err, row.words)
			}
			if strings.Contains(err.Error(), "topsecret") || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestPasswordProblems(t *testing.T) {
	serve := script(nil, toOK[0], turn{"mod\n", "@RSYNCD: AUTHREQD abc\n"})
	ep := fakeServer(t, serve)
	_, err := session.Connect(t.Context(), ep)
	if e := asError(t, err); e.Code != 5 || !e.Permanent {
		t.Errorf("without a password: %v", err)
	}
	broken := errors.New("the file is readable by others")
	ep.Password = func() (string, error) { return "", broken }
	if _, err = session.Connect(t.Context(), ep); !errors.Is(err, broken) {
		t.Errorf("with a failing password: %v", err)
	}
}

func TestEndpointsThatCannotBeReached(t *testing.T) {
	rows := []struct {
		name string
		ep   session.Endpoint
	}{
		{"a host like an option", session.Endpoint{Host: "-oProxyCommand=evil"}},
		{"no module", session.Endpoint{Daemon: true, Host: "h"}},
		{"a module like a command", session.Endpoint{Daemon: true, Host: "h", Module: "#list"}},
		{"a module of two lines", session.Endpoint{Daemon: true, Host: "h", Module: "a\nb"}},
		{"a module with a path", session.Endpoint{Daemon: true, Host: "h", Module: "a/b"}},
		{"a user of two words", session.Endpoint{Daemon: true, Host: "h", Module: "m", User: "a b"}},
		{"a protocol too old", session.Endpoint{Host: "h", Protocol: 26}},
		{"a protocol of the future", session.Endpoint{Host: "h", Protocol: 33}},
		{"a NUL byte", session.Endpoint{Host: "h", Path: "a\x00b"}},
		{"a port too high", session.Endpoint{Host: "h", Port: 70000}},
		{"a shell without a name", session.Endpoint{Host: "h", Shell: []string{""}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := session.Connect(t.Context(), row.ep)
			if e := asError(t, err); e.Code != 1 || !e.Permanent {
				t.Errorf("error %v", err)
			}
		})
	}
}
