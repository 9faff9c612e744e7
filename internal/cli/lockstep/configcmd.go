package lockstep

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/config"
)

// defaultConfig is the configuration of the system, or of an ordinary user.
func defaultConfig() string {
	if os.Geteuid() == 0 {
		return config.DefaultFile
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return config.DefaultFile
	}
	return filepath.Join(dir, "lockstep", "lockstep.toml")
}

// configFlag declares -c.
func configFlag(f *pflag.FlagSet, to *string) {
	f.StringVarP(to, "config", "c", "", "the configuration `FILE` (default "+config.DefaultFile+", for an ordinary user lockstep/lockstep.toml in $XDG_CONFIG_HOME)")
}

// loadConfig reads the configuration; what is wrong with it is wrong usage.
func loadConfig(name string) (*config.Config, error) {
	name, err := filepath.Abs(cmp.Or(name, defaultConfig()))
	if err != nil {
		return nil, usageError{err}
	}
	c, err := config.Load(name)
	if errors.Is(err, fs.ErrNotExist) && c == nil {
		var missing *fs.PathError
		if errors.As(err, &missing) && missing.Path == name {
			return nil, usageError{hintedError{err, "lockstep init"}}
		}
	}
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

func (a *app) check() *cobra.Command {
	var file string
	var jsonLines bool
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Validate the configuration and print what it amounts to",
		Long: `Every setting of every mirror is printed, with a comment on those that the mirror
does not say itself: "defaults", "both" or "built in". Sources must exist;
targets are not contacted.`,
		Example: "  lockstep check\n  lockstep check -c lockstep.toml --json",
		Args:    a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.json = jsonLines
			return a.runCheck(file)
		},
	}
	configFlag(cmd.Flags(), &file)
	cmd.Flags().BoolVar(&jsonLines, "json", false, "print one object, see help json")
	return cmd
}

func (a *app) runCheck(file string) error {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	for i := range c.Mirrors {
		m := &c.Mirrors[i]
		live, err := m.Live()
		if err == nil {
			_, err = mirror.New(live)
		}
		if err != nil {
			return usageError{fmt.Errorf("%s: mirror.%s: %w", tree.Quote(c.File), m.Name, err)}
		}
	}
	if c.Page != "" {
		if _, err := pageOptions(c); err != nil {
			return usageError{fmt.Errorf("%s: %w", tree.Quote(c.File), err)}
		}
	}
	if a.json {
		a.console.object(configRecord{newHead("config"), *c})
		return nil
	}
	a.console.printf("%s", strings.TrimRight(c.Effective(), "\n"))
	return nil
}

// initOptions are the flags of lockstep init.
type initOptions struct {
	file  string
	force bool
	config.Template
}

func (a *app) init() *cobra.Command {
	o := &initOptions{}
	cmd := &cobra.Command{
		Use:   "init [flags]",
		Short: "Write a commented configuration",
		Long: `The file has one mirror, and every other setting as a comment. What flags don't
say is asked for. A file that exists is left alone.`,
		Example: `  lockstep init
  lockstep init -c lockstep.toml --source /web/www --target liang@192.168.1.32::web1 --password-file /etc/web1.pass`,
		Args: a.noArgs,
		RunE: func(*cobra.Command, []string) error { return a.runInit(o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	configFlag(f, &o.file)
	f.StringVar(&o.Name, "name", "", "the mirror's `NAME` (default the last part of the source)")
	f.StringVar(&o.Source, "source", "", "the `DIRECTORY` whose contents are mirrored")
	f.StringArrayVar(&o.Targets, "target", nil, "a `TARGET` as with lockstep mirror; may be given several times")
	f.StringVar(&o.PasswordFile, "password-file", "", "the `FILE` with the password of rsync daemons")
	f.BoolVar(&o.force, "force", false, "replace a file that exists")
	return cmd
}

func (a *app) runInit(o *initOptions) error {
	if err := a.askFor(o); err != nil {
		return usageError{err}
	}
	for _, p := range []*string{&o.Source, &o.PasswordFile} {
		if *p != "" {
			abs, err := filepath.Abs(*p)
			if err != nil {
				return usageError{err}
			}
			*p = abs
		}
	}
	o.Name = cmp.Or(o.Name, filepath.Base(o.Source))
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	name := cmp.Or(o.file, defaultConfig())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError{hintedError{fmt.Errorf("%s is there already", tree.Quote(name)), "lockstep init --force"}}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(o.Text())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	a.console.printf("wrote %s; look it over, then: lockstep check, lockstep run", tree.Quote(name))
	return nil
}

// askFor asks for what flags don't say.
func (a *app) askFor(o *initOptions) error {
	in := bufio.NewScanner(a.in)
	ask := func(question string) string {
		a.console.printf("%s", question)
		if !in.Scan() {
			return ""
		}
		return strings.TrimSpace(in.Text())
	}
	asked := o.Source == "" || len(o.Targets) == 0
	if o.Source == "" {
		if o.Source = ask("Which directory is to be mirrored?"); o.Source == "" {
			return errors.New("init: no source named")
		}
	}
	if len(o.Targets) == 0 {
		for {
			t := ask("A target (a directory, HOST::MODULE, HOST:PATH; empty when done)?")
			if t == "" {
				break
			}
			o.Targets = append(o.Targets, t)
		}
	}
	if asked && o.PasswordFile == "" && strings.Contains(strings.Join(o.Targets, " "), "::") {
		o.PasswordFile = ask("The file with the daemon's password (empty if it wants none)?")
	}
	return in.Err()
}
