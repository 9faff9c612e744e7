package lockstep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/internal/cli/eventline"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/hours"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/ops/config"
	"lockstep/internal/rsync/secure"
)

// mirrorOptions are the flags of lockstep mirror.
type mirrorOptions struct {
	once, dryRun, noDelete bool
	maxDelete              change.Limit
	rules                  []ruleWord
	cvsExclude             bool
	backups                target.Backups

	shell, rsyncPath, passwordFile string
	tls                            bool
	tlsFiles                       secure.Client
	protocol                       int
	bwLimit                        hours.Rates
	quietHours                     []string
	compress, checksum, hardLinks  bool
	acls, xattrs, numericIDs       bool

	watch, events                     string
	pollInterval, maxHold, batchDelay time.Duration
	logFile, logFormat, logTimeFormat string
	json, quiet, verbose              bool
}

// The defaults that are not zero.
const (
	defaultMaxHold   = time.Minute
	defaultLogFormat = "%T %e %w%f"
	defaultTimeFmt   = "%Y-%m-%d %H:%M:%S"
)

func (a *app) mirror() *cobra.Command {
	o := &mirrorOptions{maxDelete: change.NoLimit, maxHold: defaultMaxHold, watch: "auto"}
	cmd := &cobra.Command{
		Use:   "mirror [flags] SOURCE TARGET...",
		Short: "Make targets the same as a source, and keep them so",
		Long: `The contents of SOURCE become the contents of each TARGET, and stay so until
interrupted. A TARGET is

  DIRECTORY                               a directory on this machine
  [USER@]HOST::MODULE[/PATH]              a module of an rsync daemon
  rsync://[USER@]HOST[:PORT]/MODULE[/PATH]
  rsyncs://[USER@]HOST[:PORT]/MODULE[/PATH]   with TLS, on port 874 by default
  [USER@]HOST:PATH                        a path over a remote shell (ssh)

An IPv6 HOST stands in brackets. What is in a TARGET and not in SOURCE is
deleted, see --no-delete and --max-delete. Owner, group, permissions,
nanosecond times, symlinks, devices and specials are kept, as with rsync -a.

A daemon's password comes from --password-file or RSYNC_PASSWORD. SIGUSR1 prints
the state of every target. SIGINT and SIGTERM end the mirror cleanly.`,
		Example: `  # two directories
  lockstep mirror /web/www /srv/copy

  # the daemons that already run, with passwords as rsync takes them
  lockstep mirror --password-file=/etc/web1.pass /web/www liang@192.168.1.32::web1 liang@192.168.1.33::web2

  # a daemon with TLS, logged in by a certificate
  lockstep mirror --tls-ca=/etc/ca.pem --tls-cert=/etc/web.pem /web/www rsyncs://web1.example.org/web1

  # over ssh on another port, without what an editor leaves behind
  lockstep mirror -e 'ssh -p 2222' --exclude='*~' --exclude='.*.swp' /web/www deploy@web3:/web/www

  # bring in step once and see what it would do first
  lockstep mirror --dry-run -v /web/www /srv/copy
  lockstep mirror --once /web/www /srv/copy

  # a log as the inotifywait script wrote it
  lockstep mirror --log-file=/var/log/changes --timefmt='%d/%m/%y %H:%M' --format='%T %w%f%e' /web/www /srv/copy`,
		Args: a.mirrorArgs,
		RunE: func(cmd *cobra.Command, words []string) error {
			a.json = o.json
			return a.runMirror(o, words[0], words[1:])
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	cmd.Flags().SortFlags = false
	o.addFlags(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("watch", cobra.FixedCompletions(watchWords, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

// mirrorArgs wants a source and a target.
func (a *app) mirrorArgs(cmd *cobra.Command, words []string) error {
	var missing string
	switch len(words) {
	case 0:
		missing = "SOURCE and TARGET are missing"
	case 1:
		missing = "TARGET is missing"
	default:
		return nil
	}
	return usageError{hintedError{fmt.Errorf("mirror: %s", missing), cmd.CommandPath() + " --help"}}
}

// addFlags declares the flags, in the order in which help shows them.
func (o *mirrorOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.once, "once", false, "bring every target in step, then exit")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what a first pass would do, change nothing; implies --once")
	f.BoolVar(&o.noDelete, "no-delete", false, "never remove anything from a target")
	f.Var(limitFlag{&o.maxDelete}, "max-delete", "wait for an operator rather than remove more than so many entries, or such a share of what the target holds as in 20%, in one pass or within ten seconds (default no limit)")

	f.StringVar(&o.backups.Dir, "backup-dir", "", "keep what is deleted or replaced at the top of the target, in `NAME` with the day behind it")
	f.IntVar(&o.backups.Days, "backup-days", 30, "remove those directories after `N` days (0 = never)")

	f.VarP(ruleFlag{&o.rules, "filter"}, "filter", "f", "add a filter rule, as rsync has them; the order of all filter options counts")
	f.Var(ruleFlag{&o.rules, "include"}, "include", "don't exclude what matches")
	f.Var(ruleFlag{&o.rules, "exclude"}, "exclude", "leave alone what matches, here and on targets")
	f.Var(ruleFlag{&o.rules, "include-from"}, "include-from", "read include patterns from a file")
	f.Var(ruleFlag{&o.rules, "exclude-from"}, "exclude-from", "read exclude patterns from a file")
	f.BoolVarP(&o.cvsExclude, "cvs-exclude", "C", false, "exclude what CVS would, .git/ too, and read .cvsignore files")

	f.StringVarP(&o.shell, "rsh", "e", "", "the remote shell `COMMAND` (default $RSYNC_RSH, else ssh)")
	f.StringVar(&o.rsyncPath, "rsync-path", "", "the rsync to run on the remote machine, a `PROGRAM` with its options (default rsync)")
	f.StringVar(&o.passwordFile, "password-file", "", "read the daemon's password from the first line of `FILE` (- = standard input)")
	f.BoolVar(&o.tls, "tls", false, "speak TLS with all rsync daemons, as with rsyncs://")
	f.StringVar(&o.tlsFiles.CA, "tls-ca", "", "trust the authorities in `FILE`, not those of the system")
	f.StringVar(&o.tlsFiles.Cert, "tls-cert", "", "log in to daemons with the certificate in `FILE`")
	f.StringVar(&o.tlsFiles.Key, "tls-key", "", "the certificate's key, if it is in a `FILE` of its own")
	f.StringVar(&o.tlsFiles.Name, "tls-name", "", "expect certificates of `NAME`, not of the host")
	f.BoolVarP(&o.compress, "compress", "z", false, "compress what is sent, by a method that the peer knows too")
	f.Var(bandwidthFlag{&o.bwLimit}, "bwlimit", "send at most so much a second to each target: KiB, or with a unit as in 1.5m; by the clock: 08:00-18:00=10m,1g (0 = no limit)")
	f.StringSliceVar(&o.quietHours, "quiet-hours", nil, "begin nothing in these parts of the day, as in `22:00-06:00`; changes are collected")
	f.IntVar(&o.protocol, "protocol", 0, "the highest rsync protocol to offer, `27..32` (0 = the highest)")

	f.BoolVarP(&o.checksum, "checksum", "c", false, "in first passes compare content, not size and time")
	f.BoolVarP(&o.hardLinks, "hard-links", "H", false, "keep hard links")
	f.BoolVarP(&o.acls, "acls", "A", false, "keep ACLs")
	f.BoolVarP(&o.xattrs, "xattrs", "X", false, "keep extended attributes")
	f.BoolVar(&o.numericIDs, "numeric-ids", false, "keep uid and gid numbers, not names")

	f.Var(choiceFlag{&o.watch, watchWords}, "watch", "how to see changes: auto, fanotify, inotify or poll")
	f.Var(durationFlag{&o.pollInterval}, "poll-interval", "time between two looks where polling is used (0 = 5s)")
	f.StringVar(&o.events, "events", "", "take these changes only, a comma `LIST` of inotifywait's names (default all that change a tree)")
	f.Var(durationFlag{&o.maxHold}, "max-hold", "send a file as it is that stays open for writing longer than this (0 = never)")
	f.Var(durationFlag{&o.batchDelay}, "batch-delay", "wait so long after a change for more (0 = batches form by themselves)")

	f.StringVar(&o.logFile, "log-file", "", "append a line for each change to `FILE`")
	f.StringVar(&o.logTimeFormat, "timefmt", "", "how %T is written there, a strftime `FORMAT` (default "+quotePercent(defaultTimeFmt)+")")
	f.StringVar(&o.logFormat, "format", "", "what a line there says, see help format: a `FORMAT` (default "+quotePercent(defaultLogFormat)+")")
	f.BoolVar(&o.json, "json", false, "print one object a line, see help json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors only")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print each path too")
}

func quotePercent(s string) string { return "'" + s + "'" }

// config turns the words into what a mirror needs.
func (o *mirrorOptions) config(source string, targets []string, stdin io.Reader) (mirror.Config, error) {
	cfg := mirror.Config{
		Source: source, Targets: targets, Once: o.once || o.dryRun, DryRun: o.dryRun, NoDelete: o.noDelete, MaxDelete: o.maxDelete, Backups: o.backups,
		PasswordFile: o.passwordFile, Shell: cmp.Or(o.shell, os.Getenv("RSYNC_RSH")), RsyncPath: o.rsyncPath,
		TLS: o.tls, TLSFiles: o.tlsFiles,
		Protocol: o.protocol, Compress: o.compress, BwLimit: o.bwLimit,
		Checksum: o.checksum, HardLinks: o.hardLinks, ACLs: o.acls, Xattrs: o.xattrs, NumericIDs: o.numericIDs,
		PollInterval: o.pollInterval, MaxHold: o.maxHold, BatchDelay: o.batchDelay,
	}
	switch {
	case o.quiet && o.verbose:
		return cfg, errors.New("--quiet and --verbose exclude each other")
	case o.logFile == "" && o.logFormat != "":
		return cfg, errors.New("--format is for the log: name one with --log-file")
	case o.logFile == "" && o.logTimeFormat != "":
		return cfg, errors.New("--timefmt is for the log: name one with --log-file")
	}
	var err error
	if cfg.Watch, err = watchBackend(o.watch); err != nil {
		return cfg, err
	}
	if cfg.Events, err = parseEvents(o.events); err != nil {
		return cfg, err
	}
	if cfg.Quiet, err = config.ParseWindows(o.quietHours); err != nil {
		return cfg, fmt.Errorf("quiet-hours: %w", err)
	}
	cfg.Rules, err = compileRules(append(config.BackupRule(o.backups), o.rules...), o.cvsExclude, stdin)
	return cfg, err
}

// localDirs are the directories on this machine that are mirrored.
func localDirs(source string, targets []string) []string {
	dirs := []string{source}
	for _, t := range targets {
		if spec, err := target.ParseSpec(t); err == nil && spec.Transport == target.Local {
			dirs = append(dirs, spec.Path)
		}
	}
	return dirs
}

// runMirror runs one mirror until it ends or a signal ends it.
func (a *app) runMirror(o *mirrorOptions, source string, targets []string) error {
	cfg, err := o.config(source, targets, a.in)
	if err != nil {
		return usageError{err}
	}
	dirs := localDirs(source, targets)
	if err := a.outputOutside(dirs); err != nil {
		return usageError{err}
	}

	ctx, end := context.WithCancel(context.Background())
	defer end()
	rep := startReporter(a.console, newBoard(source, boardOptions{verbose: o.verbose, once: cfg.Once, dryRun: o.dryRun}), o.json, o.quiet, end)
	defer rep.close()
	cfg.Listener = rep.listener()
	log, err := o.openLog(dirs, rep)
	if err != nil {
		return usageError{err}
	}
	if log != nil {
		defer log.close()
		cfg.Listener.Event = log.listener(source)
	}
	m, err := mirror.New(cfg)
	if err != nil {
		return usageError{err}
	}
	sig := catchSignals(
		func() {
			if a.console.terminal && !cfg.Once {
				a.console.printf("stopping; interrupt again to stop at once")
			}
			end()
		},
		func() {
			state := m.State()
			rep.put(func(b *board, now time.Time) { b.state(now, state) })
		})
	defer sig.release()
	if err = m.Run(ctx); err == nil && cfg.Once && ctx.Err() != nil {
		err = errInterrupted
	}
	return err
}

// openLog opens the log of changes, if one was asked for.
func (o *mirrorOptions) openLog(dirs []string, rep *reporter) (*changeLog, error) {
	if o.logFile == "" {
		return nil, nil
	}
	if err := outside("log file", o.logFile, dirs); err != nil {
		return nil, err
	}
	format, err := eventline.Compile(cmp.Or(o.logFormat, defaultLogFormat), cmp.Or(o.logTimeFormat, defaultTimeFmt))
	if err != nil {
		return nil, err
	}
	return openChangeLog(o.logFile, format, func(err error) {
		rep.put(func(b *board, now time.Time) {
			b.notice(now, err.Error()+"; the mirror goes on without it", "df "+tree.ShellWord(o.logFile))
		})
	})
}

// outputOutside refuses output that goes to a file in a mirrored directory.
func (a *app) outputOutside(dirs []string) error {
	for what, stream := range map[string]any{"standard output": a.console.out, "standard error": a.console.err} {
		f, ok := stream.(*os.File)
		if !ok {
			continue
		}
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		if err != nil || strings.HasSuffix(name, " (deleted)") {
			continue
		}
		if err := outside(what, name, dirs); err != nil {
			return err
		}
	}
	return nil
}
