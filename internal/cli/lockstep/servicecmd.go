package lockstep

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/target"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/service"
	"lockstep/internal/rsync/session"
)

// serviceOptions are the flags of lockstep service install and uninstall.
type serviceOptions struct {
	config, dir, verify, rate string
	daemon                    string
	port                      int
	user, print               bool
}

func (a *app) service() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "service {install|uninstall}",
		Short:   "Install lockstep run as a systemd service",
		Example: "  lockstep service install\n  lockstep service install --verify weekly\n  lockstep service uninstall",
		Args:    a.noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.serviceInstall(), a.serviceUninstall())
	return cmd
}

func (o *serviceOptions) addFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&o.user, "user", os.Geteuid() != 0, "a service of this user, not of the system")
	f.StringVar(&o.dir, "dir", "", "leave systemd alone, the units are in `DIR`")
}

func (a *app) serviceInstall() *cobra.Command {
	o := &serviceOptions{}
	cmd := &cobra.Command{
		Use:   "install [flags]",
		Short: "Write the units, then enable and start them",
		Long: `The units fit the configuration: they wait for the mounts of sources and targets
and take away from the service what it does not need. Run it again when sources
or targets on this machine have changed. A unit that lockstep did not write is
left alone.`,
		Example: "  lockstep service install\n  lockstep service install -c /etc/lockstep/lockstep.toml --verify 'Sun 03:00'\n  lockstep service install --daemon /etc/rsyncd.conf\n  lockstep service install --print",
		Args:    a.noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.installService(o) },
	}
	configFlag(cmd.Flags(), &o.config)
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.verify, "verify", "", "compare mirrors whose configuration says nothing (verify) at this `TIME`, as systemd has them: weekly, daily, 'Sun 03:00'")
	cmd.Flags().StringVar(&o.rate, "verify-bwlimit", "", "let these comparisons read at most so much a second, a `RATE` (default what verify_bwlimit says)")
	cmd.Flags().StringVar(&o.daemon, "daemon", "", "serve this rsyncd.conf, a `FILE`, as well: systemd listens, and starts the daemon with the first client")
	cmd.Flags().IntVar(&o.port, "port", session.DefaultPort, "with --daemon: the `PORT` to listen on")
	cmd.Flags().BoolVar(&o.print, "print", false, "print the units, change nothing")
	return cmd
}

