// Command benchinotify runs the same work under the installed inotifywait and
// lockstep under the name inotifywait, in turns on this machine, and prints
// Markdown tables. `make bench-inotify` runs it as root as
//
//	go run ./internal/proof/benchinotify
//
// Start: a tree of directories is watched with -m -r; the time until "Watches
// established." and the CPU time by then. Flood: a writer makes, writes and
// removes files as fast as it can while one of them watches and its output is
// read; how many events the kernel had to tell is known, so that lost ones
// show. Each round runs both one after the other, the order changes from round
// to round, and ratios are taken within a round. The kernel's queue is made
// longer for that, which needs root; then once more as long as it was, to see
// when it overflows.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"lockstep/internal/proof/harness"
)

// options are the flags.
type options struct {
	dirs   int
	files  int
	events int
	queue  int
	rounds int
	dir    string
	limit  time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.dirs, "dirs", 50_000, "directories of the tree; 0 leaves this part out")
	flag.IntVar(&o.files, "files", 2, "files in each of them")
	flag.IntVar(&o.events, "events", 1_000_000, "events of the flood; 0 leaves this part out")
	flag.IntVar(&o.queue, "queue", 2_000_000, "length of the kernel's queue for the flood, in events")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each does it; medians count")
	flag.StringVar(&o.dir, "dir", "", "directory to work in (default: the system's temporary directory)")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "longest wait for one thing")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchinotify:", err)
		os.Exit(1)
	}
}

// program is one of the two.
type program struct{ name, path string }

func run(ctx context.Context, o options, out, progress io.Writer) error {
	if err := harness.Need("inotifywait"); err != nil {
		return err
	}
	defer harness.RemoveBinary()
	binary, err := harness.Binary()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(o.dir, "benchinotify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	face := filepath.Join(work, "inotifywait")
	if err := os.Symlink(binary, face); err != nil {
		return err
	}
	b := &bench{options: o, ctx: ctx, work: work, progress: progress,
		programs: [2]program{{"inotifywait", "/usr/bin/inotifywait"}, {"lockstep", face}}}
	if o.dirs > 0 {
		if err := b.starts(out); err != nil {
			return err
		}
	}
	if o.events > 0 {
		return b.floods(out)
	}
	return nil
}
