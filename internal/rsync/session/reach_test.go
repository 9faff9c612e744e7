package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/session"
)

const modules = `
motd file = DIR/motd
[open]
path = DIR/mod
read only = no
comment = for everybody
[closed]
path = DIR/mod
auth users = alice
secrets file = DIR/secrets
[hidden]
path = DIR/mod
list = no
`

// Every way to a daemon: what it says, what it sends, how it refuses.
func TestDaemonClients(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, modules)
	write(t, filepath.Join(d.dir, "motd"), "Welcome\n", 0o644)
	write(t, filepath.Join(d.dir, "mod", "f"), "file\n", 0o644)
	write(t, filepath.Join(d.dir, "pass"), "open sesame\n", 0o600)
	write(t, filepath.Join(d.dir, "shared"), "open sesame\n", 0o644)
	url := fmt.Sprintf("rsync://127.0.0.1:%d/", d.port)
	rows := []struct {
		name, words string
		env         []string
		code        int
		out, err    string // parts
	}{
		{"modules", url, nil, 0, "Welcome\n\nopen           \tfor everybody\nclosed         \t\n", ""},
		{"files", "-r --no-motd " + url + "open/", nil, 0, " f\n", ""},
		{"a pull", "-a " + url + "open/f DEST", nil, 0, "Welcome\n", ""},
		{"a push", "-a DIR/motd " + url + "open/m", nil, 0, "", ""},
		{"a password of the environment", "-a " + strings.Replace(url, "//", "//alice@", 1) + "closed/ DEST", []string{"RSYNC_PASSWORD=open sesame"}, 0, "", ""},
		{"a password file", "-a --password-file=DIR/pass " + strings.Replace(url, "//", "//alice@", 1) + "closed/ DEST", nil, 0, "", ""},
		{"a password file that others read", "-a --password-file=DIR/shared " + strings.Replace(url, "//", "//alice@", 1) + "closed/ DEST", nil, 1, "", "other-accessible"},
		{"a wrong password", "-a " + strings.Replace(url, "//", "//alice@", 1) + "closed/ DEST", []string{"RSYNC_PASSWORD=x"}, 5, "", "@ERROR: auth failed on module closed\n"},
		{"an unknown module", "-a " + url + "nope/ DEST", nil, 5, "", "@ERROR: Unknown module 'nope'\n"},
		{"a path that is not there", "-a " + url + "open/nope DEST", nil, 23, "", `link_stat "nope" (in open) failed`},
		{"a read-only module", "-a DIR/motd " + strings.Replace(url, "//", "//alice@", 1) + "closed/", []string{"RSYNC_PASSWORD=open sesame"}, 1, "", "ERROR: module is read only\n"},
		{"the other syntax", fmt.Sprintf("-a --port=%d 127.0.0.1::open/f DEST", d.port), nil, 0, "", ""},
		{"an address of ours", "-a --address=127.0.0.1 --sockopts=TCP_NODELAY,SO_SNDBUF=65536 -4 " + url + "open/f DEST", nil, 0, "", ""},
		{"nobody there", fmt.Sprintf("rsync://127.0.0.1:%d/m", freePort(t)), nil, 10, "", "failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)"},
		{"a bad proxy", url + "open", []string{"RSYNC_PROXY=nowhere"}, 10, "", "invalid proxy specification: should be HOST:PORT\n"},
		{"a program", "-a --no-motd rsync://host/open/f DEST", []string{"RSYNC_CONNECT_PROG=read greeting"}, 5, "", "did not see server greeting"},
		{"a host that no shell should see", "rsync://a;b/open", []string{"RSYNC_CONNECT_PROG=true %H"}, 10, "", "unsafe host characters"},
		{"a path without a module", fmt.Sprintf("rsync://127.0.0.1:%d//x", d.port), nil, 5, "", "must start with a module name not a /"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			words := strings.Fields(strings.NewReplacer("DEST", filepath.Join(t.TempDir(), "d"), "DIR", d.dir).Replace(row.words))
			got := client(t, true, append(row.env, "USER=nobody"), words...)
			if got.code != row.code || !strings.Contains(got.out, row.out) || !strings.Contains(got.err, row.err) {
				t.Errorf("%+v", got)
			}
			if exit := fmt.Sprintf("(code %d)", row.code); row.code > 0 && !strings.Contains(got.err, exit) {
				t.Errorf("no line about the exit code: %q", got.err)
			}
		})
	}
}

