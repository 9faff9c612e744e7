package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The protocol of a name converter (rsync-session 2.7): a line for each
// question, "uid N", "gid N", "usr NAME" or "grp NAME", and a line for each
// answer, which is empty if nobody is known.
const (
	askUser    = "uid "
	askGroup   = "gid "
	askUserID  = "usr "
	askGroupID = "grp "

	maxAnswer     = 1024 // bytes
	converterTime = 30 * time.Second
)

// errConverter ends a transfer whose converter does not answer.
var errConverter = failure{exitSocket, "Connection to name-converter failed."}

// judge is what the daemon knows for a transfer that runs elsewhere, or after it
// has given up its rights: whether a request may be served, and who users are.
// It is asked by one goroutine at a time.
type judge struct {
	ctx     context.Context
	hooks   *hooks
	request *request // that was let in

	cmd *exec.Cmd // the converter, once it was asked
	in  *net.UnixConn
	out *bufio.Reader
}

func (h *hooks) judge(ctx context.Context) *judge { return &judge{ctx: ctx, hooks: h} }

// wanted reports whether requests have to be shown.
func (j *judge) wanted() bool { return j.hooks.module.pre != "" || j.hooks.module.Converted }

// admit runs what decides about a request.
func (j *judge) admit(q *request) error {
	j.request = q
	return j.hooks.pre(j.ctx, q)
}

// lookup asks the name converter, which is started for the first question.
func (j *judge) lookup(question string) (string, error) {
	if j.request == nil || !j.hooks.module.Converted || !properQuestion(question) {
		return "", errConverter
	}
	if j.cmd == nil {
		if err := j.start(); err != nil {
			return "", errConverter
		}
	}
	if err := j.in.SetDeadline(time.Now().Add(converterTime)); err != nil {
		return "", errConverter
	}
	if _, err := io.WriteString(j.in, question+"\n"); err != nil {
		return "", errConverter
	}
	line, err := j.out.ReadSlice('\n')
	if err != nil {
		return "", errConverter
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// properQuestion reports whether a question is one line of the four kinds.
func properQuestion(text string) bool {
	for _, kind := range []string{askUser, askGroup, askUserID, askGroupID} {
		if rest, ok := strings.CutPrefix(text, kind); ok {
			return rest != "" && len(rest) <= maxAnswer && !strings.ContainsFunc(rest, isControl)
		}
	}
	return false
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// start starts the converter, with a socket for its input and output.
func (j *judge) start() error {
	cmd, err := j.hooks.prepare(context.WithoutCancel(j.ctx), j.hooks.module.converter, j.request.variables()...)
	if err != nil {
		return err
	}
	if cmd == nil {
		return errors.New("hooks are turned off")
	}
	mine, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if err := cmd.Start(); err != nil {
		mine.Close()
		return err
	}
	j.cmd, j.in, j.out = cmd, mine, bufio.NewReaderSize(mine, maxAnswer)
	return nil
}

// close ends the converter: it reads the end of its input, and is killed if it
// does not mind.
func (j *judge) close() {
	if j.cmd == nil {
		return
	}
	j.in.Close()
	kill := time.AfterFunc(hookGrace, func() { _ = j.cmd.Process.Kill() })
	defer kill.Stop()
	_ = j.cmd.Wait()
}

// directory is who a name converter knows. The first question that fails is told
// to fail.
type directory struct {
	ask  func(question string) (string, error)
	fail func(error)
	mu   sync.Mutex
}

func (d *directory) answer(question string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, err := d.ask(question)
	if err != nil {
		d.fail(err)
		return ""
	}
	return text
}

// name is an answer that is a name.
func (d *directory) name(question string) string {
	text := d.answer(question)
	if strings.ContainsFunc(text, isControl) {
		return ""
	}
	return text
}

// id is the answer to a question about a name.
func (d *directory) id(kind, name string) (uint32, bool) {
	if !properQuestion(kind + name) {
		return 0, false
	}
	n, err := strconv.ParseUint(d.answer(kind+name), 10, 32)
	return uint32(n), err == nil
}

func (d *directory) User(uid uint32) string {
	return d.name(askUser + strconv.FormatUint(uint64(uid), 10))
}
func (d *directory) Group(gid uint32) string {
	return d.name(askGroup + strconv.FormatUint(uint64(gid), 10))
}
func (d *directory) UserID(name string) (uint32, bool)  { return d.id(askUserID, name) }
func (d *directory) GroupID(name string) (uint32, bool) { return d.id(askGroupID, name) }
