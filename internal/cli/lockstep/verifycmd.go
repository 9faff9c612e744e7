package lockstep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
)

// verifyOptions are the flags of lockstep verify.
type verifyOptions struct {
	ask          askOptions
	plain        bool // SOURCE and TARGETs, which no running lockstep knows
	repair       bool
	nice         int
	bwLimit      string
	passwordFile string
}

// difference is a path that a target does not hold as the source does.
type difference struct {
	target  string
	removed bool // it is on the target only
	path    tree.Path
}

func (a *app) verify() *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify [flags] [MIRROR | SOURCE TARGET...]",
		Short: "Compare the content of sources and targets in full",
		Long: `Every regular file is read on both sides and compared by its digest; names that
only a target has are differences too. What a running lockstep is about to send
is no difference: it is asked to flush, and only what differs before and after
counts, and is told of the result, for status and metrics. Permissions, owners and
times are not compared. With SOURCE and TARGETs no configuration is needed.

The exit code is 0 if there is no difference, and 23 if there is one.`,
		Example: "  lockstep verify\n  lockstep verify www --target /srv/copy --nice 19\n  lockstep verify www --repair --bwlimit 2m\n  lockstep verify /web/www /srv/copy",
		RunE: func(_ *cobra.Command, words []string) error {
			a.json = o.ask.json
			if len(words) > 1 {
				c, err := config.Plain(words[0], words[1:], o.passwordFile)
				if err != nil {
					return usageError{err}
				}
				o.plain = true
				return a.runVerify(o, c, "")
			}
			c, err := loadConfig(o.ask.config)
			if err != nil {
				return err
			}
			return a.runVerify(o, c, first(words))
		},
	}
	f := cmd.Flags()
	o.ask.addFlags(f)
	o.ask.addTarget(f)
	f.BoolVar(&o.repair, "repair", false, "bring what differs in step")
	f.StringVar(&o.bwLimit, "bwlimit", "", "read at most so much a second to compare it, as a `RATE` of mirror")
	f.StringVar(&o.passwordFile, "password-file", "", "with SOURCE and TARGET: the `FILE` with the daemon's password")
	f.IntVar(&o.nice, "nice", 0, "give way to other processes, `1..19`; from 1 on for reading as well")
	return cmd
}

// runVerify compares the mirrors that are meant, one after another.
func (a *app) runVerify(o *verifyOptions, c *config.Config, name string) error {
	if _, err := config.ParseRates(cmp.Or(o.bwLimit, "0")); err != nil {
		return usageError{fmt.Errorf("bwlimit: %w", err)}
	}
	if o.nice < 0 || o.nice > 19 {
		return usageError{fmt.Errorf("nice: %d is not within 0 to 19", o.nice)}
	}
	if err := giveWay(o.nice); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	meant, different := 0, false
	var failed []error
	for i := range c.Mirrors {
		m := &c.Mirrors[i]
		if name != "" && m.Name != name || o.ask.target != "" && !slices.Contains(m.Targets, o.ask.target) {
			continue
		}
		meant++
		differs, err := a.verifyMirror(ctx, o, m)
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil { // that is no reason to leave out the others
			failed = append(failed, fmt.Errorf("mirror %s: %w", m.Name, err))
		}
		different = different || differs
	}
	switch {
	case len(failed) > 0:
		return errors.Join(failed...)
	case meant == 0:
		return usageError{fmt.Errorf("no mirror is called %s, or has that target", tree.Quote(name))}
	case different:
		return errDiffers
	}
	return nil
}

// errDiffers says that verify found something that it did not mend.
var errDiffers = fmt.Errorf("%w: verify found differences", mirror.ErrOutOfStep)

// verifyMirror compares one mirror and tells what differs.
func (a *app) verifyMirror(ctx context.Context, o *verifyOptions, m *config.Mirror) (differs bool, err error) {
	found, err := compareOnce(ctx, o, m)
	if err != nil {
		return false, err
	}
	if len(found) > 0 && a.flushRunning(o, m) {
		again, err := compareOnce(ctx, o, m)
		if err != nil {
			return false, err
		}
		found = slices.DeleteFunc(found, func(d difference) bool { return !slices.Contains(again, d) })
	}
	for _, d := range found {
		a.tellDifference(m.Name, d)
	}
	if a.json {
		a.console.objectOf(m.Name, verifiedRecord{newHead("verified"), len(found), len(found) > 0 && o.repair})
	} else {
		a.console.printf("%s: %s", m.Name, count(len(found), "difference"))
	}
	if len(found) == 0 || !o.repair {
		o.tell(m, len(found))
		return len(found) > 0, nil
	}
	if err := a.mend(ctx, o, m); err != nil {
		return false, err
	}
	o.tell(m, 0)
	if !a.json {
		a.console.printf("%s: repaired", m.Name)
	}
	return false, nil
}

