package lockstep

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/fleet"
	"lockstep/internal/ops/report"
	"lockstep/internal/ops/service"
	"lockstep/internal/ops/web"
)

// runOptions are the flags of lockstep run.
type runOptions struct {
	config               string
	json, quiet, verbose bool
}

func (a *app) run() *cobra.Command {
	o := &runOptions{}
	cmd := &cobra.Command{
		Use:   "run [flags]",
		Short: "Keep all mirrors of a configuration in step",
		Long: `All mirrors of the file run in one process; one that fails stops no other and is
started again. A mirror whose source vanished, or whose first pass would remove
more than max_delete, waits for lockstep resume.

SIGHUP, or lockstep reload, applies an edited file: mirrors that did not change
go on undisturbed. SIGUSR1 prints the status. SIGINT and SIGTERM end it cleanly.
Under systemd it is a service of Type=notify, with a watchdog if one is set.`,
		Example: "  lockstep run\n  lockstep run -c lockstep.toml --json",
		Args:    a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.json = o.json
			return a.runFleet(context.Background(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	configFlag(f, &o.config)
	f.BoolVar(&o.json, "json", false, "print one object a line, see help json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors only")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print each path too")
	return cmd
}

// running is lockstep run while it runs.
type running struct {
	app     *app
	opts    *runOptions
	file    string
	end     context.CancelFunc
	fleet   *fleet.Fleet
	notify  *service.Notifier
	journal report.Journal

	mu  sync.Mutex // one configuration is applied at a time
	cfg *config.Config
}

// runFleet runs until a signal, or ctx, ends it.
func (a *app) runFleet(ctx context.Context, o *runOptions) error {
	cfg, err := loadConfig(o.config)
	if err != nil {
		return err
	}
	if o.quiet && o.verbose {
		return usageError{fmt.Errorf("--quiet and --verbose exclude each other")}
	}
	if err := a.outputOutside(mirroredDirs(cfg)); err != nil {
		return usageError{err}
	}
	a.console.terminal = false // several mirrors have no common status line
	ctx, end := context.WithCancel(ctx)
	defer end()
	r := &running{app: a, opts: o, file: cfg.File, end: end, notify: service.NewNotifier()}
	r.fleet = fleet.New(fleet.Options{Version: versionText(), Listener: r.listener, Changed: r.changed, Journal: &r.journal, Reload: r.reload})
	defer r.fleet.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE)
	defer signal.Stop(signals)
	stop, err := r.serve(cfg)
	if err != nil {
		return err
	}
	defer stop()
	r.apply(cfg)
	r.told(r.notify.Ready(r.summary()))
	r.loop(ctx, signals)
	r.told(r.notify.Stopping())
	return nil
}

// serve opens the control socket, the metrics and the page.
func (r *running) serve(cfg *config.Config) (stop func(), err error) {
	var opened []func() error
	end := func() {
		for _, end := range slices.Backward(opened) {
			if err := end(); err != nil {
				r.app.console.warnf("%s", plain(err.Error()))
			}
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	path := cfg.Control
	if path == "" {
		if path, err = control.DefaultPath(); err != nil {
			return nil, usageError{err}
		}
	}
	ctl, err := control.Listen(path, r.fleet.Handle)
	if err != nil {
		return nil, err
	}
	opened = append(opened, func() error { ctl.Close(); return nil })
	if cfg.Metrics != "" {
		m, err := report.Serve(cfg.Metrics, r.fleet.Status)
		if err != nil {
			return nil, err
		}
		opened = append(opened, m.Close)
	}
	if cfg.Page == "" {
		return end, nil
	}
	o, err := pageOptions(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	o.Status, o.Recent = r.status, r.journal.Recent
	page, err := web.Listen(o)
	if err != nil {
		return nil, err
	}
	opened = append(opened, page.Close)
	if !r.opts.quiet && !r.opts.json {
		r.app.console.printf("the page: %s", cmp.Or(page.URL(), cfg.Page))
	}
	return end, nil
}

// pageOptions are those of the page that cfg wants, without what it shows.
func pageOptions(cfg *config.Config) (o web.Options, err error) {
	o = web.Options{Address: cfg.Page, Cert: cfg.PageCert, Key: cfg.PageKey, ClientCA: cfg.PageClientCA}
	if cfg.PageTokenFile != "" {
		if o.Token, err = target.Password(cfg.PageTokenFile); err != nil {
			return o, fmt.Errorf("page_token_file: %w", err)
		}
	}
	return o, o.Validate()
}

// status is a snapshot with our process in it.
func (r *running) status() report.Status {
	s := r.fleet.Status()
	s.PID = os.Getpid()
	return s
}

// statusEach is how often the supervisor is told how things are.
const statusEach = 5 * time.Second

// loop serves signals until one, or ctx, ends it. After that a signal has its
// usual effect: a second one ends the process at once.
func (r *running) loop(ctx context.Context, signals <-chan os.Signal) {
	beat := statusEach
	if w := r.notify.Watchdog(); w > 0 {
		beat = min(beat, w/3)
	}
	tick := time.NewTicker(max(beat, time.Millisecond))
	defer tick.Stop()
	shown := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.heartbeat(ctx, beat)
			if s := r.summary(); s != shown {
				shown = s
				r.told(r.notify.Status(s))
			}
		case sig := <-signals:
			switch sig {
			case syscall.SIGPIPE:
			case syscall.SIGUSR1:
				r.app.tellStatus(r.opts.json, r.status())
			case syscall.SIGHUP:
				if changes, err := r.reload(); err == nil {
					r.app.tellChanges(r.opts.json, changes)
				}
			default:
				return
			}
		}
	}
}

// heartbeat feeds the watchdog as long as every mirror answers.
func (r *running) heartbeat(ctx context.Context, within time.Duration) {
	if r.notify.Watchdog() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if r.fleet.Alive(ctx) {
		r.told(r.notify.Alive())
	}
}

// reload reads the configuration again and applies it. One with a mistake
// changes nothing.
func (r *running) reload() ([]control.Change, error) {
	c, err := loadConfig(r.file)
	if err != nil {
		r.app.console.errorf("reload: %s", plain(err.Error()))
		return nil, err
	}
	r.told(r.notify.Reloading())
	changes := r.apply(c)
	r.told(r.notify.Ready(r.summary()))
	return changes, nil
}

// apply makes c what runs.
func (r *running) apply(c *config.Config) []control.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.cfg; old != nil && (old.Control != c.Control || old.Metrics != c.Metrics || old.Page != c.Page) {
		r.app.console.warnf("reload: control, metrics and the page are where they were until lockstep run is started again")
	}
	r.cfg = c
	return r.fleet.Apply(c)
}

// listener is a reporter of its own for each mirror.
func (r *running) listener(m *config.Mirror) (mirror.Listener, func()) {
	rep := startReporterOf(m.Name, r.app.console, newBoard(m.Source, boardOptions{verbose: r.opts.verbose}), r.opts.json, r.opts.quiet, r.end)
	return rep.listener(), rep.close
}

// changed tells of a mirror that starts or ends.
func (r *running) changed(m report.Mirror) {
	if r.opts.json {
		r.app.console.objectOf(m.Name, mirrorStateRecord{newHead("mirror-state"), m.State, m.Error, m.Hint, m.Next})
		return
	}
	if m.State != report.Failed && m.State != report.Ended {
		return
	}
	text := fmt.Sprintf("%s: the mirror has ended: %s", m.Name, plain(cmp.Or(m.Error, "no reason given")))
	if m.Next != nil {
		text += "; it starts again at " + clock(*m.Next)
	}
	r.app.console.errorf("%s", text)
	if m.Hint != "" {
		r.app.console.hintf("%s", plain(m.Hint))
	}
}

// summary is the status in one line.
func (r *running) summary() string {
	var targets, inStep int
	s := r.fleet.Status()
	for i := range s.Mirrors {
		for _, t := range s.Mirrors[i].Targets {
			targets++
			if t.State == mirror.InStep.String() {
				inStep++
			}
		}
	}
	text := fmt.Sprintf("%d of %s in step", inStep, count(targets, "target"))
	for i := range s.Mirrors {
		if wrong := s.Mirrors[i].Trouble(); wrong != "" && s.Mirrors[i].State != report.Starting {
			return text + "; " + strings.TrimSpace(plain(wrong))
		}
	}
	return text
}

// told reports that the supervisor could not be reached.
func (r *running) told(err error) {
	if err != nil {
		r.app.console.warnf("%s", plain(err.Error()))
	}
}

// mirroredDirs are the directories of this machine that are mirrored.
func mirroredDirs(c *config.Config) []string {
	var dirs []string
	for i := range c.Mirrors {
		dirs = append(dirs, localDirs(c.Mirrors[i].Source, c.Mirrors[i].Targets)...)
	}
	return dirs
}
