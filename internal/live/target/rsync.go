package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
	"lockstep/internal/rsync/wire"
)

// Rsync is a target behind an rsync daemon or an rsync over a remote shell.
// Nothing but rsync is needed there.
//
// A full pass is one session over the whole tree, or several, see split. A batch is one session for
// each of its steps, see plan; the session of the most common step is opened
// in advance and held, so that a change waits for the file list and the data
// alone.
type Rsync struct {
	src   Source
	opts  Options
	ep    session.Endpoint
	names *flist.Names
	held  holder

	// What is known of the peer since the last session.
	protocol  int  // 0 = not yet known
	noMissing bool // does not take --delete-missing-args
	noWindow  bool // does not take a modification window of nanoseconds
	noRename  bool // does not take --link-dest or --hard-links
	noSplit   bool // a full pass in parts has failed

	purged string // the day on which old backups were last removed
}

// RemovesByName is the first protocol whose peers know --delete-missing-args: they
// remove single names, old backups among them.
const RemovesByName = 31

// NewRsync makes a target of the endpoint that sp names.
func NewRsync(sp Spec, src Source, opts Options) (*Rsync, error) {
	r := &Rsync{src: src, opts: opts, names: &flist.Names{}}
	r.ep = session.Endpoint{
		Daemon: sp.Transport == Daemon, Host: sp.Host, User: sp.User, Module: sp.Module, Path: sp.Path,
		RsyncPath: opts.RsyncPath, Protocol: opts.Protocol,
	}
	if sp.Port != "" {
		r.ep.Port, _ = strconv.Atoi(sp.Port) // checked by ParseSpec
	}
	if sp.Transport == Shell {
		words, err := session.SplitShell(opts.Shell)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", tree.Quote(sp.Text), err)
		}
		r.ep.Shell = words
	}
	if r.ep.Daemon {
		r.ep.User = daemonUser(sp.User)
		r.ep.Password = func() (string, error) { return Password(opts.PasswordFile) }
	}
	if r.ep.Daemon && (sp.TLS || opts.TLS) {
		r.ep.TLS = &opts.TLSFiles
		if _, err := opts.TLSFiles.Config(sp.Host); err != nil {
			return nil, err
		}
	}
	if err := r.ep.Validate(); err != nil {
		return nil, fmt.Errorf("target %s: %w", tree.Quote(sp.Text), err)
	}
	if opts.PasswordFile != "" && r.ep.Daemon {
		if _, err := Password(opts.PasswordFile); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// daemonUser is who authenticates when the target names nobody, as rsync has it.
func daemonUser(user string) string {
	for _, name := range []string{user, os.Getenv("USER"), os.Getenv("LOGNAME")} {
		if name != "" {
			return name
		}
	}
	return "nobody"
}

// Close implements Target.
func (r *Rsync) Close() error {
	r.held.drop()
	return nil
}

// base are the options of every session.
func (r *Rsync) base() session.Options {
	o := session.Options{
		Links: true, Perms: true, Times: true, Owner: true, Group: true, Devices: true, Specials: true,
		HardLinks: r.opts.HardLinks, ACLs: r.opts.ACLs, Xattrs: r.opts.Xattrs, NumericIDs: r.opts.NumericIDs,
		Delete: r.opts.Delete, MaxDelete: -1, Names: r.names,
	}
	if b := r.opts.Backups; b.on() {
		o.Backup, o.BackupDir = true, b.name(time.Now())
	}
	if kib, always := r.opts.BwLimit.Constant(); always {
		o.BwLimit = kib
	} else {
		o.Rate = func() int { return r.opts.BwLimit.At(time.Now()) }
	}
	if !r.noWindow && (r.protocol == 0 || r.protocol >= 31) {
		o.ModifyWindow = -1
	}
	if r.opts.Compress {
		o.Compress = "auto"
	}
	o.Filters = r.filters(r.opts.Rules.Behind(r.src.Away.Rules()))
	return o
}

// filters tells a peer of rules, nil if there are none.
func (r *Rsync) filters(rules *filter.Rules) func(protocol int) ([]string, error) {
	if rules == nil {
		return nil
	}
	return func(protocol int) ([]string, error) { return rules.Wire(protocol, r.opts.Delete, false) }
}

// Full implements Target.
func (r *Rsync) Full(ctx context.Context, progress func(Progress)) (Report, error) {
	r.held.drop()
	if r.opts.MaxDelete.On() && r.opts.Delete && !r.opts.DryRun {
		rep, err := r.full(ctx, true, func(Progress) {})
		if err != nil {
			return rep, err
		}
		if err := r.opts.tooMuch(rep); err != nil {
			return Report{}, err
		}
	}
	rep, err := r.full(ctx, r.opts.DryRun, progress)
	if err == nil && !r.opts.DryRun {
		r.prepare(ctx)
	}
	return rep, err
}

func (r *Rsync) full(ctx context.Context, dry bool, progress func(Progress)) (Report, error) {
	root, err := r.src.Open()
	if err != nil {
		return Report{}, err
	}
	defer root.Close()
	run := r.newRun(ctx, root)
	run.progress = progress
	parts := []part{{}}
	if !dry && !r.noSplit && !r.opts.HardLinks && len(r.opts.BwLimit) == 0 {
		parts = split(ctx, root, r.src.scope().Hidden)
	}
	if len(parts) == 1 {
		err = run.pass(dry, &parts[0])
	} else if err = run.inParts(ctx, parts); !lost(err) {
		r.noSplit = err != nil // whatever it was, the next pass is a plain one
	}
	if err == nil && !dry {
		run.purge(ctx)
	}
	return run.report, r.describe(err)
}

// pass makes a full pass over one part of the tree.
func (r *run) pass(dry bool, part *part) error {
	o := r.base()
	o.Recurse, o.DryRun, o.Checksum = true, dry, r.opts.Checksum
	// With hard links and incremental lists, rsync 3.5.0's receiving side waits
	// for ever when a linked file vanishes or is left out.
	o.IncRecurse = !r.opts.HardLinks
	o.IgnoreErrors = false
	if dry && r.opts.MaxDelete.Share > 0 {
		o.Remote = append(o.Remote, "--log-format=%i") // so that it says what it does not have
	}
	job := sender.Job{Whole: true, Scope: r.src.scope()}
	if part.rules != nil {
		ahead := part.rules.Behind(r.src.Away.Rules())
		job.Scope = r.src.Scope.Behind(ahead)
		o.Filters = r.filters(r.opts.Rules.Behind(ahead))
	}
	if r.opts.Hold {
		job.Steady = &sender.Steady{Writing: r.src.Writing.has}
	}
	err := r.session(o, job, false)
	var se *session.Error
	if errors.As(err, &se) {
		switch {
		case !part.later && r.learn(se):
			return r.pass(dry, part)
		case se.Code == session.ExitVanished, se.Code == session.ExitPartial && r.blame(se.Messages, nil):
			return nil // the paths are known and stay dirty; otherwise do it all again
		}
	}
	return err
}

// soft reports whether an exit code says that single paths failed.
func soft(code int) bool { return code == session.ExitPartial || code == session.ExitVanished }

// Apply implements Target.
func (r *Rsync) Apply(ctx context.Context, b change.Batch) (Report, error) {
	root, err := r.src.Open()
	if err != nil {
		return Report{Outcome: change.Outcome{Untouched: true}}, err
	}
	defer root.Close()
	run := r.newRun(ctx, root)
	for _, it := range b.Items {
		run.asIs[it.Path] = it.AsIs
	}
	if r.opts.MaxDelete.On() {
		b.Items = run.counted(b.Items)
	}
	if r.noRename || !r.opts.Delete {
		for i := range b.Renames {
			run.report.Outcome.Renames[i] = true
		}
		b.Renames = nil
	}
	p := planner{lstat: root.Lstat, batch: b, legacy: r.legacy(), hardLinks: r.opts.HardLinks, counts: r.opts.MaxDelete.On()}
	steps := p.plan()
	for i, s := range steps {
		if p.gone() {
			run.report.Outcome = change.Outcome{Again: true}
			break
		}
		if err := run.step(s); err != nil {
			if i == 0 && run.report.Wire == 0 {
				run.report.Outcome = change.Outcome{Untouched: true}
			}
			return run.report, r.describe(err)
		}
	}
	run.purge(ctx)
	r.prepare(ctx)
	return run.report, nil
}

// counted leaves out what is gone together with a directory whose removal is
// not in the batch, and so has not been counted against --max-delete: the list
// would ask for the removal of that directory. It stays dirty.
func (r *run) counted(items []change.Item) []change.Item {
	listed := make(map[tree.Path]bool, len(items))
	for _, it := range items {
		listed[it.Path] = true
	}
	gone := func(p tree.Path) bool {
		_, err := r.root.Lstat(p)
		return errors.Is(err, fs.ErrNotExist)
	}
	return slices.DeleteFunc(slices.Clone(items), func(it change.Item) bool {
		top := it.Path
		for up := top.Parent(); !up.IsRoot() && gone(up); up = up.Parent() {
			top = up
		}
		if top == it.Path || listed[top] {
			return false
		}
		r.report.Outcome.Vanished = append(r.report.Outcome.Vanished, it.Path)
		return true
	})
}

// legacy reports whether deletions have to go through listings of directories.
func (r *Rsync) legacy() bool {
	return r.noMissing || r.protocol != 0 && r.protocol < RemovesByName
}

// describe turns a session's failure into a target's.
func (r *Rsync) describe(err error) error {
	var se *session.Error
	if err == nil || !errors.As(err, &se) {
		return err
	}
	return &Error{Err: err, Permanent: se.Permanent, Hint: hint(se)}
}

// hint is what an operator can do about a failure, "" if that is not known.
func hint(e *session.Error) string {
	text := strings.ToLower(strings.Join(e.Messages, "\n"))
	switch {
	case strings.Contains(text, "auth failed"):
		return "check the user name, --password-file and the daemon's secrets file"
	case strings.Contains(text, "unknown module"):
		return "list the daemon's modules with: rsync rsync://HOST/"
	case strings.Contains(text, "read only"):
		return `set "read only = no" for the module in rsyncd.conf`
	case strings.Contains(text, "max connections"):
		return `raise "max connections" in rsyncd.conf: a mirror holds one connection`
	case e.Option != "" && strings.Contains(text, "refuse"):
		return fmt.Sprintf("remove %s from \"refuse options\" in rsyncd.conf", strings.TrimLeft(e.Option, "-"))
	}
	return ""
}

// run is one full pass or one batch.
type run struct {
	*Rsync
	ctx      context.Context
	root     *walk.Root
	progress func(Progress)
	report   Report
	asIs     map[tree.Path]bool
	halvings int // sessions spent on finding out which path failed
}

func (r *Rsync) newRun(ctx context.Context, root *walk.Root) *run {
	return &run{
		Rsync: r, ctx: ctx, root: root, asIs: map[tree.Path]bool{},
		report: Report{Outcome: change.Outcome{Failed: map[tree.Path]error{}, Renames: map[int]bool{}}},
	}
}

// options are those of a step's session.
func (r *Rsync) options(s step) session.Options {
	o := r.base()
	o.Recurse = s.recurses()
	if !s.dir.IsRoot() {
		o.Backup, o.BackupDir = false, "" // it would lie below that directory; nothing is replaced there
	}
	if s.linkDest != "" {
		o.LinkDest = []string{s.linkDest}
	}
	if s.linked {
		o.HardLinks, o.ACLs, o.Xattrs = true, false, false
	}
	if s.whole {
		return o
	}
	o.Relative, o.Dirs = true, !o.Recurse
	o.IgnoreTimes = s.content
	o.DeleteMissing = o.Delete && !r.legacy()
	o.Checksum = o.Recurse && r.protocol != 0 && r.protocol < 31
	return o
}

// step carries out one step of a batch.
func (r *run) step(s step) error {
	if r.opts.MaxDelete.On() {
		s.list = slices.Clone(s.list)
		for i := range s.list { // what goes after counted has looked is not counted
			s.list[i].Alone = true
		}
	}
	job := sender.Job{Dir: s.dir, Whole: s.whole, List: s.list, Scope: r.src.scope()}
	err := r.session(r.options(s), job, s.content && s.dir.IsRoot() && !s.recurses() && !s.linked)
	var se *session.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &se):
		return err
	case r.learn(se):
		return r.step(s)
	case s.optional && !connecting(se):
		for _, i := range s.renames {
			r.report.Outcome.Renames[i] = true
		}
		return nil
	case se.Code == session.ExitVanished:
		return nil // they are noted
	case se.Code != session.ExitPartial:
		return err
	}
	return r.partly(s, se)
}

