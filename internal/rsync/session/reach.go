package session

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/secure"
	"lockstep/internal/rsync/wire"
)

// endpoint is where the operands lead, with what options and environment say
// about the way there.
func (r *errand) endpoint() (*Endpoint, error) {
	opt, remote := r.Opt, r.ops.Remote
	ep := &Endpoint{
		Host: remote.Host, Port: remote.Port, User: remote.User, HasUser: remote.HasUser, RsyncPath: opt.RsyncPath,
		Protocol: min(opt.Protocol, MaxProtocol), ConnectTimeout: time.Duration(max(opt.ConTimeout, 0)) * time.Second, GreetTimeout: -1,
		IPv: opt.IPv, Local: opt.Address, Sockopts: opt.Sockopts, Stderr: r.Stderr, Getenv: r.Getenv, Dial: r.Dial,
	}
	ep.OnTrace = r.trace
	command := opt.Rsh
	if remote.Kind == option.Shell {
		if command == "" {
			command = r.Getenv("RSYNC_RSH")
		}
		if command == "" {
			command = "ssh"
		}
	}
	if command != "" {
		words, err := SplitShell(command)
		if err != nil {
			return nil, fatalf(ExitSyntax, "%s", err)
		}
		ep.Shell = words
	}
	if remote.Kind == option.Daemon {
		return ep, r.daemon(ep)
	}
	return ep, nil
}

// trace shows what is being opened, as far as --debug asks for it.
func (r *errand) trace(what option.Debug, line string) {
	if r.Opt.Debugs(what, 1) {
		r.talk.Text(wire.CodeClient, line+"\n")
	}
}

// debugWords is the level of --debug=CMD that has each word of a command.
const debugWords = 2

// tellCommand shows what command, "" for none, leads to which path, in its words.
func (r *errand) tellCommand(command, host, user, path string, words []string) {
	if !r.Opt.Debugs(option.DebugCmd, debugWords) {
		return
	}
	null := func(s string) string { return cmp.Or(s, "<NULL>") }
	r.trace(option.DebugCmd, fmt.Sprintf("cmd=%s machine=%s user=%s path=%s", null(command), null(host), null(user), path))
	var line strings.Builder
	for i, word := range words {
		fmt.Fprintf(&line, "cmd[%d]=%s ", i, word)
	}
	r.trace(option.DebugCmd, line.String())
}

// tellRemote is tellCommand for the server that a remote shell starts.
func (r *errand) tellRemote(ep *Endpoint, paths []string) {
	if ep.Daemon {
		return
	}
	words := serverWords(r.Opt, ep.protocol(), r.ops.Push, paths)
	argv := ep.shellArgv(append([]string{ep.rsyncPath()}, words...))
	r.tellCommand(strings.Join(ep.Shell, " "), ep.Host, ep.User, paths[0], argv)
}

// daemon fills in what concerns a daemon.
func (r *errand) daemon(ep *Endpoint) error {
	opt := r.Opt
	if ep.Port == 0 {
		ep.Port = opt.Port
	}
	ep.Daemon = true
	ep.Proxy, ep.Program, ep.Sh = r.Getenv("RSYNC_PROXY"), r.Getenv("RSYNC_CONNECT_PROG"), r.Getenv("RSYNC_SHELL")
	for _, name := range unknownSockopts(opt.Sockopts) {
		r.talk.Text(wire.CodeError, "Unknown socket option "+name)
	}
	if r.ops.Remote.TLS || opt.TLS {
		ep.TLS = &secure.Client{CA: opt.TLSCA, Cert: opt.TLSCert, Key: opt.TLSKey, Name: opt.TLSName}
	}
	path := r.ops.Remote.Path
	if strings.HasPrefix(path, "/") {
		how := " not a /"
		if len(ep.Shell) > 0 {
			how = ""
		}
		return fatalf(ExitStartClient, "ERROR: The remote path must start with a module name%s", how)
	}
	ep.Module, _, _ = strings.Cut(path, "/")
	ep.List = ep.Module == ""
	if strings.HasPrefix(ep.Module, "#") || strings.ContainsAny(ep.Module, "\r\n") {
		return fatalf(ExitSyntax, "ERROR: The remote path must start with a module name")
	}
	if !opt.NoMotd {
		ep.OnText = func(line string) { r.talk.Text(wire.CodeInfo, line) }
	} else {
		ep.OnText = func(string) {}
	}
	ep.Password = func() (string, error) { return r.password(ep) }
	if opt.EarlyInput == "" {
		return nil
	}
	data, err := r.readEarly()
	ep.EarlyInput = data
	return err
}

// readEarly reads the file of --early-input.
func (r *errand) readEarly() ([]byte, error) {
	f, err := r.op.open(r.Opt.EarlyInput)
	if err != nil {
		return nil, fatalf(ExitStartClient, "%srsync: [%s] failed to open %s: %s", untrusted(err), r.role, r.Opt.EarlyInput, output.Strerror(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEarlyInput+1))
	if err == nil && len(data) > maxEarlyInput {
		err = fatalf(ExitStartClient, "%s is > %d bytes.", r.Opt.EarlyInput, maxEarlyInput)
	}
	return data, err
}

// maxPassword bounds what is read of a password file, in bytes.
const maxPassword = 4096

// password is what the daemon is answered with.
func (r *errand) password(ep *Endpoint) (string, error) {
	if file := r.Opt.PasswordFile; file != "" {
		return r.filePassword(file)
	}
	if p := r.Getenv("RSYNC_PASSWORD"); p != "" {
		return p, nil
	}
	if r.Password == nil {
		return "", errors.New("no password was given")
	}
	return r.Password("Password: ")
}

// filePassword reads the first line of a password file, which only its owner
// may be able to read or change.
func (r *errand) filePassword(name string) (string, error) {
	var from io.Reader = r.Stdin
	if name != "-" {
		f, err := (walk.Operator{Insecure: r.Opt.InsecureLinks}).Open(name, os.O_RDONLY, 0)
		if err != nil {
			return "", fatalf(ExitSyntax, "%srsync: [%s] could not open password file %s: %s", untrusted(err), r.role, name, output.Strerror(err))
		}
		defer f.Close()
		if err := judgePassword(f); err != nil {
			return "", err
		}
		from = f
	}
	if from == nil {
		from = strings.NewReader("")
	}
	line, err := ReadPassword(from)
	if err == nil && line == "" {
		err = fatalf(ExitSyntax, "ERROR: failed to read a password from %s", name)
	}
	return line, err
}

// ReadPassword reads the first line that is not empty, up to a CR, an LF or a
// NUL byte; "" if there is none.
func ReadPassword(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPassword))
	if err != nil {
		return "", err
	}
	line := strings.TrimLeft(string(data), "\r\n")
	if i := strings.IndexAny(line, "\r\n\x00"); i >= 0 {
		line = line[:i]
	}
	return line, nil
}

// judgePassword refuses files that others can read or change.
func judgePassword(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const others = 0o006 // read and write
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Perm()&others != 0:
		return fatalf(ExitSyntax, "ERROR: password file must not be other-accessible")
	case ok && os.Geteuid() == 0 && stat.Uid != 0:
		return fatalf(ExitSyntax, "ERROR: password file must be owned by root when running as root")
	}
	return nil
}

// plainReason is reason without the number.
func plainReason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return output.Sentence(errno)
	}
	return fmt.Sprint(err)
}
