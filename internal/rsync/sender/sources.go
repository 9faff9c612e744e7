package sender

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"syscall"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// arguments is what a lister of Sources keeps from one argument to the next.
type arguments struct {
	base    string    // the directory of --files-from
	last    tree.Path // the parent of the argument before, as it was listed
	implied int       // incremental: the number in kids of the directory that argument leads through, -1 without
	trusted way       // of a name of --files-from before
	inside  string    // the directory that rsync would be in now, "" for the one it was started in
	dot     bool      // "." was listed because names began with "./"
	ruled   ruled     // by what arguments are filtered
	held    *walk.Dir // the directory that the last argument was found in
	heldIn  where
}

// found is what an argument turned out to be.
type found struct {
	path  tree.Path // in the list; "/." is the root with --relative
	where where
	entry tree.Entry
	extra *extra
}

// incremental reports whether there is a list for each directory.
func (l *lister) incremental() bool { return l.src.params.Compat.Has(wire.IncRecurse) }

// sources sends the only list of what the arguments name, or the first one.
func (l *lister) sources() error {
	s := l.src.job.Sources
	l.voice.begin(l.incremental())
	l.enc.Begin()
	l.implied = -1
	defer l.drop()
	var err error
	if s.Names == nil {
		for _, arg := range s.Args {
			if err := l.argument(arg); err != nil {
				return err
			}
		}
	} else if err = l.names(); err != nil {
		return err
	}
	if !l.incremental() {
		l.end()
		l.eof = true
		l.voice.listed(l.entries)
		return nil
	}
	l.endNumbered(tree.Root)
	return nil
}

// drop gives the held directory back.
func (l *lister) drop() {
	if l.held != nil {
		l.held.Close()
		l.held = nil
	}
}

// names lists what --files-from names.
func (l *lister) names() error {
	l.base = l.src.job.Sources.Args[0]
	if _, err := l.place(&argument{}); err != nil {
		return &Error{Code: exitFiles, Text: l.voice.failure("change_dir", l.src.raw(l.base), err)}
	}
	for {
		name, err := l.src.job.Sources.Names()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := l.argument(sanitized(name, l.src.params.Opt.Relative)); err != nil {
			return err
		}
		if err := l.src.ctx.Err(); err != nil {
			return err
		}
	}
}

// argument lists what one argument names. Its error ends the run.
func (l *lister) argument(text string) error {
	opt := l.src.params.Opt
	a, err := parseArgument(text, opt.Relative)
	if err != nil {
		return err
	}
	w, err := l.place(&a)
	if err != nil {
		l.ioError |= IOErrorGeneral
		l.voice.trouble("change_dir", l.src.raw(joined(l.base, a.dir)), err)
		return nil
	}
	if a.dotRoot && !l.dot {
		l.dot = true
		if opt.Recurse || opt.Dirs {
			l.parent(tree.Root, w)
		} else {
			l.voice.say(wire.CodeInfo, "skipping directory .")
		}
	}
	if err := l.distrusted(&a, w); err != nil {
		output.TellRefusal(l.src.params.Talk, err)
		return l.notFound(&a, w, err)
	}
	f, err := l.look(&a, w)
	if err != nil {
		return l.notFound(&a, w, err)
	}
	isDir := f.entry.Meta.IsDir()
	if a.name != tree.Root && l.excluded(f.path, w, isDir) {
		return nil
	}
	if isDir && !opt.Recurse && !opt.Dirs {
		l.voice.say(wire.CodeInfo, "skipping directory %s", shown(f.path))
		return nil
	}
	if l.src.params.Opt.Debugs(option.DebugFlist, option.DebugListed) {
		l.voice.say(wire.CodeInfo, "[sender] make_file(%s,*,0)", shown(f.path))
	}
	f.where.device = f.entry.Meta.Dev
	if l.through(&a, f.path, f.where) {
		return nil
	}
	return l.emit(&a, f)
}

