package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Transport is how the two ends of a Transfer are connected.
type Transport int

const (
	Local      Transport = iota // one program copies
	ShellPush                   // the client sends to a server at the end of a remote shell
	ShellPull                   // the client receives from one
	DaemonPush                  // the client sends to a daemon
	DaemonPull                  // the client receives from one
)

// Transports are all of them.
var Transports = []Transport{Local, ShellPush, ShellPull, DaemonPush, DaemonPull}

func (t Transport) String() string {
	return [...]string{"local copy", "push over a shell", "pull over a shell", "push to a daemon", "pull from a daemon"}[t]
}

// Shell reports whether the ends are connected by a remote shell.
func (t Transport) Shell() bool { return t == ShellPush || t == ShellPull }

// Daemon reports whether the other end is a daemon.
func (t Transport) Daemon() bool { return t == DaemonPush || t == DaemonPull }

// Pull reports whether the client receives.
func (t Transport) Pull() bool { return t == ShellPull || t == DaemonPull }

// Transfer is one run of an rsync between two places in one directory, its
// world. The client works in the world, and the server at the end of a shell
// begins there.
type Transfer struct {
	Client, Server string // the programs; a daemon runs already
	Via            Transport
	World          string
	Args           []string // options; $W in them is the world, $B its last name, $PORT the daemon's, $T its directory
	From           []string // sources, relative to the world
	To             string   // destination, relative to the world; "-" for none
	Env            []string
	Stdin          string // what the client reads
	Shell          *Shell // for transports over a shell
	Daemon         *Daemon
	Limit          time.Duration // 30 s by default
	Kill           time.Duration // if positive: KillWith is sent after this time
	KillWith       syscall.Signal
	KillOnce       func() bool   // if not nil: KillWith is sent as soon as this holds
	KillGroup      bool          // to all processes, not to the client alone
	Started        func(pid int) // if not nil, called once the client runs, with its process and group id
}

// Outcome is what a transfer said and used.
type Outcome struct {
	Code     int // -1: it did not end by itself within the limit, or by a signal
	TimedOut bool
	Out, Err string
	Took     time.Duration
	CPU      time.Duration // of the client and the children that it waited for
}

// Words is the command line.
func (t *Transfer) Words() []string {
	words := []string{t.Client}
	for _, arg := range t.Args {
		arg = strings.ReplaceAll(arg, "$W", t.World)
		arg = strings.ReplaceAll(arg, "$B", filepath.Base(t.World))
		if t.Shell != nil {
			arg = strings.ReplaceAll(arg, "$S", t.Shell.Path)
		}
		if t.Daemon != nil {
			arg = strings.ReplaceAll(arg, "$PORT", strconv.Itoa(t.Daemon.Port))
			arg = strings.ReplaceAll(arg, "$T", t.Daemon.Dir)
		}
		words = append(words, arg)
	}
	prefix := ""
	switch {
	case t.Via.Shell():
		words = append(words, "-e", t.Shell.Path, "--rsync-path="+t.Server)
		prefix = "host:"
	case t.Via.Daemon():
		words = append(words, "--port="+strconv.Itoa(t.Daemon.Port))
		prefix = "127.0.0.1::" + t.Daemon.Module + "/" + filepath.Base(t.World) + "/" + t.anchor()
	}
	for _, from := range t.From {
		if t.Via.Pull() {
			from = prefix + from
		}
		words = append(words, from)
	}
	switch {
	case t.To == "-":
	case t.Via != Local && !t.Via.Pull():
		words = append(words, prefix+t.To)
	default:
		words = append(words, t.To)
	}
	return words
}

// anchor is what keeps the world's own directory out of names that are sent
// with the path they were asked for.
func (t *Transfer) anchor() string {
	relative := func(arg string) bool {
		return arg == "--relative" || strings.HasPrefix(arg, "--files-from") ||
			strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && strings.Contains(arg, "R")
	}
	if t.Via.Pull() && slices.ContainsFunc(t.Args, relative) && !strings.Contains(strings.Join(t.From, " "), "/./") {
		return "./"
	}
	return ""
}

func (t *Transfer) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.World, "USER=" + User, "LC_ALL=C.UTF-8", "TZ=UTC",
		ShellHomeVar + "=" + t.World,
	}
	for _, e := range t.Env {
		e = strings.ReplaceAll(e, "$W", t.World)
		if t.Daemon != nil {
			e = strings.ReplaceAll(e, "$T", t.Daemon.Dir)
		}
		env = append(env, e) // the last of several counts
	}
	return env
}

// Run runs the transfer to its end. An error says that it could not be tried.
func (t *Transfer) Run() (Outcome, error) {
	words := t.Words()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = t.World, t.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if t.Stdin != "" {
		cmd.Stdin = strings.NewReader(t.Stdin)
	}
	// What a server that outlives its client still writes must not hold us up.
	cmd.WaitDelay = 2 * time.Second
	begin := time.Now()
	if err := launch(cmd); err != nil {
		return Outcome{}, fmt.Errorf("run %s: %w", words[0], err)
	}
	if t.Started != nil {
		t.Started(cmd.Process.Pid)
	}
	ended := make(chan struct{})
	timedOut := make(chan bool, 1)
	go func() { timedOut <- t.watch(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	took := time.Since(begin)
	close(ended)
	o := Outcome{Code: cmd.ProcessState.ExitCode(), TimedOut: <-timedOut, Out: out.String(), Err: errs.String(), Took: took}
	o.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return o, err
	}
	return o, nil
}

// watch sends what is to be sent while the transfer runs, and ends the whole
// group when it takes too long, which it reports.
func (t *Transfer) watch(pid int, ended <-chan struct{}) bool {
	limit := t.Limit
	if limit == 0 {
		limit = 30 * time.Second
	}
	deadline := time.After(limit)
	var kill, look <-chan time.Time
	switch {
	case t.KillOnce != nil:
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		look = tick.C
	case t.Kill > 0:
		kill = time.After(t.Kill)
	}
	for {
		select {
		case <-look:
			if t.KillOnce() {
				look, kill = nil, time.After(0)
			}
		case <-ended:
			t.linger(pid)
			return false
		case <-kill:
			kill = nil
			if t.KillGroup {
				_ = syscall.Kill(-pid, t.KillWith)
			} else {
				_ = syscall.Kill(pid, t.KillWith)
			}
		case <-deadline:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			return true
		}
	}
}

// linger gives a server that outlives its client the time to tidy up, if the
// client was killed in a way that lets it, and ends it then.
func (t *Transfer) linger(pid int) {
	gone := func() bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }
	if (t.Kill > 0 || t.KillOnce != nil) && t.KillWith != syscall.SIGKILL {
		_ = Poll(5*time.Second, "the server ends", gone)
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	_ = Poll(5*time.Second, "the server is gone", gone)
}
