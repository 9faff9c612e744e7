package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
)

// Directory is a target on this machine.
type Directory struct {
	dir    string
	src    Source
	opts   Options
	pin    tree.Inode // of the target's root, once a full pass has begun
	purged string     // the day on which old backups were last looked for
}

// NewDirectory makes a target of the local directory that sp names. It is made
// by the first full pass if it is missing; its parent must be there.
func NewDirectory(sp Spec, src Source, opts Options) *Directory {
	return &Directory{dir: sp.Path, src: src, opts: opts}
}

// Close has nothing to end: no handle outlives a piece of work.
func (d *Directory) Close() error { return nil }

func (d *Directory) applyOptions() apply.Options {
	return apply.Options{
		Perms: true, Times: true, Owner: true, Group: true, Links: true, Devices: os.Geteuid() == 0, Specials: true,
		ACLs: d.opts.ACLs, Xattrs: d.opts.Xattrs,
	}
}

// begin opens both trees for one piece of work.
func (d *Directory) begin(ctx context.Context) (*work, error) {
	src, err := d.src.Open()
	if err != nil {
		return nil, err
	}
	w := &work{
		ctx: ctx, src: src, scope: d.src.scope(), opts: d.opts, pacer: d.opts.pace(ctx),
		links: map[tree.Inode]*leader{}, content: map[tree.Inode]bool{}, dirs: map[tree.Path]bool{},
		report: Report{Outcome: change.Outcome{Failed: map[tree.Path]error{}, Renames: map[int]bool{}}},
	}
	if err := w.open(d.dir, d.applyOptions()); err != nil {
		w.end()
		return nil, fmt.Errorf("target %s: %w", tree.Quote(d.dir), err)
	}
	return w, nil
}

// open opens the target in dir.
func (w *work) open(dir string, o apply.Options) (err error) {
	plain := o
	if w.opts.Backups.on() {
		o.Keep = w.keep
	}
	if w.dst, err = apply.OpenRoot(dir, o); err != nil || o.Keep == nil {
		return err
	}
	w.shelf.root, err = apply.On(w.dst.Reader(), plain)
	return err
}

// Full implements Target.
func (d *Directory) Full(ctx context.Context, progress func(Progress)) (Report, error) {
	if _, err := os.Stat(d.dir); errors.Is(err, fs.ErrNotExist) && !d.opts.DryRun {
		if err := apply.MakeRoot(d.dir); err != nil {
			return Report{}, fmt.Errorf("target %s: %w", tree.Quote(d.dir), err)
		}
	}
	if d.opts.MaxDelete.On() && d.opts.Delete && !d.opts.DryRun {
		rep, err := d.full(ctx, true, func(Progress) {})
		if err != nil {
			return rep, err
		}
		if err := d.opts.tooMuch(rep); err != nil {
			return Report{}, err
		}
	}
	return d.full(ctx, d.opts.DryRun, progress)
}

func (d *Directory) full(ctx context.Context, dry bool, progress func(Progress)) (Report, error) {
	w, err := d.begin(ctx)
	if err != nil {
		return Report{}, err
	}
	defer w.end()
	w.dry, w.progress = dry, progress
	if d.opts.Hold {
		w.writing = d.src.Writing
	}
	if !dry {
		d.pin = w.dst.Inode()
	}
	if err := w.tree(tree.Root, false); err != nil {
		return Report{}, err
	}
	if !dry {
		d.purge(w)
	}
	w.finishDirs()
	return w.report, ctx.Err()
}

// Apply implements Target.
func (d *Directory) Apply(ctx context.Context, b change.Batch) (Report, error) {
	w, err := d.begin(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = &Error{Err: err, Restart: true}
	}
	if err != nil {
		return Report{Outcome: change.Outcome{Untouched: true}}, err
	}
	defer w.end()
	if w.dst.Inode() != d.pin {
		return Report{Outcome: change.Outcome{Untouched: true}}, &Error{
			Err: fmt.Errorf("target %s is another directory than before", tree.Quote(d.dir)), Restart: true,
		}
	}
	for i, r := range b.Renames {
		if err := w.rename(r); err != nil {
			w.report.Outcome.Renames[i] = true
		}
	}
	w.items(b.Items)
	d.purge(w)
	w.finishDirs()
	return w.report, ctx.Err()
}

