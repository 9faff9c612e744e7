package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/session"
)

// workerVar tells the program that it is the process of one transfer.
const workerVar = "LOCKSTEP_RSYNCD_WORKER"

// Descriptors of such a process.
const (
	connFD = 3 + iota
	controlFD
	logFD
)

// Task is what the process of a transfer is told; it is the first message on
// its control socket.
type Task struct {
	Module *Module
	Client Client
	Log    LogTo
	HasLog bool
	Before bool   // the request is to be shown to the daemon
	Early  []byte // what the client had sent already
}

// Report is a message of such a process to its daemon.
type Report struct {
	Words    []string // of a request, if it is to be judged
	Text     string   // the same for logs
	Question string   // for the name converter, if there is one
	Done     *outcome // the last message
}

// Judgement is the answer to a request, or to a question.
type Judgement struct {
	Code int // 0 lets it pass
	Text string
}

// maxReports bounds what a transfer may say to its daemon, in bytes.
const maxReports = 64 << 20

// apart runs the transfer in a process of its own.
func (v *visit) apart(ctx context.Context, m *Module, client Client, judge *judge) (outcome, error) {
	failed := outcome{Code: exitStart}
	early := v.conn.buffered()
	child, control, err := v.spawn(ctx, m)
	if err != nil {
		return failed, refused("fork", "fork failed", "start a process for module %s: %v", m.Name, err)
	}
	defer control.Close()
	if v.relayed == nil {
		v.conn.Close() // it is the child's from here on
	} else {
		defer relay(v.conn.stream, v.relayed)()
	}
	stop := context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })
	defer stop()
	task := Task{Module: m, Client: client, Log: v.log.LogTo, HasLog: v.log.file != nil, Before: judge.wanted(), Early: early}
	err = json.NewEncoder(control).Encode(&task)
	done := failed
	if err == nil {
		done, err = attend(control, judge)
	}
	control.Close()
	if e := child.Wait(); e != nil && err == nil {
		var exit *exec.ExitError
		if errors.As(e, &exit) && exit.ExitCode() < 0 {
			done.Code = -1
			v.log.linef("the process of the transfer was ended: %v", e)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		v.log.linef("the process of the transfer: %v", err)
	}
	return done, nil
}

// attend listens to the process of a transfer until it has ended.
func attend(control *net.UnixConn, judge *judge) (outcome, error) {
	reports := json.NewDecoder(io.LimitReader(control, maxReports))
	done := outcome{Code: -1}
	for {
		var r Report
		if err := reports.Decode(&r); err != nil {
			return done, err
		}
		switch {
		case r.Done != nil:
			done = *r.Done
			return done, nil
		case !judge.wanted():
			return done, errors.New("a request that nobody asked for")
		}
		var j Judgement
		var err error
		if r.Question != "" {
			j.Text, err = judge.lookup(r.Question)
		} else {
			err = judge.admit(&request{words: r.Words, text: r.Text})
		}
		if err != nil {
			j = Judgement{Code: session.ExitCode(err), Text: err.Error()}
		}
		if err := json.NewEncoder(control).Encode(&j); err != nil {
			return done, err
		}
	}
}

// spawn starts the process of a transfer, narrowed to what the module needs.
func (v *visit) spawn(ctx context.Context, m *Module) (*exec.Cmd, *net.UnixConn, error) {
	mine, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	file, relayed, err := fileOf(v.conn.stream)
	if err != nil {
		mine.Close()
		return nil, nil, err
	}
	defer file.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"rsync"}
	cmd.Env = append(os.Environ(), workerVar+"=1")
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{file, theirs}
	if v.log.file != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, v.log.file)
	}
	if err := startNarrowed(cmd, m.Jail, cmp.Or(m.Chroot, m.Dir)); err != nil {
		mine.Close()
		return nil, nil, err
	}
	v.relayed = relayed
	return cmd, mine, nil
}

// startNarrowed starts a command from a thread that has given up what the
// command is not to have. The thread ends with it: nothing gives it back.
func startNarrowed(cmd *exec.Cmd, jail, dir string) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := narrow(jail, dir)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	mine, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer mine.Close()
	c, err := net.FileConn(mine)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c.(*net.UnixConn), theirs, nil
}

// fileOf is a further descriptor of a connection. One that has none is to be
// relayed to the other end of a socket.
func fileOf(s stream) (file *os.File, relayed *net.UnixConn, err error) {
	if f, ok := s.(interface{ File() (*os.File, error) }); ok {
		file, err = f.File()
		return file, nil, err
	}
	relayed, file, err = socketPair()
	return file, relayed, err
}

// relay passes everything on between a connection and a socket, their ends as
// well. The function that it returns waits for what comes from the socket.
func relay(s stream, to *net.UnixConn) (wait func()) {
	var ended error
	done := make(chan struct{})
	go func() { // ends with the connection
		_, _ = io.Copy(to, s)
		_ = to.CloseWrite()
	}()
	go func() {
		defer close(done)
		_, _ = io.Copy(s, to)
		ended = closeWrite(s) // the process of the transfer waits for the client's end
	}()
	return func() {
		<-done
		if ended == nil && s.SetDeadline(time.Now().Add(lingerTime)) == nil {
			drain(s)
		}
		to.Close()
		s.Close()
	}
}