// distrusted is why symlinks keep the operator from a name of --files-from, below
// the directory that it is relative to. Where symlinks are to be followed anyway
// it makes no difference who owns them.
func (l *lister) distrusted(a *argument, w where) error {
	s := l.src
	if s.job.Sources.Names == nil || !s.params.Opt.Relative || s.follows() || s.held.place.Confined() {
		return nil
	}
	to := way{w.origin, w.origin.below(a.name)}
	if !a.slash {
		to.path = to.path.Parent()
	}
	if to == l.trusted || to.path == tree.Root {
		return nil
	}
	err := w.origin.use(func(r *walk.Root) error { return s.refused(r, string(to.path)) })
	if err == nil {
		l.trusted = to
	}
	return err
}

// way is a path below an origin, in the words of that.
type way struct {
	origin *origin
	path   tree.Path
}

// shown is a path of the list as it is printed.
func shown(p tree.Path) string {
	if p == tree.Root {
		return "."
	}
	return string(p)
}

// raw is how messages call a directory as it was given.
func (s *source) raw(dir string) string { return joined(s.job.Sources.Name, dir) }

// place is the directory that an argument is relative to.
func (l *lister) place(a *argument) (where, error) {
	s := l.src
	dir, prefix := joined(l.base, a.dir), tidy(a.dir)
	switch {
	case l.base != "" && a.dir == "":
		dir = l.base
	case a.absolute():
		dir, prefix = "/", ""
	}
	last := len(s.origins) - 1
	listed := a.name == tree.Root
	l.tellEntered(dir)
	if last >= 0 && s.origins[last].dir == dir && s.origins[last].prefix == prefix && s.origins[last].listed == listed {
		return where{origin: s.origins[last], number: int32(last)}, nil
	}
	label := s.job.Sources.labelOf(dir)
	o := &origin{dir: dir, listed: listed, prefix: prefix, label: label, held: s.held}
	if s.job.Sources.Guard != nil {
		o.guard = tree.Path(strings.Trim(label, "/"))
		if o.guard != tree.Root && s.job.Sources.Guard.Hidden(o.guard, true) {
			return where{}, syscall.ENOENT
		}
	}
	err := o.use(func(r *walk.Root) error {
		_, err := r.Lstat(tree.Root) // not allowed without permission to enter
		return err
	})
	if err != nil {
		return where{}, err
	}
	o.trusted = sync.OnceValue(func() error { return s.refused(nil, label) })
	o.scope = s.scopeOf(o)
	s.origins = append(s.origins, o)
	return where{origin: o, number: int32(len(s.origins) - 1)}, nil
}

// ruled is the directory whose per-directory filters are in force for the
// arguments that come next: as in rsync, the one that was entered last and not
// left, be it another than theirs. The zero value is none.
type ruled struct {
	scope *filter.Scope
	dir   tree.Path
}

func (r *ruled) verdict(own *filter.Scope, p tree.Path, isDir bool) filter.Verdict {
	if r.scope == nil {
		return own.As(filter.Sender, nil, p, isDir)
	}
	return r.scope.As(filter.Sender, &r.dir, p, isDir)
}

// excluded reports whether the filter hides an argument.
func (l *lister) excluded(p tree.Path, w where, isDir bool) bool {
	o := w.origin
	at := o.below(p)
	if o.scope == nil {
		return false
	}
	v := l.ruled.verdict(o.scope, at, isDir)
	if l.src.params.Opt.Debug[option.DebugFilter] > 0 {
		if text := verdictText(v, p, isDir); text != "" {
			l.voice.say(wire.CodeInfo, "%s", text)
		}
	}
	return v.Excluded
}

// notFound deals with an argument that could not be looked at (section 3.6).
func (l *lister) notFound(a *argument, w where, err error) error {
	opt := l.src.params.Opt
	missing := errors.Is(err, syscall.ENOENT)
	switch {
	case missing && opt.DeleteMissingArgs:
		return l.missingArgument(a, w)
	case missing && opt.IgnoreMissingArgs:
	case errors.Is(err, errNoReferent):
		l.ioError |= l.voice.unlisted(a.name, w.origin.full(a.name), err)
	default:
		if !missing {
			l.ioError |= IOErrorGeneral
		}
		l.voice.trouble("link_stat", w.origin.full(a.name), err)
	}
	return nil
}

