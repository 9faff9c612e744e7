package rsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/daemon"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// where is what lines about the exit code name as their place.
const where = "lockstep(1)"

// rsync's exit codes, as far as a face decides them.
const (
	exitSyntax      = 1
	exitUnsupported = 4
	exitDiagnostics = 13
)

// Command is one run of rsync: its words, and the process around it.
type Command struct {
	Name     string   // argv[0]
	Words    []string // after it
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
}

// Main runs rsync under a name, with the words after it, and returns the exit
// code.
func Main(name string, args []string, in io.Reader, out, errs io.Writer) int {
	collectGarbage()
	if code, started := daemon.Work(); started {
		return code
	}
	ctx, release := catchSignals(context.Background())
	defer release()
	c := &Command{Name: name, Words: args, In: in, Out: out, Err: errs, Getenv: os.Getenv}
	return c.Run(ctx)
}

// Run does what the words ask for and returns the exit code.
func (c *Command) Run(ctx context.Context) int {
	set, err := option.Parse(option.Input{Words: c.Words, Getenv: c.Getenv, Aliases: c.aliases()})
	if err != nil {
		return c.refuse(err)
	}
	if set.Show != option.ShowNothing {
		return c.show(set)
	}
	if err := checkMethods(set); err != nil {
		return c.refuse(err)
	}
	switch {
	case set.DaemonWords != nil:
		return c.daemon(ctx, set)
	case set.Server:
		return c.serve(ctx, set)
	}
	return c.transfer(ctx, set)
}

// refuse prints what is wrong with the words.
func (c *Command) refuse(err error) int {
	var wrong *option.Error
	if !errors.As(err, &wrong) {
		wrong = &option.Error{Code: exitSyntax, Text: "rsync: " + err.Error(), Role: "client"}
	}
	for line := range strings.SplitSeq(wrong.Text, "\n") {
		fmt.Fprintf(c.Err, "%s\n", output.Escape(nil, line, charset(c.Getenv)))
	}
	fmt.Fprintln(c.Err, output.ExitLine(wrong.Code, where, wrong.Role))
	return wrong.Code
}

// show prints what is asked for instead of a transfer; a server's standard
// output is the connection, so it prints to the other.
func (c *Command) show(set *option.Set) int {
	to := c.Out
	if set.Server || set.Show == option.ShowUsage {
		to = c.Err
	}
	if _, err := io.WriteString(to, shown(set.Show)); err != nil {
		return exitDiagnostics
	}
	if set.Show != option.ShowUsage {
		return 0
	}
	role := roleOf(set)
	if roleOf(set) == "client" && !set.Sender && len(set.Args) == 0 && len(c.Words) > 0 {
		role = "Receiver" // all options were good
	}
	fmt.Fprintln(c.Err, output.ExitLine(exitSyntax, where, role))
	return exitSyntax
}

// roleOf is who speaks before it is clear which way files go.
func roleOf(set *option.Set) string {
	if set.Server {
		return "server"
	}
	return "client"
}

// checkMethods refuses names of checksums and compression that this build does
// not have.
func checkMethods(set *option.Set) error {
	unknown := func(what, name string) error {
		return &option.Error{Code: exitUnsupported, Text: fmt.Sprintf("unknown %s name: %s", what, name), Role: roleOf(set)}
	}
	if choice := set.ChecksumChoice; choice != "" {
		transfer, list, two := strings.Cut(choice, ",")
		if two && !knownChecksum(transfer) {
			return unknown("checksum", choice)
		}
		if !two {
			list = transfer
		}
		if !knownChecksum(list) {
			return unknown("checksum", list)
		}
	}
	if _, err := compress.Parse(set.CompressChoice); set.CompressChoice != "" && err != nil {
		return unknown("compress", set.CompressChoice)
	}
	return nil
}

func knownChecksum(name string) bool {
	_, err := checksum.Parse(name)
	return err == nil || strings.EqualFold(name, "auto")
}

// serve is the other end of somebody's command.
func (c *Command) serve(ctx context.Context, set *option.Set) int {
	role := "Receiver"
	if set.Sender {
		role = "sender"
	}
	var file io.Closer
	var talk output.Talk
	server := &session.Server{
		Opt: set, Words: c.Words, In: c.In, Out: c.Out, Stderr: c.Err, Getenv: c.Getenv,
		Log: func(opt *option.Set) output.Talk {
			log, opened := c.openLog(opt)
			if log == nil {
				return nil
			}
			file, talk = opened, output.NewPrinter(output.Config{Opt: opt, Log: log})
			return talk
		},
		Ready: func(opt *option.Set) error { return copyAs(opt, role) },
	}
	stats, err := server.Run(ctx)
	if talk != nil && stats != nil && err == nil {
		talk.Text(wire.CodeLog, stats.LogLine())
	}
	return closed(file, session.ExitCode(err))
}

// closed closes a file, if there is one, and returns the exit code: that of the
// run, unless it went well and the file did not.
func closed(file io.Closer, code int) int {
	if file == nil {
		return code
	}
	if err := file.Close(); err != nil && code == 0 {
		return exitDiagnostics
	}
	return code
}

// transfer is a client's run.
func (c *Command) transfer(ctx context.Context, set *option.Set) int {
	ops, err := set.Operands()
	if err != nil {
		return c.refuse(err)
	}
	if set.Show != option.ShowNothing {
		return c.show(set)
	}
	log, file := c.openLog(set)
	role := "sender"
	if ops.Pull {
		role = "Receiver"
	}
	printer := output.NewPrinter(output.Config{
		Opt: set, Out: c.Out, Err: c.Err, Log: log,
		Local: !ops.Push && !ops.Pull, Charset: charset(c.Getenv),
		Terminal:   isTerminal(c.Out),
		Background: func() bool { return inBackground(c.Out) },
	})
	client := &session.Client{
		Opt: set, Argv: append([]string{c.Name}, c.Words...), Talk: printer,
		Stdin: c.In, Stderr: c.Err, Getenv: c.Getenv, Password: c.askPassword,
		Ready: func(opt *option.Set) error { return copyAs(opt, role) },
	}
	_, err = client.Run(ctx)
	code := session.ExitCode(err)
	if err := printer.Close(); err != nil && code == 0 {
		code = exitDiagnostics
	}
	return closed(file, code)
}

// openLog opens --log-file. One that cannot be opened is said, and done without.
func (c *Command) openLog(set *option.Set) (*output.Log, io.Closer) {
	if set.LogFile == "" {
		return nil, nil
	}
	operator := walk.Operator{Insecure: set.InsecureLinks, Confine: set.ConfineRoot}
	file, err := operator.Open(set.LogFile, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_APPEND, 0o666)
	if err != nil {
		fmt.Fprintf(c.Err, "rsync: [%s] failed to open log-file %s: %s\n", roleOf(set),
			output.Escape(nil, set.LogFile, charset(c.Getenv)), output.Strerror(err))
		to := c.Out
		if set.Server { // where that is the connection
			to = c.Err
		}
		fmt.Fprintln(to, `Ignoring "log file" setting.`)
		return nil, nil
	}
	return output.NewLog(file, os.Getpid(), nil), file
}
