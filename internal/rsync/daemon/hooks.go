package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"lockstep/internal/rsync/daemon/conf"
)

// Bounds of hooks.
const (
	maxHookOutput = 4 << 10         // of a failed pre-xfer exec, for the client
	hookGrace     = 2 * time.Second // for what a hook left running to close its output
)

// hooks are the commands of a module around one transfer. They run as the
// daemon does, outside of any chroot.
type hooks struct {
	module *module
	vars   []string // of the environment, NAME=VALUE
	env    conf.Env
}

// metacharacters are those that a shell could act on (rsyncd.conf(5)).
const metacharacters = " \t\r\n\v\f'\"`$\\;&|<>()*?[]#!~{}"

// command follows the references of a hook. Values of a connection that a shell
// could act on are refused.
func (h *hooks) command(value string) (string, error) {
	for _, name := range conf.References(value, h.env) {
		if !strings.HasPrefix(name, "RSYNC_") {
			continue
		}
		v, _ := h.env(name)
		if strings.ContainsAny(v, metacharacters) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", fmt.Errorf("refusing to run shell hook: %%%s%% holds a shell metacharacter", name)
		}
	}
	return conf.Expand(value, h.env), nil
}

// prepared reports whether all hooks can be run.
func (h *hooks) prepared() error {
	for _, value := range []string{h.module.early, h.module.pre, h.module.post, h.module.converter} {
		if _, err := h.command(value); err != nil && !h.disabled() {
			return err
		}
	}
	return nil
}

// disabled reports whether the daemon's environment turns hooks off.
func (h *hooks) disabled() bool {
	_, off := os.LookupEnv("RSYNC_NO_XFER_EXEC")
	return off
}

// prepare makes a command of a hook; nil if there is none.
func (h *hooks) prepare(ctx context.Context, value string, vars ...string) (*exec.Cmd, error) {
	if value == "" || h.disabled() {
		return nil, nil
	}
	text, err := h.command(value)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("RSYNC_SHELL"), "/bin/sh"), "-c", text)
	cmd.Env = append(append(os.Environ(), h.vars...), vars...)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = hookGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: h.module.Jail}
	if h.module.Jail != "" {
		cmd.Dir = "/"
	}
	return cmd, nil
}

// early runs the early exec.
func (h *hooks) early(ctx context.Context, input []byte) error {
	cmd, err := h.prepare(ctx, h.module.early, "RSYNC_REQUEST=(NONE)")
	if cmd == nil || err != nil {
		return err
	}
	cmd.Stdin = bytes.NewReader(input)
	return finished(cmd.Run())
}

// variables are what a request adds to the environment.
func (q *request) variables() []string {
	vars := []string{"RSYNC_REQUEST=" + cmp.Or(q.text, "(NONE)"), "RSYNC_ARG0=rsyncd"}
	for i, word := range q.words {
		vars = append(vars, fmt.Sprintf("RSYNC_ARG%d=%s", i+1, word))
	}
	return vars
}

// pre runs the pre-xfer exec. The text is for the client.
func (h *hooks) pre(ctx context.Context, q *request) error {
	cmd, err := h.prepare(ctx, h.module.pre, q.variables()...)
	if cmd == nil || err != nil {
		return err
	}
	out := &limited{left: maxHookOutput}
	cmd.Stdout = out
	err = finished(cmd.Run())
	if err == nil {
		return nil
	}
	status := err.Error()
	if n, ok := rawStatus(cmd); ok {
		status = fmt.Sprint(n)
	}
	return failuref(exitUnsupported, "%s", strings.TrimSuffix("pre-xfer exec returned failure ("+status+"):\n"+out.String(), "\n"))
}

// post runs the post-xfer exec. code is the exit code of the transfer, -1 if its
// process was killed.
func (h *hooks) post(ctx context.Context, code int) error {
	const shift = 8
	raw := code << shift
	if code < 0 {
		raw = int(syscall.SIGKILL)
	}
	cmd, err := h.prepare(ctx, h.module.post, fmt.Sprintf("RSYNC_EXIT_STATUS=%d", code), fmt.Sprintf("RSYNC_RAW_STATUS=%d", raw))
	if cmd == nil || err != nil {
		return err
	}
	return finished(cmd.Run())
}

// finished is the error of a command; that something it started still has its
// output is none.
func finished(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

func rawStatus(cmd *exec.Cmd) (int, bool) {
	if cmd.ProcessState == nil {
		return 0, false
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return int(status), ok
}

// limited keeps the beginning of what is written.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	_, _ = l.Buffer.Write(p[:n])
	return len(p), nil
}
