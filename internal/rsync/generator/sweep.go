package generator

import (
	"fmt"
	"slices"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// sweeper is what deletion keeps from one directory to the next.
type sweeper struct {
	listed map[string]struct{} // names in the directory at hand
	dev    uint64              // file system of the last top directory, for -x
	hasDev bool
	later  []dest.Extra // --delete-delay
	names  []walk.Name  // buffer
	extra  []dest.Extra // buffer

	// What the filters keep in directory emptied while it is removed.
	emptied tree.Path
	keep    func(name string, isDir bool) bool
}

// sweepAll deletes in all content directories (--delete-before, --delete-after).
func (g *run) sweepAll(l *list) {
	for _, f := range l.Order {
		switch {
		case f.Dup:
			continue
		case f.Meta.Kind != tree.Dir || !f.Content:
			g.p.Scope.Peek(g.d.Path(f))
			g.d.TellFilters(g.d.Path(f))
			continue
		case g.dirs[f]&lost != 0:
			continue
		}
		if f.Top {
			g.debug(option.DebugDel, 1, "deleting in "+g.name(f))
		}
		have, err := g.d.Stat(f)
		switch {
		case err == nil && have.Kind == tree.Dir:
			g.sweepOne(l, f, &have)
		case f.Path.IsRoot() && g.d.Fresh() && !g.dry && g.swept(f):
			g.barred() // says so even though there is nothing to delete
		}
	}
}

// sweepDir deletes in a directory when its turn has come.
func (g *run) sweepDir(l *list, f *flist.File, have *dest.Found) {
	switch {
	case g.timing != during && g.timing != delay:
	case have.Kind == tree.Dir && g.dirs[f]&made == 0:
		g.sweepOne(l, f, have)
	case g.dry && (g.d.Fresh() || f.Path.IsRoot()): // the destination is not there
	case g.swept(f):
		g.tellSweep(f, g.barred()) // which says so even though there is nothing to delete
	}
}

// sweepOne deletes in directory f what is not listed (rsync-filelist 8), from
// the last name to the first.
func (g *run) sweepOne(l *list, f *flist.File, have *dest.Found) {
	if f.Top {
		g.sweep.dev, g.sweep.hasDev = have.Dev, true
	}
	if !g.swept(f) || g.p.Refused != nil && g.p.Refused(g.d.Path(f), true) || g.opt.OneFileSystem > 0 && g.sweep.hasDev && have.Dev != g.sweep.dev {
		return
	}
	barred := g.barred()
	g.tellSweep(f, barred)
	if barred {
		return
	}
	dir := g.d.Path(f)
	names, err := g.d.Names(dir, g.sweep.names[:0])
	g.sweep.names = names
	if err == nil && g.p.Readable {
		names, err = g.d.Readable(dir, names)
	}
	if err != nil {
		g.unreadable(dir, err)
		return
	}
	g.list(l, f)
	keep := g.p.Scope.ChildProtected(dir, false)
	g.tellNames(dir, names, keep)
	slices.SortFunc(names, func(a, b walk.Name) int {
		return flist.CompareSiblings(g.p.Protocol, b.Name, b.IsDir(), a.Name, a.IsDir())
	})
	names = slices.DeleteFunc(names, func(n walk.Name) bool {
		kept := keep(n.Name, n.IsDir())
		g.explain(dir.Join(n.Name), n.IsDir(), kept)
		_, listed := g.sweep.listed[n.Name]
		return listed || kept || g.p.Refused != nil && g.p.Refused(dir.Join(n.Name), n.IsDir())
	})
	if len(names) == 0 {
		return
	}
	extra := g.sweep.extra[:0]
	if g.timing == delay {
		extra = g.sweep.later
	}
	for _, n := range names {
		extra = append(extra, dest.Extra{Path: dir.Join(n.Name), Kind: n.Kind})
	}
	if g.timing == delay {
		g.sweep.later = extra
		g.spoil(f)
		return
	}
	g.sweep.extra = extra
	if g.removeExtra(extra) {
		g.spoil(f)
	}
}

// swept reports whether the contents of a directory are listed, so that the rest
// may be deleted.
func (g *run) swept(f *flist.File) bool {
	return f.Content && (g.p.Protocol >= 30 || g.opt.Recurse || f.Top)
}

// barred reports, and says once, that trouble at the sender forbids to delete.
// The first directory is swept before trouble with later lists is minded, as by a
// generator that hears of it only where it waits for them: else it would hang on
// the moment what is deleted there.
func (g *run) barred() bool {
	if g.current != nil {
		g.mind()
	}
	if g.d.Unlisted() {
		g.result.IOError |= ioGeneral
	}
	if g.result.IOError&ioGeneral == 0 || g.opt.IgnoreErrors {
		return false
	}
	if !g.saidIO {
		g.saidIO = true
		g.text(wire.CodeInfo, "IO error encountered -- skipping file deletion")
	}
	return true
}

// unreadable notes that a directory cannot be swept. As with trouble at the
// sender, nothing more is deleted then.
func (g *run) unreadable(dir tree.Path, err error) {
	g.result.IOError |= ioGeneral
	g.d.Tell("opendir "+g.d.FullName(dir)+" failed", err)
}

// explain says which rule decides about a name.
func (g *run) explain(p tree.Path, isDir, kept bool) {
	if g.opt.Debug[option.DebugFilter] == 0 {
		return
	}
	v := g.p.Scope.Explain(filter.Receiver, p, isDir)
	if v.Rule != nil && v.Excluded == kept {
		g.text(wire.CodeInfo, Explained(v, p, isDir))
	}
}

// Explained says which rule decided about p, in the generator's words.
func Explained(v filter.Verdict, p tree.Path, isDir bool) string {
	verb, what := "risking", "file"
	if v.Excluded {
		verb = "protecting"
	}
	if isDir {
		what = "directory"
	}
	return fmt.Sprintf("[generator] %s %s %s because of pattern %s", verb, what, p, v.Rule.Shown())
}

// removeExtra removes what has no business to be there, and tells whether any
// of it is gone.
func (g *run) removeExtra(extra []dest.Extra) bool {
	g.changed()
	g.scout.removals++
	gone, err := g.d.DeleteExtra(extra, g.kept)
	g.did(err)
	return gone > 0
}

// pinned reports whether the filters keep p, which is in a directory that is to
// be removed. They decide about each name by itself, as rsync does. With perish
// perishable rules keep nothing.
func (s *sweeper) pinned(scope *filter.Scope, p tree.Path, isDir, perish bool) bool {
	if dir := p.Parent(); s.keep == nil || s.emptied != dir {
		s.emptied, s.keep = dir, scope.ChildProtected(dir, perish)
	}
	return s.keep(p.Base(), isDir)
}

// list makes the set of the names that directory f is to have.
func (g *run) list(l *list, f *flist.File) {
	if g.sweep.listed == nil {
		g.sweep.listed = make(map[string]struct{})
	}
	clear(g.sweep.listed)
	add := func(f *flist.File) {
		if !f.Dup {
			g.sweep.listed[f.Path.Base()] = struct{}{}
		}
	}
	if !g.inc {
		if g.kin == nil {
			g.kin = newKin(l)
		}
		g.kin.held(f, add)
		return
	}
	for _, f := range l.Files {
		add(f)
	}
}

// deleteLate does the deletions that come after the last phase.
func (g *run) deleteLate() {
	switch g.timing {
	case delay:
		for i := range g.sweep.later {
			g.sweep.later[i].Kind = tree.Missing // it was some time ago
		}
		g.removeExtra(g.sweep.later)
		g.sweep.later = nil
	case after:
		if g.d.Single() {
			return
		}
		g.p.Scope.Forget(tree.Root) // merge files may have arrived
		g.sweepAll(g.open[0])
	}
}