// Work runs the transfer that this process was started for, if it was, and tells
// so; the process ends with the code.
func Work() (code int, started bool) {
	if os.Getenv(workerVar) == "" {
		return 0, false
	}
	os.Unsetenv(workerVar)
	for fd := connFD; fd <= logFD; fd++ {
		syscall.CloseOnExec(fd)
	}
	_ = time.Now().Format(time.RFC3339) // reads the time zone while it can be found
	w, err := newWorker()
	if err != nil {
		fmt.Fprintf(os.Stderr, "rsync: the process of a transfer: %v\n", err)
		return exitSyntax, true
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	signal.Ignore(syscall.SIGHUP)
	go func() {
		<-signals
		cancel(session.ErrSignal)
	}()
	done := w.run(ctx)
	_ = json.NewEncoder(w.control).Encode(&Report{Done: &done})
	return done.Code, true
}

// worker is the process of a transfer.
type worker struct {
	Task
	conn    *conn
	control net.Conn
	reports *json.Decoder
	log     *journal
}

func newWorker() (*worker, error) {
	w := &worker{}
	var err error
	if w.control, err = connOf(controlFD); err != nil {
		return nil, err
	}
	w.reports = json.NewDecoder(w.control)
	if err := w.reports.Decode(&w.Task); err != nil {
		return nil, fmt.Errorf("task: %w", err)
	}
	c, err := connOf(connFD)
	if err != nil {
		return nil, err
	}
	w.conn = newConn(&resumed{c, w.Early})
	var file *os.File
	if w.HasLog {
		file = os.NewFile(logFD, "log")
	}
	w.log = newJournal(w.Task.Log, file)
	return w, nil
}

// connOf is the connection behind a descriptor.
func connOf(fd uintptr) (net.Conn, error) {
	f := os.NewFile(fd, "connection")
	defer f.Close()
	return net.FileConn(f)
}

// resumed is a connection of which something was read already.
type resumed struct {
	net.Conn
	early []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.early) > 0 {
		n := copy(p, r.early)
		r.early = r.early[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// run becomes who the module wants, and serves.
func (w *worker) run(ctx context.Context) outcome {
	defer w.conn.Close()
	if told, err := w.become(); err != nil {
		w.log.Line(err.Error())
		_ = w.conn.SetDeadline(time.Now().Add(lingerTime))
		_ = w.conn.say("@ERROR: %s\n", told)
		return outcome{Code: exitStart}
	}
	if err := w.conn.say("@RSYNCD: OK\n"); err != nil {
		return outcome{Code: exitSocket}
	}
	t := &transfer{conn: w.conn, module: w.Module, client: w.Client, log: w.log, env: os.Getenv, judge: w}
	return t.run(ctx)
}

// become takes on the root and the identity of the module. told is what the
// client hears of a failure.
func (w *worker) become() (told string, err error) {
	m := w.Module
	for _, root := range []string{m.Jail, m.Chroot} {
		if root == "" {
			continue
		}
		if err := syscall.Chroot(root); err != nil {
			return "chroot failed", fmt.Errorf("rsync: [Receiver] chroot(%q) failed: %s", root, output.Strerror(err))
		}
		if err := os.Chdir("/"); err != nil {
			return "chdir failed", fmt.Errorf("rsync: [Receiver] chdir / failed: %s", output.Strerror(err))
		}
	}
	if id := m.Identity; id != nil {
		if told, err := id.assume(); err != nil {
			return told, err
		}
	}
	if err := m.opens(); err != nil {
		return "chdir failed", fmt.Errorf("rsync: [Receiver] chdir %s failed: %s", m.Dir, output.Strerror(err))
	}
	if why := m.unsafe(); why != "" {
		return "daemon security issue -- contact admin", errors.New(why)
	}
	return "", nil
}

// assume makes the whole process run as id, for good. What it is already is left
// alone: each change stops all threads.
func (id *Identity) assume() (told string, err error) {
	if len(id.GIDs) > 0 {
		gid := id.GIDs[0]
		if groups, err := syscall.Getgroups(); err != nil || !slices.Equal(groups, id.GIDs) {
			if err := syscall.Setgroups(id.GIDs); err != nil {
				return "setgroups failed", fmt.Errorf("rsync: [Receiver] setgroups failed: %s", output.Strerror(err))
			}
		}
		if r, e, s := unix.Getresgid(); r != gid || e != gid || s != gid {
			if err := syscall.Setresgid(gid, gid, gid); err != nil {
				return "setgid failed", fmt.Errorf("rsync: [Receiver] setgid %d failed: %s", gid, output.Strerror(err))
			}
		}
	}
	if r, e, s := unix.Getresuid(); id.UID >= 0 && (r != id.UID || e != id.UID || s != id.UID) {
		if err := syscall.Setresuid(id.UID, id.UID, id.UID); err != nil {
			return "setuid failed", fmt.Errorf("rsync: [Receiver] setuid %d failed: %s", id.UID, output.Strerror(err))
		}
	}
	return "", nil
}

// wanted implements authority.
func (w *worker) wanted() bool { return w.Before }

// admit has the daemon judge a request.
func (w *worker) admit(q *request) error {
	_, err := w.ask(&Report{Words: q.words, Text: q.text})
	return err
}

// lookup has the daemon ask the name converter.
func (w *worker) lookup(question string) (string, error) { return w.ask(&Report{Question: question}) }

func (w *worker) ask(r *Report) (string, error) {
	if err := json.NewEncoder(w.control).Encode(r); err != nil {
		return "", err
	}
	var j Judgement
	if err := w.reports.Decode(&j); err != nil {
		return "", err
	}
	if j.Code != 0 {
		return "", failure{j.Code, j.Text}
	}
	return j.Text, nil
}
