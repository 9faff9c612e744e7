package session_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"lockstep/internal/rsync/session"
)

// The filter list goes before the file list, and only to a server that deletes.
func TestFilterRules(t *testing.T) {
	rows := []struct {
		name  string
		opts  session.Options
		rules []string
		want  string
	}{
		{"no deletion", session.Options{}, []string{"- x"}, ""},
		{"missing arguments alone", session.Options{DeleteMissing: true}, []string{"- x"}, ""},
		{"deletion", session.Options{Delete: true}, []string{"- x", "+ yy"}, "\x03\x00\x00\x00- x\x04\x00\x00\x00+ yy\x00\x00\x00\x00"},
		{"deletion without rules", session.Options{Delete: true}, nil, "\x00\x00\x00\x00"},
		{"deletion of what is excluded", session.Options{DeleteExcluded: true}, []string{"-r x"}, "\x04\x00\x00\x00-r x\x00\x00\x00\x00"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			heard := make(chan []byte, 1)
			ep := fakeServer(t, script(func(conn net.Conn) {
				var all bytes.Buffer
				defer func() { heard <- all.Bytes() }()
				from := io.TeeReader(conn, &all)
				readUntil(from, listEnd)
				conn.Write(unhex(t, "01 00 00 07 00 03 00 00 07 00 00 00 01 00 00 07 00"))
				io.Copy(io.Discard, from)
			}, toSeed...))
			c, err := session.Connect(t.Context(), ep)
			if err != nil {
				t.Fatal(err)
			}
			opts := row.opts
			opts.Relative, opts.Times, opts.MaxDelete = true, true, -1
			opts.Filters = func(protocol int) ([]string, error) {
				if protocol != 32 {
					t.Errorf("asked for protocol %d", protocol)
				}
				return row.rules, nil
			}
			s, err := c.Start(t.Context(), opts, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Send(t.Context(), oneFile(t)); err != nil {
				t.Fatal(err)
			}
			if got := demux(t, <-heard); !strings.HasPrefix(string(got), row.want+"\x18\x05a.txt") {
				t.Errorf("sent %q, want %q first", got[:min(len(got), 40)], row.want)
			}
		})
	}
}

func TestBadFilterRules(t *testing.T) {
	broken := errors.New("filter rules are too modern")
	for name, filters := range map[string]func(int) ([]string, error){
		"an error":     func(int) ([]string, error) { return nil, broken },
		"an empty one": func(int) ([]string, error) { return []string{""}, nil },
		"a long one":   func(int) ([]string, error) { return []string{strings.Repeat("x", 5120)}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := session.Connect(t.Context(), fakeServer(t, script(listens, toSeed...)))
			if err != nil {
				t.Fatal(err)
			}
			s, err := c.Start(t.Context(), session.Options{Relative: true, Delete: true, MaxDelete: -1, Filters: filters}, "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Send(t.Context(), oneFile(t))
			if e := asError(t, err); e.Code != session.ExitProtocol || !e.Permanent {
				t.Errorf("error %+v", e)
			}
		})
	}
}
