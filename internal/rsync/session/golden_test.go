package session_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// oneFile is a source with a.txt as in the sessions of rsync-session 8.
func oneFile(t testing.TB) sender.Job {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.txt")
	write(t, file, "hello\n", 0o644)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, mtime, mtime); err != nil {
		t.Fatal(err)
	}
	return sender.Job{Root: openRoot(t, dir), List: []sender.Item{{Path: "a.txt"}}}
}

// The sessions of rsync-session 8.1 and 8.3, but for the R of --relative, which
// an explicit list needs. The server's bytes don't depend on ours.
func TestWholeSessions(t *testing.T) {
	header := "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
	rows := []struct {
		name     string
		protocol int
		server   []string // hex; the text handshake excluded
		args     string   // end of what the client sends before the binary phase
		text     string   // all of that
		names    string   // hex
		list     string   // end of the file list
		data     string   // hex; without frames
	}{
		{
			name: "a push at protocol 32", protocol: 32,
			server: []string{
				"81 FE 23" + hexOf(names+" none") + "DB F8 14 6B",
				"13 00 00 07 01 00 A0" + header + "01 00 00 07 00 03 00 00 07 00 00 00 01 00 00 07 00",
			},
			args:  endArgs,
			list:  "\xA4\x81\x00\x00\x00\x00",
			text:  "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\nmod\n--server\x00-tRe.LsfxCIvu\x00.\x00mod/\x00\x00",
			names: "1E" + hexOf(names),
			data: "18 05 612E747874 00 06 00 69 A5 35 57 A4 81 00 00 00 00" +
				"01 00 A0" + header + "06 00 00 00 68656C6C6F0A 00 00 00 00 9CE4C8F135B4105A6DF569E0C786BA6B" +
				"00 00 00 00",
		},
		{
			name: "a push at protocol 29", protocol: 29,
			server: []string{
				"5D 3D 14 6B",
				"16 00 00 07 00 00 00 00 00 A0" + header +
					"04 00 00 07 FFFFFFFF 08 00 00 07 FFFFFFFF FFFFFFFF 04 00 00 07 FFFFFFFF",
			},
			args: "\n\n",
			list: "\xA4\x81\x00\x00\x00\x00\x00\x00\x00",
			text: "@RSYNCD: 29.0 sha512 sha256 sha1 md5 md4\nmod\n--server\n-tR\n.\nmod/\n\n",
			data: "18 05 612E747874 06 00 00 00 A5 35 57 69 A4 81 00 00 00 00 00 00 00" +
				"00 00 00 00 00 A0" + header + "06 00 00 00 68656C6C6F0A 00 00 00 00 EE7A05ED243399B3834CC57F9E581DEA" +
				"FFFFFFFF FFFFFFFF FFFFFFFF",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			heard := make(chan []byte, 1)
			ep := fakeServer(t, func(conn net.Conn) {
				var all bytes.Buffer
				defer func() { heard <- all.Bytes() }()
				from := io.TeeReader(conn, &all)
				io.WriteString(conn, hello+ok)
				for i, await := range []string{row.args, row.list} {
					if !readUntil(from, await) {
						return
					}
					conn.Write(unhex(t, row.server[i]))
				}
				io.Copy(io.Discard, from)
			})
			ep.Protocol = row.protocol
			s, err := start(t.Context(), ep)
			if err != nil {
				t.Fatal(err)
			}
			result, err := s.Send(t.Context(), oneFile(t))
			if err != nil {
				t.Fatal(err)
			}
			if result.Files != 1 || result.Transferred != 1 || result.Literal != 6 {
				t.Errorf("result %+v", result)
			}
			got := <-heard
			start := row.text + string(unhex(t, row.names))
			if !bytes.HasPrefix(got, []byte(start)) {
				t.Fatalf("began %q, want %q", got[:min(len(got), len(start))], start)
			}
			got = got[len(start):]
			if row.protocol >= 30 {
				got = demux(t, got)
			}
			if want := unhex(t, row.data); !bytes.Equal(got, want) {
				t.Errorf("sent\n% X, want\n% X", got, want)
			}
		})
	}
}

func hexOf(s string) string {
	const digits = "0123456789ABCDEF"
	var b []byte
	for i := range len(s) {
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}

// demux takes the data out of frames.
func demux(t testing.TB, b []byte) []byte {
	t.Helper()
	r := wire.NewReader(bytes.NewReader(b))
	r.StartMux(func(c wire.Code, p []byte) error {
		t.Errorf("message %v %q", c, p)
		return nil
	})
	data, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return data
}

// The session of rsync-session 8.5: a module that is read only.
func TestReadOnlyModuleAsCaptured(t *testing.T) {
	heard := make(chan []byte, 1)
	ep := fakeServer(t, script(func(conn net.Conn) {
		go func() {
			conn.Write(unhex(t, "04 00 00 28 4D 00 00 00"))
			io.WriteString(conn, frame(wire.CodeError, "ERROR: module is read only\n"))
			io.WriteString(conn, frame(wire.CodeError, "rsync error: syntax or usage error (code 1) at main.c(1234) [Receiver=3.5.0]\n"))
			conn.Write(unhex(t, "04 00 00 5D 01 00 00 00"))
		}()
		b, _ := io.ReadAll(conn)
		heard <- b
	}, toSeed...))
	s, err := start(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(t.Context(), oneFile(t))
	e := asError(t, err)
	if e.Code != session.ExitSyntax || !e.Permanent || len(e.Messages) != 2 || e.Messages[0] != "ERROR: module is read only" {
		t.Errorf("code %d, permanent %v, messages %q", e.Code, e.Permanent, e.Messages)
	}
	if s.Timeout().Seconds() != 77 {
		t.Errorf("timeout %v", s.Timeout())
	}
	if got := <-heard; !bytes.Contains(got, unhex(t, "00 00 00 5D")) {
		t.Errorf("no empty ERROR_EXIT in % X", got)
	}
}