// tell lets a running lockstep know the result; if none runs nobody wants to.
func (o *verifyOptions) tell(m *config.Mirror, differences int) {
	if o.plain || o.ask.target != "" {
		return
	}
	if c, err := o.ask.dial(); err == nil {
		defer c.Close()
		_, _ = c.Do(control.Request{Op: control.OpVerified, Mirror: m.Name, Count: differences}) // nor whether it did
	}
}

// compareOnce lists what a pass that compares content would do.
func compareOnce(ctx context.Context, o *verifyOptions, m *config.Mirror) ([]difference, error) {
	var mu sync.Mutex
	var found []difference
	cfg, err := verifyConfig(o, m)
	if err != nil {
		return nil, err
	}
	cfg.DryRun, cfg.MaxDelete = true, change.NoLimit
	cfg.Listener.Planned = func(target string, removed bool, p tree.Path) {
		mu.Lock()
		defer mu.Unlock()
		found = append(found, difference{target, removed, p})
	}
	if err := runOnce(ctx, cfg); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b difference) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.path, b.path))
	})
	return found, nil
}

// mend brings what differs in step, by content.
func (a *app) mend(ctx context.Context, o *verifyOptions, m *config.Mirror) error {
	cfg, err := verifyConfig(o, m)
	if err != nil {
		return err
	}
	return runOnce(ctx, cfg)
}

// verifyConfig is m for one pass that compares content.
func verifyConfig(o *verifyOptions, m *config.Mirror) (mirror.Config, error) {
	cfg, err := m.Live()
	cfg.Once, cfg.Checksum = true, true
	if err != nil {
		return cfg, err
	}
	if limit := cmp.Or(o.bwLimit, m.VerifyBwLimit); limit != "" {
		if cfg.BwLimit, err = config.ParseRates(limit); err != nil {
			return cfg, err
		}
	}
	if o.ask.target != "" {
		cfg.Targets = []string{o.ask.target}
	}
	return cfg, err
}

// runOnce runs a pass and keeps the last failure of a target as its reason.
func runOnce(ctx context.Context, cfg mirror.Config) error {
	m, err := mirror.New(cfg)
	if err != nil {
		return err
	}
	if err = m.Run(ctx); err == nil || ctx.Err() != nil {
		return err
	}
	for _, t := range m.Last().Targets {
		if t.LastErr != "" {
			return fmt.Errorf("%w: %s: %s", err, tree.Quote(t.Name), t.LastErr)
		}
	}
	return err
}

// flushRunning asks a running lockstep to bring the mirror in step first. It
// reports whether one did.
func (a *app) flushRunning(o *verifyOptions, m *config.Mirror) bool {
	if o.plain {
		return false
	}
	c, err := o.ask.dial()
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = c.Do(control.Request{Op: control.OpFlush, Mirror: m.Name, Target: o.ask.target, TimeoutMS: defaultFlushTime.Milliseconds()})
	var refused *control.Failure
	if errors.As(err, &refused) {
		a.console.warnf("%s: the running lockstep is behind: %s", m.Name, plain(refused.Text))
	}
	return err == nil
}

func (a *app) tellDifference(name string, d difference) {
	what := "differs"
	if d.removed {
		what = "extra"
	}
	if a.json {
		a.console.objectOf(name, differenceRecord{newHead("difference"), d.target, what, pathKeysOf(d.path)})
		return
	}
	a.console.printf("%s: %s%s %s", name, inTarget(d.target), what, showPath(d.path))
}

// giveWay lowers the priority of every thread: those that the runtime starts
// later take over that of their parent. 0 leaves it as it is.
func giveWay(nice int) error {
	if nice == 0 {
		return nil
	}
	const (
		ioprioProcess = 1       // IOPRIO_WHO_PROCESS, ioprio_set(2)
		ioprioIdle    = 3 << 13 // IOPRIO_CLASS_IDLE
	)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil && err != unix.ESRCH {
			return fmt.Errorf("nice: %w", err)
		}
		// Not every scheduler has classes; without one the reading is not idle.
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioProcess, uintptr(tid), ioprioIdle)
	}
	return nil
}
