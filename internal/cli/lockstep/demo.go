package lockstep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/watch"
)

// Times of the demo.
const (
	demoPause    = 350 * time.Millisecond // between two steps, for the reader
	demoPatience = 10 * time.Second       // for one change to arrive
	demoLook     = 100 * time.Microsecond // between two looks at the target
)

// errDifferent says that the demo's two trees are not the same.
var errDifferent = errors.New("the trees differ")

// demoOptions are the flags of lockstep demo.
type demoOptions struct {
	keep  bool
	pause time.Duration
	watch string
	page  bool
	last  time.Duration // with page; 0 is until interrupted
}

func (a *app) demo() *cobra.Command {
	o := &demoOptions{pause: demoPause, watch: watch.Auto.String()}
	cmd := &cobra.Command{
		Use:   "demo [flags] [SOURCE TARGET]",
		Short: "Watch a live mirror at work, in about five seconds",
		Long: `Runs a live mirror between two directories, makes changes in the first, shows
how long each takes to arrive in the second, compares both trees and cleans up.
Without arguments the directories are temporary ones; those that are named must
be empty or not exist yet.

With --page it runs until it is interrupted: three rsync daemons on loopback, a
source that changes all the time, and the page that shows how they follow.`,
		Example: `  lockstep demo
  lockstep demo --page
  lockstep demo --watch=inotify
  lockstep demo --keep /tmp/a /tmp/b`,
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) != 0 && len(words) != 2 {
				return usageError{hintedError{fmt.Errorf("demo: want no directories or two, but got %d", len(words)), cmd.CommandPath() + " --help"}}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, words []string) error {
			if !o.page {
				return a.runDemo(o, words)
			}
			if len(words) > 0 {
				return usageError{hintedError{errors.New("demo: with --page the directories are temporary ones"), cmd.CommandPath() + " --help"}}
			}
			return a.runPageDemo(o)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.page, "page", false, "three daemons, a source that changes, and the page, until interrupted")
	f.Var(durationFlag{&o.last}, "for", "with --page: end after this time (0 = when interrupted)")
	f.BoolVar(&o.keep, "keep", false, "leave both trees as they are at the end")
	f.Var(durationFlag{&o.pause}, "pause", "time between two steps")
	f.Var(choiceFlag{&o.watch, watchWords}, "watch", "how to see changes: auto, fanotify, inotify or poll")
	_ = cmd.RegisterFlagCompletionFunc("watch", cobra.FixedCompletions(watchWords, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

// demo is one run: two directories and the mirror between them.
type demo struct {
	*app
	source, target string
	pause          time.Duration

	armed  chan watch.Choice
	inStep chan struct{}
	ended  chan error

	mu   sync.Mutex
	last error // what the mirror last complained about
}

func (a *app) runDemo(o *demoOptions, words []string) (err error) {
	d := &demo{app: a, pause: o.pause,
		armed: make(chan watch.Choice, 1), inStep: make(chan struct{}), ended: make(chan error, 1)}
	clean, err := d.directories(words, o.keep)
	if err != nil {
		return usageError{err}
	}
	defer func() { err = errors.Join(err, clean()) }()

	backend, err := watchBackend(o.watch)
	if err != nil {
		return usageError{err}
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	interrupted := make(chan struct{})
	sig := catchSignals(func() { close(interrupted); end() }, nil)
	defer sig.release()
	if err = d.start(ctx, backend); err == nil {
		err = d.show(ctx)
	}
	if err == nil && !o.keep {
		err = d.empty(ctx)
	}
	if err == nil {
		d.console.printf("\nYour own: lockstep mirror SOURCE TARGET...   (lockstep help mirror)")
	}
	end()
	ended := <-d.ended
	select {
	case <-interrupted:
		return errInterrupted
	default:
		return cmp.Or(err, ended)
	}
}

// directories makes or takes the two directories. clean removes what was made.
func (d *demo) directories(words []string, keep bool) (clean func() error, err error) {
	nothing := func() error { return nil }
	if len(words) == 0 {
		dir, err := os.MkdirTemp("", "lockstep-demo-")
		if err != nil {
			return nothing, err
		}
		d.source, d.target = filepath.Join(dir, "source"), filepath.Join(dir, "target")
		if err := errors.Join(os.Mkdir(d.source, 0o755), os.Mkdir(d.target, 0o755)); err != nil || keep {
			return nothing, err
		}
		return func() error { return os.RemoveAll(dir) }, nil
	}
	d.source, d.target = words[0], words[1]
	var made []string
	for _, dir := range words {
		entries, err := os.ReadDir(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nothing, err
			}
			made = append(made, dir)
		case err != nil:
			return nothing, err
		case len(entries) > 0:
			return nothing, fmt.Errorf("demo: %s is not empty: the demo would delete what is in it", tree.Quote(dir))
		}
	}
	if keep {
		return nothing, nil
	}
	return func() error { // what the demo made in them is gone by now
		var errs []error
		for _, dir := range made {
			errs = append(errs, os.Remove(dir))
		}
		return errors.Join(errs...)
	}, nil
}

// start starts the mirror and waits until it is in step.
func (d *demo) start(ctx context.Context, backend watch.Backend) error {
	fail := func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.last = err
	}
	m, err := mirror.New(mirror.Config{
		Source: d.source, Targets: []string{d.target}, MaxDelete: change.NoLimit, MaxHold: defaultMaxHold,
		Watch: backend, PollInterval: 200 * time.Millisecond,
		Listener: mirror.Listener{
			Watching:   func(c watch.Choice) { d.armed <- c },
			InStep:     func(string, mirror.Pass) { close(d.inStep) },
			Failing:    func(_ string, err error, _, _ time.Time) { fail(err) },
			PathFailed: func(_ string, p tree.Path, err error) { fail(fmt.Errorf("%s: %w", p, err)) },
		},
	})
	if err != nil {
		d.ended <- nil
		return err
	}
	go func() { d.ended <- m.Run(ctx) }()
	d.console.printf("A live mirror from %s to %s", tree.Quote(d.source), tree.Quote(d.target))
	select {
	case <-d.inStep:
	case err := <-d.ended:
		d.ended <- err
		return cmp.Or(err, errInterrupted)
	case <-time.After(demoPatience):
		return d.late("the first pass")
	}
	choice := <-d.armed
	d.console.printf("watched by %s\n", choiceText(choice))
	return nil
}

// late says what did not arrive, and why, if the mirror said so.
func (d *demo) late(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		return fmt.Errorf("%s did not arrive within %s: %w", what, span(demoPatience), errors.Join(errDifferent, d.last))
	}
	return fmt.Errorf("%s did not arrive within %s: %w", what, span(demoPatience), errDifferent)
}

// show makes the changes one by one.
func (d *demo) show(ctx context.Context) error {
	for _, s := range demoSteps {
		if err := d.step(ctx, s); err != nil {
			return err
		}
	}
	n, err := sameTrees(d.source, d.target)
	if err != nil {
		return err
	}
	d.console.printf("  both trees are identical: %s, compared by content, metadata and nanosecond times", count(n, "entry"))
	return nil
}

// step makes one change and waits for it to arrive.
func (d *demo) step(ctx context.Context, s demoStep) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d.pause):
	}
	if err := s.make(d.source); err != nil {
		return fmt.Errorf("demo: %s: %w", s.text, err)
	}
	made := time.Now()
	for !s.arrived(d.target) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(made) > demoPatience:
			return d.late(s.text)
		}
		time.Sleep(demoLook)
	}
	d.console.printf("  %-50s there after %s", s.text, span(time.Since(made)))
	return nil
}

// empty removes what the demo made, and the mirror follows.
func (d *demo) empty(ctx context.Context) error {
	entries, err := os.ReadDir(d.source)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(d.source, e.Name())); err != nil {
			return err
		}
	}
	return d.step(ctx, demoStep{
		text: "everything deleted",
		make: func(string) error { return nil },
		arrived: func(dir string) bool {
			left, err := os.ReadDir(dir)
			return err == nil && len(left) == 0
		},
	})
}
