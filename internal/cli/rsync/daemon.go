package rsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"lockstep/internal/ops/config"
	"lockstep/internal/ops/report"
	"lockstep/internal/rsync/daemon"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/secure"
)

// detachedVar tells a daemon that it runs in the background; its third
// descriptor is where it tells that it listens, or why it does not.
const detachedVar = "LOCKSTEP_RSYNCD_DETACHED"

// readyFD is that descriptor.
const readyFD = 3

// listening is what it tells.
const listening = "listening"

// exitSocket is rsync's code for trouble with a socket.
const exitSocket = 10

// daemon runs `rsync --daemon`, in the way in which it was started.
func (c *Command) daemon(ctx context.Context, set *option.Set) int {
	words := set.DaemonWords
	config := words.Config
	if config == "" && set.Server && os.Geteuid() != 0 {
		config = "rsyncd.conf" // in the directory that a remote shell begins in
	}
	options := daemon.Options{Config: config, Params: words.Params, LogFile: words.LogFile, BwLimit: words.BwLimit, JSON: words.LogJSON}
	if words.HasLogFormat {
		options.LogFormat = &words.LogFormat
	}
	server := daemon.New(options)
	in, isFile := c.In.(*os.File)
	out, outIsFile := c.Out.(*os.File)
	inetd := !set.Server && isFile && daemon.IsSocket(in)
	if _, err := server.Config(); err != nil && !inetd { // whose standard error may be the connection
		return c.refuse(&option.Error{Code: exitSyntax, Text: "rsync: " + err.Error(), Role: roleOf(set)})
	}
	switch {
	case set.Server && isFile && outIsFile:
		return c.ended(server.Pipe(ctx, in, out))
	case inetd:
		return c.ended(server.Inetd(ctx, in))
	case !words.NoDetach && os.Getenv(detachedVar) == "" && os.Getenv("LISTEN_FDS") == "":
		return c.detach()
	}
	ready := func(error) {}
	if os.Getenv(detachedVar) != "" {
		os.Unsetenv(detachedVar)
		ready = tellParent()
	}
	start := &daemon.Start{
		Server:   server,
		Endpoint: daemon.Endpoint{Address: words.Address, Port: words.Port, IPv: words.IPv, Sockopts: words.Sockopts},
		TLS: daemon.TLS{
			Files: secure.Files{Cert: words.TLSCert, Key: words.TLSKey, ClientCA: words.TLSClientCA},
			Port:  words.TLSPort, Only: words.TLSOnly,
		},
		Ready: func(int) { ready(nil) },
	}
	err := c.measured(words.Metrics, server, func() error { return c.untilStopped(ctx, start) })
	ready(err)
	return c.ended(err)
}

// measured serves the metrics of a daemon while it runs, if an address is given.
func (c *Command) measured(address string, server *daemon.Server, run func() error) error {
	if address == "" {
		return run()
	}
	address, err := config.Address("--metrics", address)
	if err != nil {
		return err
	}
	metrics, err := report.ServeDaemon(address, server.Counts)
	if err != nil {
		return err
	}
	err = run()
	return errors.Join(err, metrics.Close())
}

// ended is the exit code of a daemon.
func (c *Command) ended(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(c.Err, "rsync: %v\n", err)
	return exitSocket
}

// untilStopped runs a daemon until a signal says that it is to accept no more;
// a second one ends what is under way. SIGHUP rereads the configuration.
func (c *Command) untilStopped(parent context.Context, start *daemon.Start) error {
	accepting, stop := context.WithCancel(context.WithoutCancel(parent))
	defer stop()
	transfers, abort := context.WithCancel(context.WithoutCancel(parent))
	defer abort()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				switch {
				case sig == syscall.SIGHUP:
					start.Server.Reread()
				case accepting.Err() == nil:
					stop()
				default:
					abort()
				}
			}
		}
	}()
	return start.Run(accepting, transfers)
}

// detach starts this program again in a session of its own, and waits until it
// listens.
func (c *Command) detach() int {
	err := c.startDetached()
	if err != nil {
		fmt.Fprintf(c.Err, "rsync: %v\n", err)
		return exitSocket
	}
	return 0
}

func (c *Command) startDetached() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	child, err := os.StartProcess("/proc/self/exe", append([]string{"rsync"}, c.Words...), &os.ProcAttr{
		Env:   append(os.Environ(), detachedVar+"=1"),
		Files: []*os.File{null, null, null, write},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	write.Close()
	if err != nil {
		return err
	}
	defer child.Release()
	const enough = 64 << 10
	text, err := io.ReadAll(io.LimitReader(read, enough))
	switch {
	case err != nil:
		return err
	case string(text) == listening:
		return nil
	case len(text) == 0:
		return errors.New("the daemon ended before it listened")
	}
	return errors.New(strings.TrimSpace(string(text)))
}

// tellParent returns what tells the process that detached this one how it went;
// it speaks once.
func tellParent() func(error) {
	syscall.CloseOnExec(readyFD)
	to := os.NewFile(readyFD, "ready")
	return func(err error) {
		if to == nil {
			return
		}
		text := listening
		if err != nil {
			text = err.Error()
		}
		_, _ = io.WriteString(to, text)
		to.Close()
		to = nil
	}
}