// connecting reports whether a session failed before it could do anything.
func connecting(e *session.Error) bool {
	return e.Code == session.ExitStartClient || e.Code == session.ExitSocket || e.Code == session.ExitConnTimeout
}

// lost reports whether a session failed together with its connection.
func lost(err error) bool {
	var se *session.Error
	return errors.As(err, &se) && (connecting(se) || se.Code == session.ExitStream || se.Code == session.ExitTimeout)
}

// learn notes that the peer does not take an option which we can do without,
// and reports whether it was one.
func (r *Rsync) learn(e *session.Error) bool {
	known := func(flag *bool) bool {
		again := !*flag
		*flag = true
		return again
	}
	switch strings.TrimLeft(e.Option, "-") {
	case "delete-missing-args":
		return known(&r.noMissing)
	case "@", "modify-window":
		return known(&r.noWindow)
	case "link-dest", "H", "hard-links":
		return known(&r.noRename)
	}
	return false
}

// maxHalvings bounds the sessions that one batch spends on finding bad paths.
const maxHalvings = 40

// partly deals with a session in which some paths failed: those that the peer
// named stay dirty; if it named none that we know, halves of the list are tried
// on their own.
func (r *run) partly(s step, e *session.Error) error {
	if r.blame(e.Messages, s.list) {
		return nil
	}
	if len(s.list) == 1 || r.halvings >= maxHalvings {
		for _, it := range s.list {
			r.report.Outcome.Failed[it.Path.Under(s.dir)] = errors.New(lastWords(e.Messages))
		}
		return nil
	}
	r.halvings++
	half := len(s.list) / 2
	for _, list := range [][]sender.Item{s.list[:half], s.list[half:]} {
		part := s
		part.list = list
		if err := r.step(part); err != nil {
			return err
		}
	}
	return nil
}