// A proxy that passes the connection on, or does not.
func TestProxies(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, "[open]\npath = DIR/mod\n")
	write(t, filepath.Join(d.dir, "mod", "f"), "file\n", 0o644)
	rows := []struct {
		name, answer string
		code         int
		err          string
	}{
		{"one that agrees", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", 0, ""},
		{"one that refuses", "HTTP/1.0 407 no\r\n\r\n", 10, "bad response from proxy -- HTTP/1.0 407 no"},
		{"something else", "220 hello\r\n", 10, "bad response from proxy -- 220 hello"},
		{"an endless line", "HTTP/1.1 200 OK\r\n" + strings.Repeat("x", 2000), 10, "proxy response header line too long"},
		{"an endless header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("x: y\r\n", 2000), 10, "more than 1000 lines"},
		{"an end", "HTTP/1.1 200", 10, "failed to read from proxy"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			request := make(chan string, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				var all bytes.Buffer
				readUntil(io.TeeReader(conn, &all), "\r\n\r\n")
				request <- all.String()
				io.WriteString(conn, row.answer)
				if row.code != 0 {
					return
				}
				daemon, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", d.port))
				if err != nil {
					return
				}
				defer daemon.Close()
				go io.Copy(daemon, conn)
				io.Copy(conn, daemon)
			}()
			got := client(t, true, []string{"RSYNC_PROXY=me:pw@" + l.Addr().String()}, "-r", "rsync://somewhere/open/", t.TempDir())
			if got.code != row.code || !strings.Contains(got.err, row.err) {
				t.Errorf("%+v", got)
			}
			want := "CONNECT somewhere:873 HTTP/1.0\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n"
			if text := <-request; text != want {
				t.Errorf("asked %q", text)
			}
		})
	}
}

// dialled is a client whose daemon is serve.
func dialled(t testing.TB, serve func(net.Conn), words ...string) (*session.Client, *bytes.Buffer) {
	t.Helper()
	opt, err := option.Parse(option.Input{Words: words})
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	return &session.Client{
		Opt: opt, Argv: append([]string{"rsync"}, words...), Dial: fakeServer(t, serve).Dial, Stderr: io.Discard,
		Talk:   output.NewPrinter(output.Config{Opt: opt, Out: &said, Err: &said}),
		Getenv: func(string) string { return "" },
	}, &said
}

// A client ends within a second wherever it is when its context ends.
func TestClientCancellation(t *testing.T) {
	t.Parallel()
	binary := "\x81\xFE\x23" + names + " none"
	for _, row := range []struct {
		name  string
		turns []turn
	}{
		{"greeting", nil},
		{"after the greeting", []turn{{"\n", hello}}},
		{"handshake", append(toOK[:2:2], turn{endArgs, ""})},
		{"before the seed", append(toOK[:2:2], turn{endArgs, binary})},
		{"before the list", append(toOK[:2:2], turn{endArgs, binary}, turn{names, "\xDB\xF8\x14\x6B"})},
		{"within the list", append(toOK[:2:2], turn{endArgs, binary}, turn{names, "\xDB\xF8\x14\x6B\x20\x00\x00\x07\x18\x05a.t"})},
		{"before the data", append(toOK[:2:2], turn{endArgs, binary}, turn{names, "\xDB\xF8\x14\x6B" +
			"\x0d\x00\x00\x07\x18\x05a.txt\x00\x06\x00\x69\xA5\x35" + "\x07\x00\x00\x07\x57\xA4\x81\x00\x00\x00\x00"})},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			c, _ := dialled(t, script(func(conn net.Conn) {
				close(reached)
				listens(conn)
			}, row.turns...), "-rt", "rsync://h/mod/a.txt", t.TempDir())
			ctx, cancel := context.WithCancelCause(t.Context())
			begun := make(chan time.Time, 1)
			go func() {
				<-reached
				begun <- time.Now()
				cancel(session.ErrSignal)
			}()
			_, err := c.Run(ctx)
			took := time.Since(<-begun)
			if session.ExitCode(err) != session.ExitSignal || took > promptly {
				t.Errorf("after %v: %v", took, err)
			}
		})
	}
}

