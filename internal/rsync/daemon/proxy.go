package daemon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"lockstep/internal/rsync/daemon/conf"
)

// The header of a proxy (rsync-session 2.6).
//
//	v2:  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | version/command | family | length (2, big endian) | addresses
//	v1:  "PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT\r\n" or "PROXY UNKNOWN…\r\n"
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxyLine   = 107 // bytes of v1, line end included
	maxProxyBytes  = 232 // of v2
	proxyHead      = 16  // of v2 before the addresses
)

var errProxy = errors.New("malformed header of a proxy")

// proxied reads the header of a proxy, if the configuration wants one, and takes
// the client's address from it.
func (v *visit) proxied() error {
	if !v.config.Global.Bool(conf.ProxyProtocol) {
		return nil
	}
	allowed := access{allow: v.config.Global.Text(conf.ProxyProtocolHosts, v.server.environ), emptyDeniesAll: true, warn: v.log.Line,
		reverse: v.config.Global.Bool(conf.ReverseLookup)}
	if !allowed.admits(v.peer) {
		return fmt.Errorf("no proxy is expected at %s", v.peer.address())
	}
	addr, err := readProxy(v.conn.r)
	if err != nil {
		return fmt.Errorf("proxy %s: %w", v.peer.address(), err)
	}
	if addr.IsValid() {
		v.peer = &peer{addr: addr.Unmap(), names: v.server.names}
	}
	return nil
}

// readProxy reads a header. The address is not valid if that of the connection
// counts.
func readProxy(r io.Reader) (netip.Addr, error) {
	head := make([]byte, len(proxySignature))
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.Addr{}, err
	}
	switch {
	case string(head) == proxySignature:
		return readProxyV2(r)
	case strings.HasPrefix(string(head), "PROXY"):
		return readProxyV1(r, head)
	}
	return netip.Addr{}, errProxy
}

func readProxyV2(r io.Reader) (netip.Addr, error) {
	var none netip.Addr
	head := make([]byte, proxyHead-len(proxySignature))
	if _, err := io.ReadFull(r, head); err != nil {
		return none, err
	}
	size := int(binary.BigEndian.Uint16(head[2:]))
	if head[0]>>4 != 2 || proxyHead+size > maxProxyBytes {
		return none, errProxy
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return none, err
	}
	const (
		local, proxied = 0, 1
		tcp4, tcp6     = 0x11, 0x21
	)
	switch command := head[0] & 0xf; {
	case command == local:
		return none, nil
	case command != proxied:
		return none, errProxy
	case head[1] == tcp4 && size >= 12:
		return netip.AddrFrom4([4]byte(body)), nil
	case head[1] == tcp6 && size >= 36:
		return netip.AddrFrom16([16]byte(body)), nil
	case head[1] == tcp4, head[1] == tcp6:
		return none, errProxy
	}
	return none, nil
}

func readProxyV1(r io.Reader, line []byte) (netip.Addr, error) {
	var none netip.Addr
	b := make([]byte, 1)
	for line[len(line)-1] != '\n' {
		if len(line) == maxProxyLine {
			return none, errProxy
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return none, err
		}
		line = append(line, b[0])
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	words := strings.Split(text, " ")
	if !ok || words[0] != "PROXY" || len(words) < 2 {
		return none, errProxy
	}
	if words[1] == "UNKNOWN" {
		return none, nil
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return none, errProxy
	}
	from, err := netip.ParseAddr(words[2])
	to, err2 := netip.ParseAddr(words[3])
	if err != nil || err2 != nil || from.Is4() != (words[1] == "TCP4") || to.Is4() != from.Is4() {
		return none, errProxy
	}
	for _, port := range words[4:] {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return none, errProxy
		}
	}
	return from, nil
}
