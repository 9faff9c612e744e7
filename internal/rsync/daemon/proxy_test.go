package daemon_test

import (
	"strings"
	"testing"

	"lockstep/internal/rsync/daemon"
)

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	four      = "\xc0\xa8\x01\x1e\x0a\x00\x00\x01\x10\x00\x03\x69" // 192.168.1.30, 10.0.0.1, ports
)

var proxies = []struct {
	name, sent, addr string // addr is "own" for that of the connection, "" for an error
}{
	{"version 2, IPv4", signature + "\x21\x11\x00\x0c" + four, "192.168.1.30"},
	{"version 2 with more behind", signature + "\x21\x11\x00\x0f" + four + "\x04\x00\x00", "192.168.1.30"},
	{"version 2, IPv6", signature + "\x21\x21\x00\x24" + strings.Repeat("\x00", 15) + "\x01" + strings.Repeat("\x00", 20), "::1"},
	{"version 2 of the proxy's own", signature + "\x20\x00\x00\x00", "own"},
	{"version 2 of another family", signature + "\x21\x31\x00\x00", "own"},
	{"version 2, too short", signature + "\x21\x11\x00\x0b" + four, ""},
	{"version 2, cut off", signature + "\x21\x11\x00\x0c" + four[:5], ""},
	{"version 2, too long", signature + "\x21\x11\xff\xff", ""},
	{"version 3", signature + "\x31\x11\x00\x0c" + four, ""},
	{"an unknown command", signature + "\x22\x11\x00\x0c" + four, ""},
	{"version 1, IPv4", "PROXY TCP4 192.168.1.30 10.0.0.1 4096 873\r\n", "192.168.1.30"},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 4096 873\r\n", "2001:db8::1"},
	{"version 1, unknown", "PROXY UNKNOWN whatever\r\n", "own"},
	{"version 1, the wrong family", "PROXY TCP4 ::1 ::1 4096 873\r\n", ""},
	{"version 1, no port", "PROXY TCP4 192.168.1.30 10.0.0.1 0 873\r\n", ""},
	{"version 1, no carriage return", "PROXY TCP4 192.168.1.30 10.0.0.1 1 873\n", ""},
	{"version 1, too long", "PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n", ""},
	{"no header", "@RSYNCD: 31.0\n", ""},
	{"nothing", "", ""},
}

func TestHeadersOfProxies(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			addr, err := daemon.ReadProxy(strings.NewReader(p.sent))
			got := "own"
			switch {
			case err != nil:
				got = ""
			case addr.IsValid():
				got = addr.String()
			}
			if got != p.addr {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func FuzzProxy(f *testing.F) {
	for _, p := range proxies {
		f.Add([]byte(p.sent))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := strings.NewReader(string(data))
		_, _ = daemon.ReadProxy(r)
		if read := len(data) - r.Len(); read > 232 {
			t.Errorf("%d bytes were read", read)
		}
	})
}
