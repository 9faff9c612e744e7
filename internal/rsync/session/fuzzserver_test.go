package session_test

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/session"
)

// FuzzServer lets a client say anything to a server, in either direction and
// with secluded arguments: it comes to an end, with an exit code.
func FuzzServer(f *testing.F) {
	lists := "\x20\x00\x00\x00\x1e" + names
	f.Add([]byte(lists+"\x14\x00\x00\x07\x18\x05a.txt\x00\x06\x00\x69\xA5\x35\x57\xA4\x81\x00\x00\x00\x00"), uint8(0))
	f.Add([]byte(lists+"\x04\x00\x00\x07\x00\x00\x00\x00\x13\x00\x00\x07\x01\x00\xA0"+string(make([]byte, 16))+"\x03\x00\x00\x07\x00\x00\x00"), uint8(1))
	f.Add([]byte("\x1d\x00\x00\x00\x03\x00\x00\x00- x\x00\x00\x00\x00"), uint8(1))
	f.Add([]byte("rsync\x00-r\x00.\x00x*y\x00\x00"+lists), uint8(2))
	f.Fuzz(func(t *testing.T, said []byte, form uint8) {
		dir := t.TempDir()
		src := filepath.Join(dir, "src")
		write(t, src, "some text", 0o644)
		words := []string{"--server", "-rtRe.iLsfxCIvu", ".", dir + "/dest"}
		switch form % 3 {
		case 1:
			words = []string{"--server", "--sender", "-rte.LsfxCIvu", ".", src}
		case 2:
			words = []string{"--server", "--sender", "-se.LsfxCIvu"}
		}
		opt, err := option.Parse(option.Input{Words: words})
		if err != nil {
			t.Fatal(err)
		}
		s := session.Server{Opt: opt, Words: words, In: bytes.NewReader(said), Out: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}
		_, err = s.Run(t.Context())
		if code := session.ExitCode(err); code < 0 || code > 127 {
			t.Errorf("exit code %d", code)
		}
	})
}
