package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"lockstep/internal/fs/tree"
)

// DefaultPath is the socket's path where the configuration names none.
func DefaultPath() (string, error) {
	if os.Geteuid() == 0 {
		return "/run/lockstep/control", nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "lockstep", "control"), nil
	}
	return "", errors.New("control socket: XDG_RUNTIME_DIR is not set: name the socket with control in the configuration")
}

// Client is a connection to a running lockstep.
type Client struct {
	conn net.Conn
	in   *bufio.Scanner
}

// Dial connects to the socket at path.
func Dial(path string) (*Client, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", tree.Quote(path), errors.Unwrap(err))
	}
	in := bufio.NewScanner(c)
	in.Buffer(nil, maxLine)
	return &Client{c, in}, nil
}

// Do sends a request and waits for its reply. One with OK false comes back as a
// *Failure.
func (c *Client) Do(r Request) (Reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return Reply{}, err
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return Reply{}, fmt.Errorf("control socket: %w", err)
	}
	if !c.in.Scan() {
		err := c.in.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return Reply{}, fmt.Errorf("control socket: %w", err)
	}
	var reply Reply
	if err := json.Unmarshal(c.in.Bytes(), &reply); err != nil {
		return Reply{}, fmt.Errorf("control socket: reply: %w", err)
	}
	if !reply.OK {
		return reply, &Failure{reply.Code, reply.Error, reply.Lagging}
	}
	return reply, nil
}

// Close ends the connection.
func (c *Client) Close() { c.conn.Close() }
