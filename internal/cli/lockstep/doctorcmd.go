package lockstep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/doctor"
	"lockstep/internal/ops/service"
)

// doctorOptions are the flags of lockstep doctor.
type doctorOptions struct {
	ask                askOptions
	passwordFile, root string
	fix, offline       bool
	timeout            time.Duration
}

// doctorTime is how long a target may take to answer, unless a flag says.
const doctorTime = 15 * time.Second

// errUnwell says that doctor found what has to be mended.
var errUnwell = errors.New("there are problems to mend")

func (a *app) doctor() *cobra.Command {
	o := &doctorOptions{timeout: doctorTime}
	cmd := &cobra.Command{
		Use:   "doctor [flags] [SOURCE TARGET...]",
		Short: "Find out what stands in the way of the mirrors, and how to mend it",
		Long: `Looks at the kernel and what it allows, at each source of the configuration (how
large it is, how it would be watched and why) and at each target (whether it can
be written, or answers and takes what would be sent, in a session that sends
nothing). With words the mirror that they name is looked at instead. Nothing is
changed, unless --fix raises kernel limits that are too low.

Each finding that is not well names the command that mends it, or that shows
what is wrong. The exit code is 0 if there is no problem, and 23 if there is one;
warnings alone are no problem.`,
		Example: `  lockstep doctor
  lockstep doctor --fix
  lockstep doctor --password-file=/etc/web1.pass /web/www liang@192.168.1.32::web1`,
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) == 1 {
				return usageError{hintedError{errors.New("doctor: TARGET is missing"), cmd.CommandPath() + " --help"}}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, words []string) error {
			a.json = o.ask.json
			return a.runDoctor(o, words)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	f := cmd.Flags()
	o.ask.addFlags(f)
	f.BoolVar(&o.fix, "fix", false, "write kernel limits that have to be raised to /etc/sysctl.d/60-lockstep.conf, and apply them")
	f.BoolVar(&o.offline, "offline", false, "don't contact targets on other machines")
	f.Var(durationFlag{&o.timeout}, "timeout", "how long each target may take to answer")
	f.StringVar(&o.passwordFile, "password-file", "", "with SOURCE and TARGET: the `FILE` with the daemon's password")
	f.StringVar(&o.root, "root", "/", "read and fix kernel limits below `DIR`, in its proc and etc")
	return cmd
}

func (a *app) runDoctor(o *doctorOptions, words []string) error {
	cfg, err := o.examined(words)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var own []doctor.Finding // of lockstep itself
	look := doctor.Options{Root: o.root, Mirrors: cfg.Mirrors, Offline: o.offline, Timeout: o.timeout}
	if len(words) == 0 && cfg.File != "" {
		f := doctor.Finding{Check: "running", Level: doctor.Note, Text: "no lockstep runs with this configuration", Fix: "lockstep service install -c " + tree.ShellWord(cfg.File)}
		if reply, err := a.ask(&o.ask, control.Request{Op: control.OpStatus}); err == nil {
			look.Running = reply.Status.PID
			f = doctor.Finding{Check: "running", Level: doctor.OK, Text: fmt.Sprintf("lockstep runs, pid %d", look.Running)}
		}
		own = append(own, f)
		units, err := unfitUnits(o.root, cfg)
		if err != nil {
			return err
		}
		own = append(own, units...)
	}
	r := doctor.Examine(ctx, look)
	if ctx.Err() != nil {
		return errInterrupted
	}
	r.Findings = append(own, r.Findings...)
	fixed := ""
	if o.fix {
		if fixed, err = r.Fix(o.root); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				err = hintedError{err, "sudo lockstep doctor --fix"}
			}
			return err
		}
		if fixed != "" { // judge what is now
			again := doctor.Examine(ctx, look)
			r.Findings = append(r.Findings[:len(r.Findings)-len(again.Findings)], again.Findings...)
		}
	}
	a.tellDiagnosis(r, fixed)
	if r.Worst() == doctor.Problem {
		return errUnwell
	}
	return nil
}

// unfitUnits tells of units that were written for another configuration.
func unfitUnits(root string, c *config.Config) (all []doctor.Finding, err error) {
	for _, user := range []bool{false, true} {
		o := serviceOptions{user: user}
		dir, err := o.unitDir()
		if err != nil {
			continue // a user without a home has no units
		}
		setup, err := o.setup(c)
		if err != nil {
			return nil, err
		}
		units, err := setup.Units()
		if err != nil {
			return nil, err
		}
		names, err := service.Unfit(filepath.Join(root, dir), units)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			all = append(all, doctor.Finding{Check: "units", Level: doctor.Warning, Text: n + " does not fit the configuration any more",
				Fix: "lockstep service install -c " + tree.ShellWord(c.File)})
		}
	}
	return all, nil
}

// examined is the configuration to look at: of words, of the file, or none if
// no file is there and none was named.
func (o *doctorOptions) examined(words []string) (*config.Config, error) {
	if len(words) > 0 {
		cfg, err := config.Plain(words[0], words[1:], o.passwordFile)
		if err != nil {
			return nil, usageError{err}
		}
		return cfg, nil
	}
	cfg, err := loadConfig(o.ask.config)
	if err != nil && o.ask.config == "" && errors.Is(err, fs.ErrNotExist) {
		if _, missing := os.Stat(defaultConfig()); errors.Is(missing, fs.ErrNotExist) {
			return &config.Config{}, nil
		}
	}
	return cfg, err
}

// tellDiagnosis prints what was found.
func (a *app) tellDiagnosis(r *doctor.Report, fixed string) {
	if a.json {
		for _, f := range r.Findings {
			a.console.object(findingRecord{newHead("finding"), f})
		}
		a.console.object(diagnosedRecord{newHead("diagnosed"), r.Count(doctor.Problem), r.Count(doctor.Warning), fixed})
		return
	}
	heading, indent := "", "  "
	for _, f := range r.Findings {
		at := "this machine"
		if f.Mirror != "" {
			at = "mirror " + f.Mirror
		}
		if f.Target != "" {
			at += " to " + tree.Quote(f.Target)
		}
		if at != heading {
			if heading != "" {
				a.console.printf("")
			}
			heading = at
			a.console.printf("%s", a.console.paint(bold, at))
		}
		a.console.printf("%s%s %s", indent, a.console.paint(levelStyles[f.Level], fmt.Sprintf("%-8s", f.Level)), plain(f.Text))
		if f.Fix != "" {
			a.console.printf("%s%8s $ %s", indent, "", plain(f.Fix))
		}
	}
	if fixed != "" {
		a.console.printf("\nwrote %s and applied it", tree.Quote(fixed))
	}
	a.console.printf("\n%s, %s", count(r.Count(doctor.Problem), "problem"), count(r.Count(doctor.Warning), "warning"))
}

// levelStyles are the looks of the levels.
var levelStyles = map[doctor.Level]style{doctor.OK: green, doctor.Note: dim, doctor.Warning: yellow, doctor.Problem: red}
