package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// Client is one command of rsync as its user started it: it finds out what its
// arguments mean, reaches the other end and runs our half of the transfer.
type Client struct {
	Opt  *option.Set // parsed; Opt.Args are the sources and the destination
	Argv []string    // the words as given, argv[0] first: the script of --write-batch repeats them

	// Talk shows everything that is said: what roles and peer say, modules,
	// the message of the day, statistics and, last, the line of the exit code.
	Talk output.Talk

	Stdin  io.Reader           // for what an option reads from "-"
	Stderr io.Writer           // of the remote shell
	Getenv func(string) string // nil is os.Getenv

	// Password asks the user for a password when neither an option nor the
	// environment has it; nil gives none.
	Password func(prompt string) (string, error)

	// Ready is called once the other end is reached, before any source or
	// destination is looked at; its error ends the run. May be nil.
	Ready func(opt *option.Set) error

	// Dial replaces the TCP dialler, if set.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Run does it. The error is nil or an *Error, about which everything has been
// said; the caller only exits with its Code. ctx ends with the cause
// ErrSignal for the exit code 20.
func (c *Client) Run(ctx context.Context) (*output.Stats, error) {
	r := &errand{Client: c, begun: time.Now(), talk: &witness{Talk: c.Talk}, role: "client"}
	if r.Getenv == nil {
		r.Getenv = os.Getenv
	}
	if !c.Opt.StopAt.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, c.Opt.StopAt, errStop)
		defer cancel()
	}
	return r.run(ctx)
}

// errStop is the end by --stop-at.
var errStop error = &fatal{ExitTimeout, "stopping at requested limit"}

// errand is one Run of a Client.
type errand struct {
	*Client
	begun   time.Time
	talk    *witness
	role    string // in the line of the exit code
	child   int    // the process of a remote shell, 0 without one
	ops     *option.Operands
	rules   *filter.Rules
	op      operator
	charset *charset // of --iconv

	recording *batchWriter  // --write-batch; nil without
	names     io.ReadCloser // of --files-from, if the list is here
}

func (r *errand) run(ctx context.Context) (*output.Stats, error) {
	err := r.prepare()
	if err != nil {
		return nil, r.refuse(err)
	}
	switch {
	case r.Opt.ReadBatch != "":
		return r.batch(ctx)
	case r.ops.Push || r.ops.Pull:
		return r.remote(ctx)
	}
	return r.local(ctx)
}

// prepare reads what the command line names, before anything is connected.
func (r *errand) prepare() error {
	r.op = operator{opt: r.Opt, stdin: r.Stdin, env: r.Getenv}
	ops, misused := r.Opt.Operands()
	var err error
	if r.rules, err = r.op.rules(misused == nil && ops.Pull); err != nil {
		return err
	}
	if _, _, _, err = chosenSums(r.Opt.ChecksumChoice); err != nil {
		return err
	}
	if _, _, err = chosenMethod(r.Opt); err != nil {
		return err
	}
	if r.ops = ops; misused != nil {
		return misused
	}
	if r.Opt.FilesFrom != "" && r.Opt.FilesFromHost == "" {
		if r.names, err = (&end{opt: r.Opt, op: r.op}).openNames(); err != nil {
			return err
		}
	}
	r.role = "Receiver"
	if r.recording, err = r.createBatch(); err != nil {
		return err
	}
	if !r.ops.Pull {
		r.role = "sender"
	}
	r.charset, err = iconvOf(r.Opt, false, r.Getenv)
	return err
}

// refuse says why nothing was begun.
func (r *errand) refuse(err error) error {
	role := r.role
	var bad *option.Error
	if errors.As(err, &bad) && bad.Role != "" {
		role = bad.Role
	}
	return r.refuseAs(role, err)
}

// refuseAs is refuse in somebody's name.
func (r *errand) refuseAs(role string, err error) error {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		r.talk.Text(wire.CodeError, line)
	}
	code := exitCode(transfer, err)
	r.talk.Text(wire.CodeError, ExitLine(code, role))
	r.exits(role, code, code)
	return ended(code, ready, err)
}

