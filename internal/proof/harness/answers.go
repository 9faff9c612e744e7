package harness

import (
	"io"
	"net"
	"time"
)

// Answers reports whether something listens at address. It says nothing and
// reads until the peer hangs up: a greeting that is left unread would reset
// the connection, and the peer would write of that to its log.
func Answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return true
	}
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.Copy(io.Discard, c)
	return true
}
