package session

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"

	"lockstep/internal/rsync/output"
)

// proxy is an HTTP proxy that passes connections on (rsync-session 1.3).
type proxy struct {
	address     string
	credentials string // user:password; "" is none
}

// maxProxyLine bounds a line from a proxy, in bytes.
const maxProxyLine = 1023

// maxProxyLines bounds the header of its answer.
const maxProxyLines = 1000

// parseProxy reads [USER:PASSWORD@]HOST:PORT; "" is no proxy.
func parseProxy(text string) (*proxy, error) {
	if text == "" {
		return nil, nil
	}
	p := &proxy{address: text}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		p.credentials, p.address = text[:at], text[at+1:]
		if !strings.Contains(p.credentials, ":") {
			p.credentials += ":"
		}
	}
	if !strings.Contains(p.address, ":") {
		return nil, fatalf(ExitSocket, "invalid proxy specification: should be HOST:PORT")
	}
	return p, nil
}

// connect asks the proxy for a connection to the endpoint's daemon.
func (p *proxy) connect(conn net.Conn, ep *Endpoint) error {
	if strings.ContainsFunc(ep.Host, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fatalf(ExitSocket, "refusing control characters in the host name for the proxy")
	}
	request := fmt.Sprintf("CONNECT %s HTTP/1.0\r\n", ep.address())
	if p.credentials != "" {
		request += fmt.Sprintf("Proxy-Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(p.credentials)))
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
	status, err := proxyLine(conn)
	if err != nil {
		return err
	}
	_, code, _ := strings.Cut(status, " ")
	if !strings.HasPrefix(status, "HTTP/") || !strings.HasPrefix(strings.TrimLeft(code, " "), "2") {
		return fatalf(ExitSocket, "bad response from proxy -- %s", status)
	}
	for range maxProxyLines {
		line, err := proxyLine(conn)
		if err != nil {
			return err
		}
		if line == "" {
			return nil
		}
	}
	return fatalf(ExitSocket, "the proxy's answer has more than %d lines", maxProxyLines)
}

// proxyLine reads a line byte by byte: what follows the header is the daemon's.
func proxyLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", fatalf(ExitSocket, "failed to read from proxy: %s", output.Strerror(err))
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if len(line) >= maxProxyLine {
			return "", fatalf(ExitSocket, "proxy response header line too long")
		}
		line = append(line, b[0])
	}
}

// programFor is the command that takes the place of connecting, for a host:
// %H is the host, %% a percent sign.
func programFor(program, host string) (string, error) {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%"
	if strings.Trim(host, safe) != "" {
		return "", fatalf(ExitSocket, "unsafe host characters for RSYNC_CONNECT_PROG")
	}
	var b strings.Builder
	for i := 0; i < len(program); i++ {
		next := byte(0)
		if program[i] == '%' && i+1 < len(program) {
			next = program[i+1]
		}
		switch next {
		case 'H':
			b.WriteString("'" + host + "'")
			i++
		case '%':
			b.WriteByte('%')
			i++
		default:
			b.WriteByte(program[i])
		}
	}
	return b.String(), nil
}