// missingArgument has the peer remove what is not there, be it excluded or not.
func (l *lister) missingArgument(a *argument, w where) error {
	if a.name == tree.Root || l.through(a, a.name, w) {
		return nil
	}
	l.add(&flist.Entry{Dir: above(a.name), Name: lastPart(a.name)}, w, false)
	return nil
}

// emit lists what was found, in the list of its parent.
func (l *lister) emit(a *argument, f found) error {
	opt := l.src.params.Opt
	ent := flist.Entry{Dir: above(f.path), Name: lastPart(f.path), Meta: f.entry.Meta}
	f.extra.fill(&ent)
	ent.Top = true
	isDir := f.entry.Meta.IsDir()
	oneLevel := isDir && !opt.Recurse && a.slash
	if isDir && !opt.Recurse && !oneLevel {
		ent.Top, ent.NoContent = false, true
	}
	if !l.add(&ent, f.where, f.extra.followed) || !isDir {
		return nil
	}
	switch {
	case oneLevel:
		return l.contents(f, false)
	case !opt.Recurse:
	case !l.incremental():
		if err := l.contents(f, true); err != nil {
			return err
		}
		return l.descend()
	case f.where.origin.below(f.path) == tree.Root:
		return l.contents(f, true)
	default:
		l.remember(ent.Name, f)
	}
	return nil
}

// remember notes that the contents of the directory just added are to be listed.
func (l *lister) remember(name string, f found) {
	l.kids = append(l.kids, kid{
		entry: tree.Entry{Name: name, Meta: f.entry.Meta}, own: f.where,
		parts: []part{{where: f.where, content: true}},
		at:    l.position(), set: l.enc.LastXattrSet(),
	})
}

// contents lists what is in a directory that was found, and notes what is to be
// listed of its subdirectories.
func (l *lister) contents(f found, deep bool) error {
	d, err := l.read(f.path, f.where)
	if err != nil {
		return err
	}
	if err := l.complain(d); err != nil {
		return err
	}
	switch {
	case !deep:
		for i := range d.entries {
			d.fill(&l.ent, i)
			l.ent.NoContent = l.ent.Meta.IsDir()
			l.add(&l.ent, d.where, d.extra(i).followed)
		}
	case l.incremental():
		l.ruled = ruled{f.where.origin.scope, f.where.origin.below(f.path)}
		l.kids = append(l.kids, l.unnumbered(d)...)
	default:
		l.members(d)
	}
	return nil
}

// complain says what went wrong in a directory, and what else there is to say.
// Its error ends the run.
func (l *lister) complain(d *dirListing) error {
	if d.broken != nil {
		return mergeError(d.where.origin, d.broken)
	}
	for _, note := range d.notes {
		l.voice.say(wire.CodeInfo, "%s", note)
	}
	switch {
	case d.err == nil:
	case errors.Is(d.err, syscall.ENOENT):
		l.ioError |= IOErrorVanished
		l.voice.gone("directory", d.where.origin.full(d.path))
	default:
		l.ioError |= IOErrorGeneral
		l.voice.trouble("opendir", d.where.origin.full(d.path), d.err)
	}
	for _, f := range d.faults {
		l.ioError |= l.voice.unlisted(f.path, d.where.origin.full(f.path), f.err)
	}
	return nil
}

// read has one directory read, now.
func (l *lister) read(path tree.Path, w where) (*dirListing, error) {
	s := newScan(path, part{where: w, content: true})
	l.scan.jobs <- s
	if err := l.await(s.done); err != nil {
		return nil, err
	}
	d := &s.dirs[0]
	if l.src.careful && errors.Is(d.err, fs.ErrNotExist) {
		l.onFault(path, d.err)
	}
	return d, nil
}