// fill gives an end of a session what this errand has.
func (r *errand) fill(e *end) {
	e.op, e.rules, e.talk, e.charset = r.op, r.rules, r.talk, r.charset
	if !e.server {
		e.names = r.names
	}
}

func (r *errand) ready() error {
	if r.Ready == nil {
		return nil
	}
	return r.Ready(r.Opt)
}

// record prepares the batch file that this errand writes, if it does.
func (r *errand) record(e *end) (*batchWriter, error) {
	return r.recording, r.writeScript(r.recording, e.protocol)
}

// finish says what came of the transfer. code is that of the other half, a
// remote shell or the server of a local copy.
func (r *errand) finish(e *end, stats *output.Stats, err error, other int) (*output.Stats, error) {
	if stats != nil {
		stats.Elapsed = time.Since(r.begun)
	}
	if bad := r.recording.close(); err == nil {
		err = bad
	}
	if err != nil {
		code := max(e.giveUp(err), 1)
		r.exits(e.role, code, code)
		return stats, ended(code, transfer, err)
	}
	r.awaits(e)
	if stats != nil {
		for _, line := range stats.Lines(r.Opt) {
			if line == "" { // which sets blocks apart on a terminal
				r.talk.Text(wire.CodeClient, "\n")
				continue
			}
			r.talk.Text(wire.CodeInfo, line)
		}
	}
	code := cmp.Or(other, e.verdict())
	if stats != nil && totalsLogged(code, e.sends(), r.Opt.Info[option.InfoStats] > 0) {
		r.talk.Text(wire.CodeLog, stats.LogLine())
	}
	if code != 0 {
		grade := wire.CodeError
		if code == ExitVanished {
			grade = wire.CodeWarning
		}
		r.talk.Text(wire.CodeClient, "") // the last line of progress is not the error's
		r.talk.Text(grade, ExitLine(code, e.role))
	}
	r.exits(e.role, 0, code)
	return stats, ended(code, goodbye, nil)
}

// totalsLogged reports whether the log gets its line of totals: one that has
// those of the terminal needs none, but a sender with errors repeats them, and
// a receiver with errors has none.
func totalsLogged(code int, sends, shown bool) bool {
	if code != 0 {
		return sends
	}
	return !shown
}

// remote does a push or a pull.
func (r *errand) remote(ctx context.Context) (*output.Stats, error) {
	ep, err := r.endpoint()
	if err != nil {
		return nil, r.refuse(err)
	}
	paths, err := r.paths(ep)
	if err != nil {
		return nil, r.refuse(err)
	}
	if ep.Daemon && !ep.List {
		ep.OnGreeted = func(protocol int) {
			ep.trace(option.DebugCmd, shown("sending daemon args: ", serverWords(r.Opt, protocol, r.ops.Push, paths)))
		}
	}
	r.tellRemote(ep, paths)
	conn, err := Connect(ctx, *ep)
	if errors.Is(err, errListed) {
		return nil, nil
	}
	if err != nil {
		return nil, r.unconnected(ctx, ep, err)
	}
	defer conn.Close()
	e, err := conn.open(ctx, r.Opt, r.ops.Push, paths, r.talk)
	if err != nil {
		return nil, r.unconnected(ctx, ep, err)
	}
	e.role = r.role
	if !ep.Daemon {
		r.child = conn.child()
	}
	r.fill(e)
	if err := r.ready(); err != nil {
		return r.finish(e, nil, err, 0)
	}
	e.opt = settle(e.opt, &e.agreement)
	if e.batch, err = r.record(e); err != nil {
		return r.finish(e, nil, err, 0)
	}
	defer e.endWith(ctx)()
	defer e.pulse.stop()
	defer e.pulse.limitSilence()()
	stats, err := r.transfer(ctx, e)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return r.finish(e, stats, nil, conn.farewell())
	}
	stats, err = r.finish(e, stats, conn.withShell(err), 0)
	conn.hangUp()
	return stats, err
}

