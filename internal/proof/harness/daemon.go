package harness

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// User and Password are what the modules of a Daemon ask for.
const (
	User     = "liang"
	Password = "123456"
)

// DaemonConfig describes one rsync daemon with one module.
type DaemonConfig struct {
	Dir    string   // for its own files: configuration, secrets, log; must exist
	Module string   // the module's name, "web1" by default
	Path   string   // the module's directory; must exist
	Listen string   // host:port, 127.0.0.1 and a free port by default
	Global []string // more lines for the global section
	Lines  []string // more lines for the module's section
	Other  []string // whole sections of further modules, at the end
	NoAuth bool     // leave the user and password out

	Program string // what is started with --daemon, the rsync in the path by default
}

// Daemon is an rsync --daemon, the real one unless another program is given.
type Daemon struct {
	DaemonConfig
	Port         int
	PasswordFile string // holds Password, mode 600
	Log          string
	proc         *Process
	stopped      bool
}

// classicConfig is the configuration that lockstep must run against unchanged,
// the misspelt line included; module name, port, paths and addresses vary.
const classicConfig = changeUser + `use chroot = no
max connections = 10
stric mode = yes
pid file = %[1]s/rsyncd.pid
lock file = %[1]s/rsync.lock
log file = %[1]s/rsyncd.log
%[2]s
[%[3]s]
path = %[4]s
comment = %[3]s file
ignore errors
read only = no
write only = no
hosts allow = %[5]s
hosts deny = *
list = false
%[6]s
`

const changeUser = "uid = nobody\ngid = nobody\n"

// StartDaemon writes the files of a daemon and starts it. It returns once the
// daemon greets.
func StartDaemon(config DaemonConfig) (*Daemon, error) {
	if config.Module == "" {
		config.Module = "web1"
	}
	d := &Daemon{DaemonConfig: config, PasswordFile: filepath.Join(config.Dir, "temp.pass"), Log: filepath.Join(config.Dir, "rsyncd.log")}
	if err := d.files(); err != nil {
		return nil, fmt.Errorf("daemon %s: %w", d.Module, err)
	}
	if d.Listen == "" {
		port, err := FreePort()
		if err != nil {
			return nil, fmt.Errorf("daemon %s: %w", d.Module, err)
		}
		d.Listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	_, port, err := net.SplitHostPort(d.Listen)
	if err != nil {
		return nil, fmt.Errorf("daemon %s: %w", d.Module, err)
	}
	if d.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("daemon %s: %w", d.Module, err)
	}
	return d, d.Start()
}

func (d *Daemon) files() error {
	lines := append([]string(nil), d.Lines...)
	config := classicConfig
	if os.Geteuid() == 0 {
		lines = append(lines, "uid = root", "gid = root")
	} else {
		// A daemon that cannot change its user must not be told to.
		config = strings.TrimPrefix(config, changeUser)
	}
	secrets := filepath.Join(d.Dir, "web.pass")
	if !d.NoAuth {
		lines = append(lines, "auth users = "+User, "secrets file = "+secrets)
	}
	text := fmt.Sprintf(config, d.Dir, strings.Join(d.Global, "\n"), d.Module, d.Path, "127.0.0.0/8", strings.Join(append(lines, d.Other...), "\n"))
	return errors.Join(
		os.WriteFile(filepath.Join(d.Dir, "rsyncd.conf"), []byte(text), 0o644),
		os.WriteFile(secrets, []byte(User+":"+Password+"\n"), 0o600),
		os.WriteFile(d.PasswordFile, []byte(Password+"\n"), 0o600),
	)
}

// Start starts a daemon that was stopped or crashed, with the same port.
func (d *Daemon) Start() error {
	host, _, _ := net.SplitHostPort(d.Listen)
	cmd := exec.Command(cmp.Or(d.Program, "rsync"), "--daemon", "--no-detach", "--config", filepath.Join(d.Dir, "rsyncd.conf"),
		"--address", host, "--port", strconv.Itoa(d.Port))
	_ = os.Remove(filepath.Join(d.Dir, "rsyncd.pid")) // one left by a crash stops it from starting
	proc, err := Start("rsync daemon "+d.Module, cmd, nil)
	if err != nil {
		return err
	}
	d.proc = proc
	if err := Poll(Patience, "the daemon greets", func() bool { return !proc.Running() || d.greets() }); err != nil {
		return err
	}
	if !proc.Running() {
		log, _ := os.ReadFile(d.Log)
		return fmt.Errorf("rsync daemon %s ended at once, %v\n%s\n%s", d.Module, proc.cmd.ProcessState, proc.Tail(20), log)
	}
	return nil
}

func (d *Daemon) greets() bool {
	conn, err := net.DialTimeout("tcp", d.Listen, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 8)
	n, err := conn.Read(buf)
	return err == nil && strings.HasPrefix(string(buf[:n]), "@RSYNCD:")
}

// URL is the module as a TARGET argument.
func (d *Daemon) URL() string {
	user := ""
	if !d.NoAuth {
		user = User + "@"
	}
	return fmt.Sprintf("rsync://%s%s/%s", user, d.Listen, d.Module)
}

// Freeze stops the daemon and its children with SIGSTOP: connections are
// taken by the kernel, and nothing answers.
func (d *Daemon) Freeze() error {
	d.stopped = true
	return d.proc.SignalGroup(syscall.SIGSTOP)
}

// FreezeListener stops the process that takes connections; those that were
// taken are served.
func (d *Daemon) FreezeListener() error {
	d.stopped = true
	return syscall.Kill(d.proc.Pid(), syscall.SIGSTOP)
}

// WaitServing waits until the daemon has taken a connection that is open.
func (d *Daemon) WaitServing(limit time.Duration) error {
	return Poll(limit, "the daemon has a connection", func() bool {
		table, _ := os.ReadFile("/proc/net/tcp")
		for line := range strings.Lines(string(table)) {
			// The fields are: number, local and remote address, state, ..., inode,
			// which is 0 until the connection has been taken.
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", d.Port)) && f[3] == "01" && f[9] != "0" {
				return true
			}
		}
		return false
	})
}

// Thaw lets a frozen daemon go on.
func (d *Daemon) Thaw() error {
	d.stopped = false
	return d.proc.SignalGroup(syscall.SIGCONT)
}

// Crash kills the daemon and its children at once.
func (d *Daemon) Crash() error { return d.proc.Crash() }

// Pid is the daemon's process and group id.
func (d *Daemon) Pid() int { return d.proc.Pid() }

// End ends the daemon and its children.
func (d *Daemon) End() {
	if d.stopped {
		_ = d.Thaw()
	}
	d.proc.End()
}

// LogTail is the end of the daemon's own log.
func (d *Daemon) LogTail() string {
	log, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("--- log of daemon %s\n%s---", d.Module, log[max(0, len(log)-3000):])
}
