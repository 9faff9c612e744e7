package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// maxConnections bounds the clients served at a time.
const maxConnections = 64

// Handler carries out requests. It may be called from several goroutines; ctx
// ends when the client goes away or the server closes.
type Handler func(ctx context.Context, r Request) Reply

// Server listens on a control socket.
type Server struct {
	path    string
	listen  *net.UnixListener
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	slots   chan struct{}
}

// Listen makes the socket and serves it until Close. A socket that a process
// which is gone has left is replaced; one that answers is an error.
func Listen(path string, h Handler) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := clear(path); err != nil {
		return nil, err
	}
	// Nobody else may connect, from the first moment on.
	l, err := listenPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{path: path, listen: l, handler: h, ctx: ctx, cancel: cancel, slots: make(chan struct{}, maxConnections)}
	s.wg.Go(s.accept)
	return s, nil
}

// listenPrivate binds the socket below a name that others cannot reach, gives
// it its mode and only then its name.
func listenPrivate(path string) (*net.UnixListener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".c")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	short := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(short, 0o600); err == nil {
		err = os.Rename(short, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// clear looks at what is at path already.
func clear(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket: %s is there and is no socket", tree.Quote(path))
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("control socket: a lockstep that runs already answers on %s", tree.Quote(path))
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil // left behind; it is replaced
	}
	return fmt.Errorf("control socket: %w", err)
}

func (s *Server) accept() {
	for {
		c, err := s.listen.AcceptUnix()
		if err != nil {
			return // closed
		}
		select {
		case s.slots <- struct{}{}:
		default:
			write(c, Reply{Code: CodeFailed, Error: "too many connections"})
			c.Close()
			continue
		}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			s.serve(c)
		})
	}
}

// serve answers one client. A goroutine of its own reads, so that a client
// that goes away ends what it waits for.
func (s *Server) serve(c *net.UnixConn) {
	ctx, cancel := context.WithCancel(s.ctx)
	closed := context.AfterFunc(ctx, func() { c.Close() })
	lines, read := make(chan []byte), make(chan struct{})
	go func() {
		defer close(read)
		s.read(ctx, c, lines)
		awaitHangup(ctx, c)
		cancel()
	}()
	for line := range lines {
		r, err := ParseRequest(line)
		reply := Reply{Code: CodeUsage}
		if err != nil {
			reply.Error = err.Error()
		} else {
			reply = s.handler(ctx, r)
		}
		if !write(c, reply) {
			break
		}
	}
	cancel()
	<-read
	if closed() {
		c.Close()
	}
}

// read passes lines on until the client says no more.
func (s *Server) read(ctx context.Context, c net.Conn, lines chan<- []byte) {
	defer close(lines)
	in := bufio.NewScanner(c)
	in.Buffer(nil, maxRequest)
	for in.Scan() {
		select {
		case lines <- append([]byte(nil), in.Bytes()...):
		case <-ctx.Done():
			return
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		write(c, Reply{Code: CodeUsage, Error: "request: the line is too long"})
	}
}

// hangupCheck is how often a client that has said all is looked at, in ms.
const hangupCheck = 200

// awaitHangup returns when the client cannot read any more, or ctx has ended. A
// client may close its writing side and still wait for answers.
func awaitHangup(ctx context.Context, c *net.UnixConn) {
	raw, err := c.SyscallConn()
	for gone := err != nil; !gone && ctx.Err() == nil; {
		if raw.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd)}}
			n, err := unix.Poll(fds, hangupCheck)
			gone = err != nil && err != unix.EINTR || n > 0
		}) != nil {
			return
		}
	}
}

func write(c net.Conn, r Reply) bool {
	text, err := json.Marshal(r)
	if err != nil {
		return false
	}
	_, err = c.Write(append(text, '\n'))
	return err == nil
}

// Close ends all requests and waits for that. The socket is removed.
func (s *Server) Close() {
	s.cancel()
	_ = os.Remove(s.path) // nobody is to find it; it may be gone already
	s.listen.Close()
	s.wg.Wait()
}
