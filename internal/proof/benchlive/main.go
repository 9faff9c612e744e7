// Command benchlive runs the same work through lockstep, lsyncd and the classic
// inotifywait+rsync loop, against real rsync daemons on this machine, in one
// run, and prints Markdown tables. `make bench-live` runs it as
//
//	go run ./internal/proof/benchlive
//
// For each size of source tree, each tool gets a daemon of its own with an
// empty module and does: the first pass; small edits one at a time (latency
// from close() to the content being visible at the target); edits of 4 KiB in
// a large file; a burst of new files. Then the trees are compared. Lockstep
// also mirrors to a local directory. Everything is below one temporary
// directory, removed at the end; put it on a disk that is otherwise idle, or
// on a tmpfs, where the order of the tools matters least: ext4 creates files
// much more slowly for a while after many were removed.
//
// Every wait is bounded: a tool that does not get there is shown as such.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lockstep/internal/proof/harness"
)

// options are the flags.
type options struct {
	sizes   string
	million bool
	tools   string
	dir     string
	targets string // directory for the targets, dir if empty
	samples int
	budget  time.Duration // for the samples of one tool and size
	limit   time.Duration // for each other wait
	passes  int           // first passes of each tool and size, the median counts
	burst   int
	large   int // MiB
	edits   int
}

func main() {
	var o options
	flag.StringVar(&o.sizes, "sizes", "1000,100000", "numbers of files of the source trees")
	flag.BoolVar(&o.million, "million", false, "add a source tree of 1,000,000 files")
	flag.StringVar(&o.tools, "tools", "lockstep,lsyncd,loop,local", "what to run; local is lockstep with a directory as its target")
	flag.StringVar(&o.dir, "dir", "", "directory to work in (default: the system's temporary directory)")
	flag.StringVar(&o.targets, "targets", "", "directory for the targets (default: where the source is); on another file system, as on another machine, what is written there is no event")
	flag.IntVar(&o.samples, "samples", 200, "edits for the latency of one tool and size")
	flag.DurationVar(&o.budget, "budget", time.Minute, "stop sampling a tool and size after this time, with at least 10 samples")
	flag.DurationVar(&o.limit, "limit", 10*time.Minute, "longest wait for one thing")
	flag.IntVar(&o.passes, "passes", 3, "first passes of each tool for trees of up to 100,000 files, in turns; one for larger ones")
	flag.IntVar(&o.burst, "burst", 20_000, "new files in the burst")
	flag.IntVar(&o.large, "large", 512, "MiB of the large file")
	flag.IntVar(&o.edits, "edits", 5, "edits of the large file")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchlive:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	sizes, err := parseSizes(o)
	if err != nil {
		return err
	}
	tools, err := parseTools(o.tools)
	if err != nil {
		return err
	}
	defer harness.RemoveBinary()
	if _, err := harness.Binary(); err != nil { // now, and not while something is measured
		return err
	}
	work, err := os.MkdirTemp(o.dir, "benchlive-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	targets := work
	if o.targets != "" {
		if targets, err = os.MkdirTemp(o.targets, "benchlive-"); err != nil {
			return err
		}
		defer os.RemoveAll(targets)
	}

	b := &bench{options: o, work: work, targets: targets, progress: progress, ctx: ctx}
	var all []result
	for _, size := range sizes {
		results, err := b.size(size, tools)
		all = append(all, results...)
		if errors.Is(err, errStopped) {
			fmt.Fprintln(progress, "stopped; what was measured so far:")
			break
		}
		if err != nil {
			return err
		}
	}
	report(out, all)
	return nil
}

func parseSizes(o options) ([]int, error) {
	var sizes []int
	for word := range strings.SplitSeq(o.sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 100 {
			return nil, fmt.Errorf("-sizes: %q is not a number of at least 100 files", word)
		}
		sizes = append(sizes, n)
	}
	if o.million {
		sizes = append(sizes, 1_000_000)
	}
	return sizes, nil
}

func parseTools(list string) ([]tool, error) {
	var chosen []tool
	for word := range strings.SplitSeq(list, ",") {
		t, ok := toolNamed(strings.TrimSpace(word))
		if !ok {
			return nil, fmt.Errorf("-tools: there is no %q", word)
		}
		if err := harness.Need(t.needs...); err != nil {
			return nil, fmt.Errorf("-tools %s: %w", t.name, err)
		}
		chosen = append(chosen, t)
	}
	return chosen, nil
}
