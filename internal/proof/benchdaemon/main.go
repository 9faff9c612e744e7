// Command benchdaemon lets many of rsync's clients use a daemon at once, the
// installed rsync's and ours in turns in one run, and prints a Markdown table:
// wall time until the last client is done, CPU time and peak memory of the daemon
// with its processes, and how many clients failed.
//
//	go run ./internal/proof/benchdaemon -clients 200 -files 1000
//
// Half of the clients pull a tree, half of them push one to a place of their own;
// the client is the installed rsync for both daemons. Everything is below one
// temporary directory, removed at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/proof/harness"
)

// options are the flags.
type options struct {
	clients, files, size, rounds int
	dir                          string
}

func main() {
	var o options
	flag.IntVar(&o.clients, "clients", 200, "how many at once")
	flag.IntVar(&o.files, "files", 1000, "in the tree of each")
	flag.IntVar(&o.size, "size", 2048, "bytes of a file")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each daemon does it; medians count")
	flag.StringVar(&o.dir, "dir", "", "directory to work in (default: the system's temporary directory)")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchdaemon:", err)
		os.Exit(1)
	}
}

// bench is what all rounds have.
type bench struct {
	options
	ctx      context.Context
	dir      string
	rsync    string // of the clients
	progress io.Writer
}

// contestant is a daemon.
type contestant struct {
	name string
	argv []string
}

// result is one round of one daemon.
type result struct {
	wall, cpu time.Duration
	memory    int64 // bytes, the peak
	failed    int
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	defer harness.RemoveBinary()
	real, err := harness.RealRsync()
	if err != nil {
		return err
	}
	binary, err := harness.Binary()
	if err != nil {
		return err
	}
	b := &bench{options: o, ctx: ctx, rsync: real, progress: progress}
	if b.dir, err = os.MkdirTemp(o.dir, "benchdaemon"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.plant(); err != nil {
		return err
	}
	contestants := []contestant{{"rsync", []string{real}}, {"lockstep", []string{binary, "rsync"}}}
	results := make([][]result, len(contestants))
	for round := range o.rounds {
		for i, c := range contestants {
			r, err := b.round(c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Fprintf(progress, "round %d, %s: %.1f s, CPU %.1f s, %.0f MiB, %d failed\n", round+1, c.name,
				r.wall.Seconds(), r.cpu.Seconds(), float64(r.memory)/(1<<20), r.failed)
			results[i] = append(results[i], r)
		}
	}
	fmt.Fprintf(out, "%d clients at once, %d files of %d bytes each, medians of %d\n\n", o.clients, o.files, o.size, o.rounds)
	fmt.Fprintf(out, "| daemon | wall | CPU | peak memory | failed |\n| --- | --- | --- | --- | --- |\n")
	for i, c := range contestants {
		m := median(results[i])
		fmt.Fprintf(out, "| %s | %.1f s | %.1f s | %.0f MiB | %d |\n", c.name, m.wall.Seconds(), m.cpu.Seconds(), float64(m.memory)/(1<<20), m.failed)
	}
	return nil
}

// median takes the middle of each value; of failures it takes all.
func median(all []result) (m result) {
	middle := func(get func(result) int64) int64 {
		values := make([]int64, len(all))
		for i, r := range all {
			values[i] = get(r)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m.wall = time.Duration(middle(func(r result) int64 { return int64(r.wall) }))
	m.cpu = time.Duration(middle(func(r result) int64 { return int64(r.cpu) }))
	m.memory = middle(func(r result) int64 { return r.memory })
	for _, r := range all {
		m.failed += r.failed
	}
	return m
}

// plant makes the tree that travels.
func (b *bench) plant() error {
	text := make([]byte, b.size)
	for i := range b.files {
		dir := filepath.Join(b.dir, "tree", fmt.Sprintf("d%02d", i%50))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		copy(text, fmt.Sprintf("file %d", i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%04d", i)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// round lets all clients use one daemon.
func (b *bench) round(c contestant) (r result, err error) {
	defer func() {
		for _, name := range []string{"in", "out"} {
			err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, name)))
		}
	}()
	for _, name := range []string{"in", "out"} {
		if err := os.MkdirAll(filepath.Join(b.dir, name), 0o777); err != nil {
			return r, err
		}
	}
	daemon, url, err := b.start(c)
	if err != nil {
		return r, err
	}
	peak := watchMemory(daemon.Process.Pid)
	begun := time.Now()
	r.failed = b.crowd(url)
	r.wall = time.Since(begun)
	r.memory = peak()
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return r, err
	}
	_ = daemon.Wait() // the real one ends with a code
	r.cpu = daemon.ProcessState.UserTime() + daemon.ProcessState.SystemTime()
	return r, b.ctx.Err()
}

// start starts a daemon and waits until it listens.
func (b *bench) start(c contestant) (*exec.Cmd, string, error) {
	identity := ""
	if os.Getuid() == 0 {
		identity = "uid = root\ngid = root\n"
	}
	config := filepath.Join(b.dir, "rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nmunge symlinks = no\nreverse lookup = no\nlisten backlog = 500\nlog file = %[1]s/log\n%[2]s"+
		"[tree]\npath = %[1]s/tree\n[in]\npath = %[1]s/in\nread only = no\n", b.dir, identity)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return nil, "", err
	}
	words := append(slices.Clone(c.argv[1:]), "--daemon", "--no-detach", "--config="+config, "--address=127.0.0.1", fmt.Sprint("--port=", address.Port))
	cmd := exec.Command(c.argv[0], words...)
	cmd.Stderr = b.progress
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	const patience = 10 * time.Second
	err = harness.Poll(patience, "the daemon", func() bool {
		conn, err := net.Dial("tcp", address.String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if err != nil {
		return nil, "", errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return cmd, "rsync://" + address.String(), nil
}

// crowd runs all clients at once and counts those that fail.
func (b *bench) crowd(url string) (failed int) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	for i := range b.clients {
		words := []string{"-a", filepath.Join(b.dir, "tree") + "/", fmt.Sprintf("%s/in/%d/", url, i)}
		if i%2 == 0 {
			words = []string{"-a", url + "/tree/", filepath.Join(b.dir, "out", fmt.Sprint(i)) + "/"}
		}
		wait.Go(func() {
			out, err := exec.CommandContext(b.ctx, b.rsync, words...).CombinedOutput()
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if failed++; failed <= 3 && b.ctx.Err() == nil {
				fmt.Fprintf(b.progress, "a client: %v: %s", err, out)
			}
		})
	}
	wait.Wait()
	return failed
}
