package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tailLines is how much output of a process is kept for a failure's report.
const tailLines = 400

// maxLine is the longest line of output that is kept whole, in bytes.
const maxLine = 1 << 20

// Process is one child in a process group of its own.
type Process struct {
	Name string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process is reaped and its output read
	err  error         // of Wait, valid once done is closed

	mu   sync.Mutex
	tail []string
}

// launches are carried out by one thread: the kernel sends a Pdeathsig when the
// thread ends that started the process, and a watcher in this process ends
// threads of its own.
var launches = sync.OnceValue(func() chan func() {
	todo := make(chan func())
	go func() {
		runtime.LockOSThread()
		for do := range todo {
			do()
		}
	}()
	return todo
})

// launch starts cmd, which ends with this process if it has a Pdeathsig.
func launch(cmd *exec.Cmd) error {
	started := make(chan error)
	launches() <- func() { started <- cmd.Start() }
	return <-started
}

// Start runs cmd in a new process group. onLine, which may be nil, gets each
// line of standard output in order, from one goroutine.
func Start(name string, cmd *exec.Cmd, onLine func(string)) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := launch(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, cmd: cmd, done: make(chan struct{})}
	var readers sync.WaitGroup
	readers.Go(func() { p.read(stdout, "out", onLine) })
	readers.Go(func() { p.read(stderr, "err", nil) })
	go func() {
		readers.Wait()
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *Process) read(r io.Reader, stream string, onLine func(string)) {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			line = strings.TrimSuffix(line, "\n")
			p.keep(stream + ": " + line)
			if onLine != nil {
				onLine(line)
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Process) keep(line string) {
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tail) == tailLines {
		p.tail = append(p.tail[:0], p.tail[1:]...)
	}
	p.tail = append(p.tail, time.Now().Format("15:04:05.000 ")+line)
}

// Tail is the last n lines of output, standard output and error together.
func (p *Process) Tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.tail[max(0, len(p.tail)-n):]
	return fmt.Sprintf("--- last output of %s\n%s\n---", p.Name, strings.Join(lines, "\n"))
}

// Pid is the process's id, which is its group's id too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal signals the process alone. It is an error if it has ended.
func (p *Process) Signal(s syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("signal %s: it has ended", p.Name)
	}
	return p.cmd.Process.Signal(s)
}

// SignalGroup signals the process and the children that stayed in its group,
// also those that outlived it.
func (p *Process) SignalGroup(s syscall.Signal) error {
	err := syscall.Kill(-p.Pid(), s)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// Wait waits for the end and returns the exit code, -1 for a death by signal.
func (p *Process) Wait(limit time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return -1, fmt.Errorf("%s has not ended after %v\n%s", p.Name, limit, p.Tail(60))
	}
}

// End makes sure that the whole group is gone: SIGTERM, and SIGKILL for what
// is left when the process has ended or after 5 s.
func (p *Process) End() {
	if p.Running() {
		_ = p.SignalGroup(syscall.SIGCONT)
		_ = p.SignalGroup(syscall.SIGTERM)
		_, _ = p.Wait(5 * time.Second)
	}
	_ = p.SignalGroup(syscall.SIGKILL)
	_, _ = p.Wait(5 * time.Second)
}

// Crash kills the whole group at once, as a crash of the machine would.
func (p *Process) Crash() error {
	if err := p.SignalGroup(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	_, err := p.Wait(10 * time.Second)
	return err
}