// work is one full pass or one batch. Its methods may be called by several
// goroutines; mu guards what they share.
type work struct {
	ctx      context.Context
	src      *walk.Root
	dst      *apply.Root
	shelf    shelf // without a root unless there are backups
	scope    scope
	writing  *Writing // nil in a batch: it has only what may be read
	opts     Options
	content  map[tree.Inode]bool // hard-linked files to be compared by content, see written
	dry      bool                // count only
	progress func(Progress)
	pacer    *pacer

	mu     sync.Mutex
	report Report
	links  map[tree.Inode]*leader
	dirs   map[tree.Path]bool // directories whose attributes are to be set at the end
}

// scope is what work asks of the filter rules.
type scope interface {
	Hidden(p tree.Path, isDir bool) bool
	Protected(p tree.Path, isDir bool) bool
	Pinned(p tree.Path, isDir bool) bool
}

// leader is the first name of a hard-linked file that this work met.
type leader struct {
	path  tree.Path
	ready chan struct{} // closed when path is in place, or failed
	ok    bool
}

func (w *work) end() {
	w.src.Close()
	if w.shelf.root != nil {
		w.shelf.root.Close()
	}
	if w.dst != nil {
		w.dst.Close()
	}
}

// failed notes what became of p. Sources that vanish or change come back as
// dirty without blame.
func (w *work) failed(p tree.Path, err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, ErrWriting) {
		w.report.Writing = append(w.report.Writing, p)
		return
	}
	if errors.Is(err, apply.ErrSourceChanged) || errors.Is(err, ErrChanged) {
		w.report.Outcome.Vanished = append(w.report.Outcome.Vanished, p)
		return
	}
	w.report.Outcome.Failed[p] = blamed(err)
}

// touched notes that directory p needs its attributes set when all is done.
func (w *work) touched(p tree.Path) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirs[p] = true
}

// finishDirs gives directories their attributes, times above all, after what
// they hold is in place.
func (w *work) finishDirs() {
	if w.dry {
		return
	}
	for p := range w.dirs {
		meta, err := w.src.Lstat(p)
		if err != nil || !meta.IsDir() {
			if _, err := w.dst.Reader().Lstat(p); err == nil {
				w.failed(p, ErrChanged) // it may go by another name now, which a rename will tell
			}
			continue
		}
		attrs, err := w.xattrs(p)
		if err == nil {
			err = w.dst.SetMeta(p, meta, attrs)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, apply.ErrKind) {
			continue // not there because of an error that is noted already
		}
		w.failed(p, err)
	}
}

// xattrs reads what is to be kept of p's extended attributes.
func (w *work) xattrs(p tree.Path) ([]walk.Xattr, error) {
	if !w.opts.ACLs && !w.opts.Xattrs {
		return nil, nil
	}
	return w.src.Xattrs(p)
}

// rename carries out one rename at the target.
func (w *work) rename(r change.Rename) error {
	if !w.opts.Delete {
		return errors.New("a rename removes the old name")
	}
	if err := w.parents(r.To); err != nil {
		return err
	}
	w.touched(r.From.Parent())
	w.touched(r.To.Parent())
	if err := w.dst.Rename(r.From, r.To); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.dirs { // what renames before this one have touched has another name now
		if p.Within(r.From) {
			w.dirs[p.Rebase(r.From, r.To)] = true
		}
	}
	return nil
}

// parents makes the directories above p that are missing at the target.
func (w *work) parents(p tree.Path) error {
	dir := p.Parent()
	if dir.IsRoot() {
		return nil
	}
	if m, err := w.dst.Reader().Lstat(dir); err == nil && m.IsDir() {
		return nil
	}
	if err := w.parents(dir); err != nil {
		return err
	}
	meta, err := w.src.Lstat(dir)
	if err != nil {
		return err
	}
	if !meta.IsDir() {
		return fmt.Errorf("%s is no directory any more: %w", dir, ErrChanged)
	}
	attrs, err := w.xattrs(dir)
	if err != nil {
		return err
	}
	w.touched(dir)
	w.touched(dir.Parent())
	_, err = w.dst.Mkdir(dir, meta, attrs)
	return err
}
