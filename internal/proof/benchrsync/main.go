// Command benchrsync runs the same work through the installed rsync and
// lockstep under the name rsync, in one run, paired, and prints Markdown
// tables: wall time, CPU time of both ends, peak memory of both ends, bytes on
// the wire. `make bench-rsync` runs it as
//
//	go run ./internal/proof/benchrsync
//
// Each kind of work is done as a local copy, over a shell that runs its
// command on this machine, and with an rsync daemon, by rsync alone, by
// lockstep alone and by one of each, in turns; each time with a destination
// that is made anew. The sizes are small by default; -full takes those that
// the goals are given for. Everything is below one temporary directory,
// removed at the end; put it on a disk that is otherwise idle, or on a tmpfs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lockstep/internal/proof/harness"
)

// options are the flags.
type options struct {
	works  string
	via    string
	pairs  string
	dir    string
	rounds int
	limit  time.Duration
	full   bool
	sizes
}

// sizes are how much there is to do.
type sizes struct {
	small   int // files
	large   int // MiB in all
	nothing int // files
	delta   int // MiB
	text    int // MiB
	extra   int // files to delete
}

// fullSizes are those that the goals are given for.
var fullSizes = sizes{small: 100_000, large: 4096, nothing: 500_000, delta: 2048, text: 1024, extra: 50_000}

func main() {
	var o options
	flag.StringVar(&o.works, "works", workNames(), "what to do")
	flag.StringVar(&o.via, "via", "local,shell-push,shell-pull,daemon-push,daemon-pull", "how the ends are connected")
	flag.StringVar(&o.pairs, "pairs", "rsync,lockstep,lockstep+rsync,rsync+lockstep", "who does it: sender+receiver, or one name for both")
	flag.StringVar(&o.dir, "dir", "", "directory to work in (default: the system's temporary directory)")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each pair does it; medians count")
	flag.DurationVar(&o.limit, "limit", 10*time.Minute, "longest time for one run")
	flag.BoolVar(&o.full, "full", false, "the sizes of the goals; flags for single sizes are left out")
	flag.IntVar(&o.small, "small", 10_000, "files of 1 to 16 KiB in the first copy")
	flag.IntVar(&o.large, "large", 512, "MiB in large files")
	flag.IntVar(&o.nothing, "nothing", 50_000, "files of the run with nothing to do")
	flag.IntVar(&o.delta, "delta", 256, "MiB of the file with changes")
	flag.IntVar(&o.text, "text", 128, "MiB of text to compress")
	flag.IntVar(&o.extra, "extra", 10_000, "files to delete")
	flag.Parse()
	if o.full {
		o.sizes = fullSizes
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchrsync:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	works, err := chosen(o.works, "-works", works, func(w work) string { return w.name })
	if err != nil {
		return err
	}
	vias, err := chosen(o.via, "-via", connections, func(c connection) string { return c.name })
	if err != nil {
		return err
	}
	pairs, err := chosen(o.pairs, "-pairs", allPairs, func(p pair) string { return p.name })
	if err != nil {
		return err
	}
	defer harness.RemoveBinary()
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return err
	}
	defer b.close()
	for _, w := range works {
		results, err := b.work(w, vias, pairs)
		report(out, w, o.sizes, results)
		if errors.Is(err, errStopped) {
			fmt.Fprintln(progress, "stopped")
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chosen are those of all that a list names.
func chosen[T any](list, flag string, all []T, name func(T) string) ([]T, error) {
	var some []T
	for word := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(t T) bool { return name(t) == strings.TrimSpace(word) })
		if i < 0 {
			return nil, fmt.Errorf("%s: there is no %q", flag, word)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// newBench makes what all work needs.
func newBench(ctx context.Context, o options, progress io.Writer) (*bench, error) {
	b := &bench{options: o, ctx: ctx, progress: progress, daemons: map[bool]*harness.Daemon{}}
	var err error
	if b.real, err = harness.RealRsync(); err != nil {
		return nil, err
	}
	built, err := harness.Binary()
	if err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(o.dir, "benchrsync-"); err != nil {
		return nil, err
	}
	tools := filepath.Join(b.dir, "tools")
	b.world = filepath.Join(b.dir, "world")
	b.ours = filepath.Join(tools, "rsync")
	if err = errors.Join(os.Mkdir(tools, 0o755), os.Mkdir(b.world, 0o755)); err == nil {
		err = os.Symlink(built, b.ours)
	}
	if err == nil {
		b.shell, err = harness.NewShell(tools)
	}
	for lockstep, program := range map[bool]string{false: b.real, true: b.ours} {
		if err == nil {
			err = b.serve(lockstep, program)
		}
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// serve starts a program's daemon.
func (b *bench) serve(lockstep bool, program string) error {
	dir := filepath.Join(b.dir, "daemon-"+strconv.FormatBool(lockstep))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	d, err := harness.StartDaemon(harness.DaemonConfig{
		Dir: dir, Path: b.dir, Module: "m", NoAuth: true, Lines: []string{"max connections = 0"}, Program: program,
	})
	if err == nil {
		b.daemons[lockstep] = d
	}
	return err
}
