package generator

import (
	"errors"
	"fmt"
	"syscall"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// attempt says how an entry is looked at if it is not for the first time.
type attempt struct {
	redo bool // what came was damaged: nothing is left out, nothing compared (rsync-transfer 1.10)
	must bool // of a set of hard links, this one has to be transferred
}

// entry decides about l.Order[i] in the order of rsync-transfer 4.1. An error
// ends the run.
func (g *run) entry(l *list, f *flist.File, i int) error {
	ok, err := g.reachable(l, f)
	switch {
	case err != nil:
		return err
	case !ok:
		g.skip(l, f)
		return nil
	case f.Meta.Kind == tree.Dir && g.inc:
		g.child(l, f, i)
		return nil
	}
	have, err := g.at(l, i)
	if f.Meta.Kind == tree.Dir {
		g.directory(l, f, f.Index, have, err)
		return nil
	}
	g.meet(f, f.Index)
	g.decide(l, f, have, err, attempt{})
	return nil
}

// meet says that an entry's turn has come.
func (g *run) meet(f *flist.File, ndx int32) {
	if g.opt.Debug[option.DebugGenr] > 0 {
		g.text(wire.CodeInfo, fmt.Sprintf("recv_generator(%s,%d)", g.name(f), ndx))
	}
}

// at is what stands where l.Order[i] goes.
func (g *run) at(l *list, i int) (*dest.Found, error) {
	if err, known := g.below(l, l.Order[i]); known {
		return g.scout.nothing(), err
	}
	return g.scout.at(l, i)
}

// look is what stands at the place of f now.
func (g *run) look(l *list, f *flist.File) (dest.Found, error) {
	if err, known := g.below(l, f); known {
		return dest.Found{}, err
	}
	return g.d.Stat(f)
}

// below reports whether it is known without looking that f is not there, since
// its directory is none.
func (g *run) below(l *list, f *flist.File) (err error, known bool) {
	if dir := g.holder(l, f); dir != nil {
		switch marks := g.dirs[dir]; {
		case marks&absent != 0:
			return nil, true
		case marks&blocked != 0:
			return syscall.ENOTDIR, true
		}
	}
	return nil, false
}

// reachable reports whether the directory of f is there, or would be. What is
// below one that is left out is left out too.
func (g *run) reachable(l *list, f *flist.File) (bool, error) {
	dir := l.Dir
	if !g.inc {
		var listed bool
		if dir, listed = g.kin.dir(f); !listed && !f.Gone {
			return false, &Error{Code: 2, Err: ErrProtocol,
				Text: "ABORTING due to invalid path from sender: " + printed(f.Path)}
		}
	}
	if dir == nil || dir == f {
		return true, nil
	}
	if g.dirs[dir]&lost != 0 {
		return false, nil
	}
	if dir.Implied && !g.opt.ImpliedDirs {
		return g.parents(f), nil
	}
	return true, nil
}

// parents makes the directories above f that are missing, where the list does
// not say what they are like (-R --no-implied-dirs).
func (g *run) parents(f *flist.File) bool {
	p := g.d.Path(f).Parent()
	if p == tree.Root || g.dry || g.opt.Existing || f.Gone {
		return true
	}
	have, err := g.d.StatPath(p)
	if err == nil && have.Kind == tree.Missing {
		g.changed()
		err = g.d.MkdirParents(g.d.Path(f))
	}
	return g.did(err)
}

// skip leaves out an entry, and what is below it.
func (g *run) skip(l *list, f *flist.File) {
	switch {
	case f.Meta.Kind == tree.Dir:
		g.dirs[f] |= lost
	case f.Group() != nil:
		g.leaveSet(l, f)
	}
}

// decide is entry for anything but directories, from step 3 on.
func (g *run) decide(l *list, f *flist.File, have *dest.Found, statErr error, a attempt) {
	if g.decided(l, f, have, statErr, a) {
		return
	}
	if f.Group() != nil && g.opt.HardLinks {
		g.leaveSet(l, f)
	}
}

// decided is decide; false says that the entry was left out.
func (g *run) decided(l *list, f *flist.File, have *dest.Found, statErr error, a attempt) bool {
	if g.p.Refused != nil && g.p.Refused(g.d.Path(f), false) {
		g.text(wire.CodeErrorXfer, fmt.Sprintf("ERROR: daemon refused to receive file \"%s\"", g.name(f)))
		return false
	}
	if f.Gone {
		g.gone(l, f, have, statErr)
		return true
	}
	exists := statErr == nil && have.Kind != tree.Missing
	if !a.redo {
		if g.opt.Existing && statErr == nil && !exists {
			g.skipped("not creating new file \"" + g.name(f) + "\"")
			return false
		}
		if g.opt.IgnoreExisting && exists {
			g.exists(f, have)
			return false
		}
	}
	if f.Group() != nil && g.opt.HardLinks && !a.redo && !a.must && g.joins(l, f, have) {
		return true
	}
	switch kind := f.Meta.Kind; {
	case kind == tree.Symlink && g.opt.Links:
		return g.symlink(l, f, have, statErr, a)
	case kind.IsDevice() && g.opt.Devices && g.d.Super() && !g.opt.DropD, kind.IsSpecial() && g.opt.Specials && !g.opt.DropD:
		return g.node(l, f, have, statErr, a)
	case kind != tree.File:
		if g.info(option.InfoNonreg) > 0 {
			g.text(wire.CodeInfo, "skipping non-regular file \""+printed(f.Path)+"\"")
		}
		return false
	}
	return g.file(l, f, have, statErr, a)
}

func (g *run) skipped(line string) {
	if g.info(option.InfoSkip) > 0 {
		g.text(wire.CodeInfo, line)
	}
}

// exists says that --ignore-existing leaves something as it is.
func (g *run) exists(f *flist.File, have *dest.Found) {
	switch g.info(option.InfoSkip) {
	case 0:
	case 1:
		g.text(wire.CodeInfo, g.name(f)+" exists")
	default:
		g.text(wire.CodeInfo, g.name(f)+" exists ("+g.difference(f, have)+")")
	}
}

func (g *run) difference(f *flist.File, have *dest.Found) string {
	same := have.Kind == f.Meta.Kind
	if !same {
		return "type change"
	}
	if f.Meta.Kind == tree.File {
		same, _ = g.d.QuickCheck(f, have)
	} else {
		same = g.d.SameNode(f, have)
	}
	switch {
	case !same && g.opt.Checksum:
		return "sum change"
	case !same:
		return "file change"
	case g.d.Differs(f, have, 0, false) != 0:
		return "attr change"
	}
	return "uptodate"
}

// gone removes what a missing argument stands for (--delete-missing-args).
func (g *run) gone(l *list, f *flist.File, have *dest.Found, statErr error) {
	p := g.d.Path(f)
	if statErr != nil || have.Kind == tree.Missing || g.protected(p, have.Kind == tree.Dir) {
		return
	}
	g.spoilParent(l, f)
	g.remove(p, have.Meta, dest.Removal{Shallow: true})
}

// protected reports whether the filters keep deletion away from p.
func (g *run) protected(p tree.Path, dir bool) bool {
	return g.p.Scope.Protected(p, dir) || g.p.Refused != nil && g.p.Refused(p, dir)
}

// remove deletes one item, and tells whether it is gone.
func (g *run) remove(p tree.Path, have tree.Meta, how dest.Removal) bool {
	how.Keep = g.kept
	g.changed()
	if have.Kind == tree.Dir {
		g.scout.removals++
	}
	return g.did(g.d.Delete(p, have, how))
}

// kept is dest.Removal.Keep.
func (g *run) kept(p tree.Path, dir bool) bool {
	kept := g.sweep.pinned(g.p.Scope, p, dir, g.p.perish())
	g.explain(p, dir, kept)
	return kept || g.p.Refused != nil && g.p.Refused(p, dir) || g.p.Readable && g.unseen(p)
}

// unseen reports whether p cannot be read, and so does not count as there.
func (g *run) unseen(p tree.Path) bool {
	left, err := g.d.Readable(p.Parent(), []walk.Name{{Name: p.Base()}})
	return err == nil && len(left) == 0
}

// makeRoom removes an item of another kind than what is to stand there. have is
// then as if it were gone, in a dry run as well.
func (g *run) makeRoom(l *list, f *flist.File, have *dest.Found, what string) bool {
	g.spoilParent(l, f)
	if !g.remove(g.d.Path(f), have.Meta, dest.Removal{MakeRoom: what}) {
		return false
	}
	*have = dest.Found{}
	return true
}

// did reports whether something at the destination went well. Trouble was told,
// unless it ends the run.
func (g *run) did(err error) bool {
	if err == nil {
		return true
	}
	var fatal *dest.Error
	if errors.As(err, &fatal) && fatal.Code != 0 && g.fatal == nil {
		g.fatal = err
	}
	return false
}

// changed notes that main changed something at the destination.
func (g *run) changed() { g.scout.changes++ }
