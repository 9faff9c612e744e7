package lockstep

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
)

// opsCommands are the commands for running lockstep as a service.
func (a *app) opsCommands() []*cobra.Command {
	return []*cobra.Command{
		a.init(), a.check(), a.doctor(), a.run(), a.status(), a.flush(), a.reload(),
		a.pause(), a.resume(), a.resync(), a.backlog(), a.explain(), a.verify(), a.service(), a.importConfig(),
	}
}

// askOptions are the flags of the commands that talk to a running lockstep.
type askOptions struct {
	config, control, target string
	json                    bool
}

func (o *askOptions) addFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	configFlag(f, &o.config)
	f.StringVar(&o.control, "control", "", "the control `SOCKET` (default that of the configuration)")
	f.BoolVar(&o.json, "json", false, "print one object a line, see help json")
}

func (o *askOptions) addTarget(f *pflag.FlagSet) {
	f.StringVar(&o.target, "target", "", "mean only this `TARGET`, as it is configured")
}

// socket is where the running lockstep listens.
func (o *askOptions) socket() (string, error) {
	if o.control != "" {
		return filepath.Abs(o.control)
	}
	if path := config.ControlOf(cmp.Or(o.config, defaultConfig())); path != "" {
		return path, nil
	}
	return control.DefaultPath()
}

// dial connects to the running lockstep.
func (o *askOptions) dial() (*control.Client, error) {
	path, err := o.socket()
	if err != nil {
		return nil, usageError{err}
	}
	c, err := control.Dial(path)
	if err != nil {
		return nil, hintedError{fmt.Errorf("%w: %w", errNoAnswer, err), "lockstep run"}
	}
	return c, nil
}

// ask sends one request.
func (a *app) ask(o *askOptions, r control.Request) (control.Reply, error) {
	a.json = o.json
	c, err := o.dial()
	if err != nil {
		return control.Reply{}, err
	}
	defer c.Close()
	return asked(c.Do(r))
}

// asked gives a failure its exit code.
func asked(reply control.Reply, err error) (control.Reply, error) {
	var refused *control.Failure
	switch {
	case err == nil:
	case !errors.As(err, &refused):
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	case refused.Code == control.CodeUsage:
		err = usageError{err}
	case refused.Code == control.CodeBehind:
		err = fmt.Errorf("%w: %s", mirror.ErrOutOfStep, refused.Text)
	}
	return reply, err
}

// mirrorArg takes at most one word, a mirror's name.
func (a *app) mirrorArg(cmd *cobra.Command, words []string) error {
	if len(words) > 1 {
		return usageError{hintedError{fmt.Errorf("%s takes one mirror, but got %q too", cmd.CommandPath(), words[1]), cmd.CommandPath() + " --help"}}
	}
	return nil
}

// first is the first word, "" without one.
func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// defaultFlushTime is how long flush waits unless it is told otherwise.
const defaultFlushTime = time.Minute

func (a *app) flush() *cobra.Command {
	o, limit := &askOptions{}, defaultFlushTime
	cmd := &cobra.Command{
		Use:   "flush [flags] [MIRROR]",
		Short: "Wait until everything that was changed before is on the targets",
		Long: `The exit code is 0 only when every change made before the call is on every target
that is meant: of all mirrors, or of MIRROR. Files that are being written count
as changed. If the time is over, or a target is stopped or paused, the code is
23 and those who lag are named.`,
		Example: "  lockstep flush\n  lockstep flush www --timeout 10s\n  lockstep flush --target /srv/copy",
		Args:    a.mirrorArg,
		RunE: func(_ *cobra.Command, words []string) error {
			began := time.Now()
			reply, err := a.ask(o, control.Request{Op: control.OpFlush, Mirror: first(words), Target: o.target, TimeoutMS: limit.Milliseconds()})
			if err != nil && len(reply.Lagging) == 0 {
				return err
			}
			if o.json {
				if reply.Lagging == nil {
					reply.Lagging = []control.Lagging{}
				}
				a.console.object(flushedRecord{newHead("flushed"), err == nil, time.Since(began).Seconds(), reply.Lagging})
				return err
			}
			for _, l := range reply.Lagging {
				a.console.warnf("%s", laggingText(l, time.Now()))
			}
			return err
		},
	}
	o.addFlags(cmd.Flags())
	o.addTarget(cmd.Flags())
	cmd.Flags().Var(durationFlag{&limit}, "timeout", "give up after this time (0 = never)")
	return cmd
}

func (a *app) reload() *cobra.Command {
	o := &askOptions{}
	cmd := &cobra.Command{
		Use:     "reload [flags]",
		Short:   "Apply an edited configuration",
		Long:    "Mirrors that did not change go on undisturbed, the others start again. A file with a\nmistake is refused, and everything goes on as it was.",
		Example: "  lockstep check\n  lockstep reload",
		Args:    a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			reply, err := a.ask(o, control.Request{Op: control.OpReload})
			if err != nil {
				return err
			}
			a.tellChanges(o.json, reply.Changes)
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// tellChanges says what a configuration made of each mirror.
func (a *app) tellChanges(jsonLines bool, changes []control.Change) {
	if jsonLines {
		a.console.object(reloadedRecord{newHead("reloaded"), changes})
		return
	}
	for _, c := range changes {
		a.console.printf("%s: %s", c.Mirror, c.What)
	}
}

func (a *app) pause() *cobra.Command {
	return a.command(control.OpPause, "Send nothing new until resume",
		"What is on its way is finished. Changes go on being collected, and go out with\nresume. A start or a reload that restarts the mirror ends the pause.", "paused")
}

func (a *app) resume() *cobra.Command {
	return a.command(control.OpResume, "End a pause; try again now what had stopped",
		"Targets that refused for good are tried again, and mirrors that had failed or ended\nare started.", "resumed")
}

func (a *app) resync() *cobra.Command {
	return a.command(control.OpResync, "Compare everything with the targets",
		"Each target gets a full pass as at the start, which mends what somebody else has\nchanged there.", "to be compared")
}

// command is one of those that change what targets get.
func (a *app) command(op, short, long, done string) *cobra.Command {
	o := &askOptions{}
	cmd := &cobra.Command{
		Use:     op + " [flags] [MIRROR]",
		Short:   short,
		Long:    long + " Without MIRROR all are meant.",
		Example: "  lockstep " + op + "\n  lockstep " + op + " www --target /srv/copy",
		Args:    a.mirrorArg,
		RunE: func(_ *cobra.Command, words []string) error {
			if _, err := a.ask(o, control.Request{Op: op, Mirror: first(words), Target: o.target}); err != nil {
				return err
			}
			if o.json {
				a.console.object(doneRecord{newHead("done"), op})
				return nil
			}
			a.console.printf("%s: %s", cmp.Or(first(words), "all mirrors"), done)
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	o.addTarget(cmd.Flags())
	return cmd
}