// transfer runs our half.
func (r *errand) transfer(ctx context.Context, e *end) (*output.Stats, error) {
	args := []string{r.ops.Dest}
	if r.ops.Push {
		args = r.ops.Sources
		go e.pulse.keepAlive()
	} else if r.Opt.OldArgs == 0 && r.Opt.FilesFromHost == "" {
		e.wanted = newWanted(e, r.ops.Sources)
	}
	if err := e.beginClient(); err != nil {
		return nil, err
	}
	e.w.Flush()
	return e.run(ctx, args)
}

// paths are the operands at the other side, quoted as the connection needs it.
func (r *errand) paths(ep *Endpoint) ([]string, error) {
	list := r.ops.Sources
	if r.ops.Push {
		list = []string{r.ops.Dest}
	}
	paths := make([]string, len(list))
	for i, path := range list {
		if !ep.Daemon {
			paths[i] = r.Opt.QuotePath(path, r.ops.Pull)
			continue
		}
		paths[i] = daemonArg(ep.Module, path, r.Opt.OldArgs > 0)
	}
	return paths, nil
}

// daemonArg is a path operand, which begins with the module, as a daemon takes
// it (rsync-session 2.5).
func daemonArg(module, path string, old bool) string {
	switch {
	case path == "":
		path = module + "/"
	case path == module:
		path += "/"
	}
	if !old {
		path = strings.ReplaceAll(path, " "+module+"/", "[ ]"+module+"/")
	}
	return option.PlainPath(path)
}

// unconnected says why there is no session.
func (r *errand) unconnected(ctx context.Context, ep *Endpoint, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	code := ExitCode(err)
	var spawn *spawnError
	if errors.As(err, &spawn) {
		code = ExitIPC
		if errors.Is(spawn.err, exec.ErrNotFound) { // which has no number
			spawn.err = syscall.ENOENT
		}
		err = fatalf(code, "rsync: [%s] Failed to exec %s: %s", r.role, spawn.program, output.Strerror(spawn.err))
	}
	for _, line := range r.connectWords(ep, err) {
		r.talk.Text(wire.CodeError, line)
	}
	r.talk.Text(wire.CodeError, ExitLine(code, r.role))
	r.exits(r.role, code, code)
	return ended(code, dialling, err)
}

// connectWords are the lines about a session that did not come about.
func (r *errand) connectWords(ep *Endpoint, err error) []string {
	var e *Error
	if !errors.As(err, &e) {
		return (&end{role: r.role, opt: r.Opt}).words(err)
	}
	lines := e.Messages
	var bad *greetingError
	var link *linkError
	switch cause := e.Err; {
	case cause == nil || errors.Is(cause, ErrSignal) || errors.Is(cause, context.Canceled):
		return lines
	case errors.As(cause, &bad) && bad.why == noDigests:
		return append(lines, "rsync: the server omitted the digest name list: "+bad.line)
	case errors.As(cause, &bad) && bad.why == noSubversion:
		return append(lines, "rsync: the server omitted the subprotocol value: "+bad.line)
	case errors.As(cause, &bad):
		return append(lines, fmt.Sprintf("rsync: server sent \"%s\" rather than greeting", bad.line))
	case e.Stage == dialling.String():
		return append(lines, connectWords(ep, r.role, cause))
	case errors.As(cause, &link) && e.Stage == greeting.String():
		return append(lines, fmt.Sprintf("rsync: [%s] safe_read failed to read 1 bytes: %s", r.role, output.Strerror(link.err)))
	case errors.Is(cause, io.EOF) && errors.As(cause, new(startupError)):
		return append(lines, "rsync: didn't get server startup line")
	case errors.Is(cause, io.EOF) && e.Stage == greeting.String():
		return append(lines, "rsync: did not see server greeting")
	}
	return append(lines, (&end{role: r.role, opt: r.Opt}).words(e.Err)...)
}