func (a *app) serviceUninstall() *cobra.Command {
	o := &serviceOptions{}
	cmd := &cobra.Command{
		Use:     "uninstall [flags]",
		Short:   "Stop the service and remove its units",
		Long:    "Exactly what install wrote is removed; the configuration stays.",
		Example: "  lockstep service uninstall",
		Args:    a.noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.uninstallService(o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// unitDir is where the units are.
func (o *serviceOptions) unitDir() (string, error) {
	switch {
	case o.dir != "":
		return filepath.Abs(o.dir)
	case !o.user:
		return "/etc/systemd/system", nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "systemd", "user"), err
}

func (a *app) installService(o *serviceOptions) error {
	c, err := o.mirrors()
	if err != nil {
		return err
	}
	setup, err := o.setup(c)
	if err != nil {
		return err
	}
	units, err := setup.Units()
	if err != nil {
		return usageError{err}
	}
	if o.print {
		for _, u := range units {
			a.console.printf("# %s\n%s", u.Name, strings.TrimSuffix(u.Text, "\n"))
		}
		return nil
	}
	dir, err := o.unitDir()
	if err != nil {
		return err
	}
	names, err := service.Write(dir, units)
	if err != nil {
		return err
	}
	for _, n := range names {
		a.console.printf("wrote %s", tree.Quote(filepath.Join(dir, n)))
	}
	if setup.Config != "" {
		if err := a.removeStale(o, dir, units); err != nil {
			return err
		}
	}
	if o.dir != "" {
		return nil
	}
	if err := o.systemctl("daemon-reload"); err != nil {
		return err
	}
	for _, n := range names {
		if service.ByOthers(n) {
			continue
		}
		if err := o.systemctl("enable", n); err != nil {
			return err
		}
		if err := o.systemctl("restart", n); err != nil {
			return err
		}
		a.console.printf("started %s", n)
	}
	return nil
}

// removeStale removes the timers of mirrors that are not to be compared any more.
func (a *app) removeStale(o *serviceOptions, dir string, units []service.Unit) error {
	names, err := service.Stale(dir, units)
	if err != nil || len(names) == 0 {
		return err
	}
	return a.removeUnits(o, dir, names)
}

// removeUnits stops and removes units.
func (a *app) removeUnits(o *serviceOptions, dir string, names []string) error {
	if o.dir == "" {
		for _, n := range names {
			words := []string{"disable", "--now", n}
			if before, after, template := strings.Cut(n, "@."); template {
				words = []string{"stop", before + "@*." + after} // those of it that run, if any
			}
			if err := o.systemctl(words...); err != nil {
				return err
			}
		}
	}
	if err := service.Remove(dir, names); err != nil {
		return err
	}
	for _, n := range names {
		a.console.printf("removed %s", tree.Quote(filepath.Join(dir, n)))
	}
	return nil
}

// mirrors is the configuration of the mirrors. On a machine that has none, and
// is to serve a daemon, it is empty.
func (o *serviceOptions) mirrors() (*config.Config, error) {
	if o.daemon != "" && o.config == "" {
		if _, err := os.Stat(defaultConfig()); errors.Is(err, fs.ErrNotExist) {
			return &config.Config{}, nil
		}
	}
	return loadConfig(o.config)
}

// setup is what the units are written from.
func (o *serviceOptions) setup(c *config.Config) (service.Setup, error) {
	binary, err := os.Executable()
	if err == nil {
		binary, err = filepath.EvalSymlinks(binary)
	}
	s := service.Setup{Binary: binary, Config: c.File, User: o.user, Rate: o.rate}
	if o.daemon != "" {
		if o.port < 1 || o.port > 65535 {
			return s, usageError{fmt.Errorf("port: %d is not within 1 to 65535", o.port)}
		}
		s.Port = o.port
		if s.Daemon, err = filepath.Abs(o.daemon); err != nil {
			return s, err
		}
		if _, err := os.Stat(s.Daemon); err != nil {
			return s, usageError{hintedError{fmt.Errorf("daemon: %w", err), "lockstep daemon check " + tree.ShellWord(o.daemon)}}
		}
	}
	for i := range c.Mirrors {
		m := &c.Mirrors[i]
		if when := cmp.Or(m.Verify, o.verify); when != "" && when != config.Never {
			s.Verify = append(s.Verify, service.Check{Mirror: m.Name, When: when})
		}
		s.Reads = append(s.Reads, m.Source)
		for _, t := range m.Targets {
			if spec, err := target.ParseSpec(t); err == nil && spec.Transport == target.Local {
				s.Writes = append(s.Writes, spec.Path)
			}
		}
	}
	return s, err
}

func (a *app) uninstallService(o *serviceOptions) error {
	dir, err := o.unitDir()
	if err != nil {
		return err
	}
	names, err := service.Installed(dir)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		a.console.printf("no unit of lockstep is in %s", tree.Quote(dir))
		return nil
	}
	if err := a.removeUnits(o, dir, names); err != nil {
		return err
	}
	if o.dir == "" {
		return o.systemctl("daemon-reload")
	}
	return nil
}

// systemctl runs a command of the service manager.
func (o *serviceOptions) systemctl(words ...string) error {
	if o.user {
		words = append([]string{"--user"}, words...)
	}
	out, err := exec.Command("systemctl", words...).CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("service: there is no systemctl here: %w", err)
	}
	return hintedError{fmt.Errorf("systemctl %s: %s", strings.Join(words, " "), cmp.Or(strings.TrimSpace(string(out)), err.Error())), "journalctl -e -u lockstep"}
}
