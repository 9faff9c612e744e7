package session

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// process is a remote shell with the server behind it. Its standard input and
// output are the connection.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // our ends of the pipes, or our end of the socket
	stdout *os.File
	done   chan struct{} // closed when it has been reaped and stderr was read
	code   int           // its exit code in rsync's terms, valid after done
}

// child is the process that carries the connection, 0 if there is none.
func (c *Conn) child() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return 0
	}
	return c.proc.cmd.Process.Pid
}

// How long a remote shell may take to end by itself: after a goodbye, and
// after we broke off.
const (
	farewellPatience = 10 * time.Second
	abortPatience    = 300 * time.Millisecond
)

// command is what to start, and where its standard error goes.
type command struct {
	argv   []string
	env    []string     // beside that of this process
	socket bool         // standard input and output are one socket, instead of pipes
	stderr io.Writer    // gets it as it is; an *os.File is handed over
	onLine func(string) // gets it in lines if there is no stderr, from another goroutine
}

// spawn starts a command.
func spawn(c command) (*process, error) {
	argv := c.argv
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	if len(c.env) > 0 {
		p.cmd.Env = append(os.Environ(), c.env...)
	}
	var theirs []*os.File
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}
	defer func() { closeAll(theirs...) }()
	pipe := func(write bool) (ours *os.File, err error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		widen(w)
		if write {
			theirs = append(theirs, r)
			return w, nil
		}
		theirs = append(theirs, w)
		return r, nil
	}
	var stderr *os.File
	var errs [3]error
	if c.socket {
		var far *os.File
		p.stdin, far, errs[0] = socketPair()
		p.stdout, theirs = p.stdin, []*os.File{far, far}
	} else {
		p.stdin, errs[0] = pipe(true)
		p.stdout, errs[1] = pipe(false)
	}
	p.cmd.Stderr = c.stderr
	if c.stderr == nil {
		if stderr, errs[2] = pipe(false); errs[2] == nil {
			p.cmd.Stderr = theirs[2]
		}
	}
	err := errors.Join(errs[:]...)
	if err == nil {
		p.cmd.Stdin, p.cmd.Stdout = theirs[0], theirs[1]
		p.cmd.WaitDelay = abortPatience // for a stderr that grandchildren hold open
		err = p.cmd.Start()
	}
	if err != nil {
		closeAll(p.stdin, p.stdout, stderr)
		return nil, &spawnError{argv[0], err}
	}
	go p.reap(stderr, c.onLine)
	return p, nil
}

// socketPair makes a connection. Our end is for the poller.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	err = unix.SetNonblock(fds[0], true)
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), err
}

// pipeRoom is how many bytes should fit into a pipe: the default of 64 KiB has
// both ends wake each other all the time.
const pipeRoom = 1 << 20

// widen gives a pipe more room, as far as the system allows.
func widen(f *os.File) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeRoom) })
	}
}

// spawnError is about a program that could not be started.
type spawnError struct {
	program string
	err     error
}

func (e *spawnError) Error() string {
	return fmt.Sprintf("start the remote shell %s: %v", tree.Quote(e.program), e.err)
}

func (e *spawnError) Unwrap() error { return e.err }

// spawnCode is the exit code for a remote shell that cannot be started.
func spawnCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return ExitShellAbsent
	}
	return ExitShellNoRun
}

// longestLine is how much of one line of standard error is kept, in bytes.
const longestLine = 1024

// reap reads standard error, then waits for the process. A grandchild that
// keeps standard error open does not hold up the reaping for longer than
// abortPatience.
func (p *process) reap(stderr *os.File, onLine func(string)) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		if stderr != nil {
			readLines(stderr, onLine)
		}
	}()
	err := p.cmd.Wait()
	select {
	case <-read:
	case <-time.After(abortPatience):
	}
	if stderr != nil {
		stderr.Close()
	}
	<-read
	p.code = waitCode(err)
	close(p.done)
}

// readLines passes on lines without their ends, cut at longestLine.
func readLines(f *os.File, onLine func(string)) {
	r := bufio.NewReaderSize(f, longestLine)
	for {
		line, more, err := r.ReadLine()
		if len(line) > 0 {
			onLine(strings.TrimRight(string(line), "\r"))
		}
		for more && err == nil {
			_, more, err = r.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

// waitCode is a process's end as an rsync exit code.
func waitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case errors.Is(err, exec.ErrWaitDelay):
		return 0
	}
	return ExitShellKilled
}

// Read, Write, CloseWrite and Close make p a connection.
func (p *process) Read(b []byte) (int, error)  { return p.stdout.Read(b) }
func (p *process) Write(b []byte) (int, error) { return p.stdin.Write(b) }

func (p *process) output() *os.File { return p.stdin }

// CloseWrite hangs up; a process that does not end by that soon is killed.
func (p *process) CloseWrite() error {
	if conn, err := p.stdin.SyscallConn(); err == nil && p.stdin == p.stdout {
		_ = conn.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	} else {
		p.stdin.Close()
	}
	go p.wait(abortPatience)
	return nil
}

// Close is CloseWrite for who does not want to hear more.
func (p *process) Close() error {
	p.stdout.Close()
	return p.CloseWrite()
}

// wait gives the process some time to end, then kills it, and returns its
// exit code.
func (p *process) wait(patience time.Duration) int {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.cmd.Process.Kill()
		<-p.done
	}
	return p.code
}