// session runs one session and adds up what it did.
func (r *run) session(o session.Options, job sender.Job, common bool) error {
	job.Root = r.root
	deleted := 0
	job.OnDeleted = func(name string, _ bool) {
		deleted++
		if o.DryRun {
			r.opts.plan(true, tree.Path(name))
		}
	}
	var stuck []tree.Path
	if job.Whole && job.Dir.IsRoot() {
		job.OnMessage = func(_ wire.Code, text string) { stuck = notRemoved(stuck, text) }
	}
	if o.DryRun && r.opts.DryRun {
		job.OnSent = func(p tree.Path) { r.opts.plan(false, p) }
	}
	if p := r.opts.pace(r.ctx); p != nil {
		job.OnHashed = p.read
	}
	job.OnError = r.sourceError
	if r.opts.Hold && job.Steady == nil {
		job.Steady = &sender.Steady{AsIs: func(p tree.Path) bool { return r.asIs[p] }}
	}
	if r.progress != nil {
		job.OnProgress = func(p sender.Progress) {
			now := Progress{Files: int64(p.Transferred), Bytes: p.Bytes, Checked: int64(p.Checked)}
			if p.ListedAll {
				now.Total = int64(p.Listed)
			}
			r.progress(now)
		}
	}
	res, err := r.send(o, job, common)
	r.report.Files += res.Transferred
	r.report.Bytes += res.Literal + res.Matched
	r.report.Wire += res.Read + res.Written
	r.report.Deleted += deleted
	for _, p := range stuck {
		if !r.src.scope().Hidden(p, true) {
			r.report.Outcome.Vanished = append(r.report.Outcome.Vanished, p)
		}
	}
	if job.Whole {
		r.report.Entries += res.Files
		if o.DryRun {
			r.report.Holds += max(res.Files-1-res.New, 0) + deleted
		}
	}
	return err
}

// send opens a session, or takes the one that is held, and runs job in it.
func (r *run) send(o session.Options, job sender.Job, common bool) (sender.Result, error) {
	if common && r.holdsSessions() {
		if s := r.held.take(r.ctx).session; s != nil {
			res, err := s.Send(r.ctx, job)
			var se *session.Error
			if err == nil || res.Files > 0 || !errors.As(err, &se) || se.Option != "" || soft(se.Code) {
				return res, err
			}
			// The peer had ended it: open another.
		}
	}
	s, err := r.open(r.ctx, o, job.Dir)
	if err != nil {
		return sender.Result{}, err
	}
	defer s.Close()
	if now := s.Protocol(); now != r.protocol { // sessions beside each other find it the same
		r.protocol = now
	}
	return s.Send(r.ctx, job)
}

// sourceError hears of paths that could not be read.
func (r *run) sourceError(p tree.Path, err error) {
	o := &r.report.Outcome
	switch {
	case errors.Is(err, sender.ErrWriting):
		r.report.Writing = append(r.report.Writing, p)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, sender.ErrChanged):
		o.Vanished = append(o.Vanished, p)
	default:
		o.Failed[p] = blamed(err)
	}
}