// Local copies and servers, too.
func TestCancellationOfBothHalves(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	write(t, filepath.Join(src, "large"), strings.Repeat("x", 8<<20), 0o644)
	opt, err := option.Parse(option.Input{Words: []string{"-r", "--bwlimit=1m", src + "/", t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(session.ErrSignal) })
	begun := time.Now()
	c := session.Client{Opt: opt, Argv: []string{"rsync"}, Talk: output.NewPrinter(output.Config{Opt: opt, Out: io.Discard, Err: io.Discard})}
	_, err = c.Run(ctx)
	if took := time.Since(begun); session.ExitCode(err) != session.ExitSignal || took > promptly {
		t.Errorf("local: after %v: %v", took, err)
	}

	words := []string{"--server", "-re.LsfxCIvu", ".", t.TempDir()}
	opt, err = option.Parse(option.Input{Words: words})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	time.AfterFunc(50*time.Millisecond, func() { cancel(session.ErrSignal) })
	begun = time.Now()
	s := session.Server{Opt: opt, Words: words, In: r, Out: io.Discard, Stderr: io.Discard}
	_, err = s.Run(ctx)
	if took := time.Since(begun); session.ExitCode(err) != session.ExitSignal || took > promptly {
		t.Errorf("server: after %v: %v", took, err)
	}
}

// What a hostile daemon can do to a client that pulls: nothing but end it.
func TestHostileDaemons(t *testing.T) {
	t.Parallel()
	list := func(entries string) string { return frame(0, entries) }
	const meta = "\x00\x06\x00\x69\xA5\x35\x57\xA4\x81\x00\x00" // size, time, mode of a file
	end := "\x00\x00"
	for _, row := range []struct {
		name, words, say string
		code             int
		err              string
	}{
		{"a name that nobody asked for", "-rt", list("\x18\x05b.txt" + meta + end), 4, "rejecting unrequested file-list name: b.txt"},
		{"a name above", "-rt", list("\x18\x04../x" + meta + end), 4, ".."},
		{"an absolute name", "-rt", list("\x18\x02/x" + meta + end), 4, "/x"},
		{"an excluded name", "-rt --exclude=*.txt", list("\x18\x05a.txt" + meta + end), 4, "rejecting excluded file-list name: a.txt"},
		{"an unknown message", "-rt", "\x00\x00\x00\x20", 12, ""},
		{"a success", "-rt", frame(100, "\x00\x00\x00\x00"), 2, ""},
		{"an exit code", "-rt", frame(86, "\x0b\x00\x00\x00"), 11, ""},
		{"an exit code out of range", "-rt", frame(86, "\xff\xff\xff\xff"), 12, ""},
		{"an end", "-rt", "", 12, "connection unexpectedly closed"},
		{"half a list", "-rt", list("\x18\x05a.t"), 12, "connection unexpectedly closed"},
		{"data of nothing", "-rt", list("\x18\x05a.txt"+meta+end) + frame(0, "\x7f\x00\xA0"), 2, ""},
		{"control characters", "-rt", frame(3, "\x1b[31mred\n") + list("\x18\x05b.txt"+meta+end), 4, `\#033[31mred`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, said := dialled(t, script(func(conn net.Conn) {
				if row.code == session.ExitStream { // hangs up after that
					go io.Copy(io.Discard, conn)
					io.WriteString(conn, row.say)
					return
				}
				go io.WriteString(conn, row.say)
				listens(conn)
			}, append(toSeed[:4:4], turn{"\x00\x00\x00\x00", ""})...),
				append(strings.Fields(row.words), "--timeout=20", "rsync://h/mod/a.txt", dir+"/")...)
			_, err := c.Run(t.Context())
			if code := session.ExitCode(err); code != row.code || !strings.Contains(said.String(), row.err) {
				t.Errorf("code %d: %v: %q", code, err, said)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%v was made", left)
			}
		})
	}
	c, _ := dialled(t, script(listens, append(toSeed[:4:4], turn{"\x00\x00\x00\x00", ""})...), "-r", "--timeout=1", "rsync://h/mod/a.txt", t.TempDir())
	begun := time.Now()
	_, err := c.Run(t.Context())
	if took := time.Since(begun); session.ExitCode(err) != session.ExitTimeout || took > time.Second+promptly {
		t.Errorf("a silent daemon: after %v: %v", took, err)
	}
}

func TestStopAt(t *testing.T) {
	t.Parallel()
	c, said := dialled(t, script(listens, toSeed...), "-r", "rsync://h/mod/a.txt", t.TempDir())
	c.Opt.StopAt = time.Now().Add(100 * time.Millisecond)
	_, err := c.Run(t.Context())
	var e *session.Error
	if !errors.As(err, &e) || e.Code != session.ExitTimeout || !strings.Contains(said.String(), "stopping at requested limit") {
		t.Errorf("%v: %s", err, said)
	}
}
