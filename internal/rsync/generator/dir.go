package generator

import (
	"fmt"
	"syscall"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// dirMark says what happened to a listed directory.
type dirMark uint8

const (
	lost    dirMark = 1 << iota // what is below is left alone: it is not there, or not ours
	made                        // it was not there before this run
	spoiled                     // entries were made or removed in it
	suspect                     // backups may have been made in it
	absent                      // a dry run did not make it: nothing is below
	blocked                     // something else stands there and stays
	failed                      // it could not be made, which was told
)

// child makes a directory that is met in the list of its parent, so that the
// parent's time is settled when that list is finished. Everything else waits
// for the directory's own list (rsync-filelist 2.5).
func (g *run) child(l *list, f *flist.File, i int) {
	g.meet(f, f.Index)
	if g.dirs[l.Dir]&absent != 0 && f != l.Dir {
		g.dirs[f] |= absent
	}
	if f == l.Dir || g.dirs[l.Dir]&blocked != 0 || g.dry || !g.opt.Times || g.opt.OmitDirTimes || f.Implied && !g.opt.ImpliedDirs {
		return
	}
	if g.p.Refused != nil && g.p.Refused(g.d.Path(f), true) {
		return
	}
	have, err := g.scout.at(l, i)
	if err != nil || have.Kind == tree.Dir || have.Kind == tree.Missing && g.opt.Existing {
		return
	}
	if have.Kind != tree.Missing && (g.opt.IgnoreExisting || !g.makeRoom(l, f, have, "directory")) {
		if !g.opt.IgnoreExisting {
			g.lose(f)
		}
		return
	}
	if !g.mkdir(l, f) {
		g.dirs[f] |= failed
	}
}

// directory gives a directory its whole treatment (4.1 step 8). ndx names it in
// reports; in an incremental session l is its own list.
func (g *run) directory(l *list, f *flist.File, ndx int32, have *dest.Found, statErr error) {
	g.meet(f, ndx)
	if f.Implied && !g.opt.ImpliedDirs || g.dirs[f]&lost != 0 {
		return
	}
	if g.p.Refused != nil && g.p.Refused(g.d.Path(f), true) {
		g.text(wire.CodeErrorXfer, fmt.Sprintf("ERROR: daemon refused to receive directory \"%s\"", g.name(f)))
		g.lose(f)
		return
	}
	if statErr != nil || g.dirs[f]&absent != 0 {
		have = &dest.Found{} // making it tells what is wrong
	}
	early := g.dirs[f]&made != 0
	switch {
	case g.opt.Existing && have.Kind == tree.Missing && (g.dry || !f.Path.IsRoot() || !g.d.Fresh()):
		g.skipped("not creating new directory \"" + g.name(f) + "\"")
		g.dirs[f] |= lost
		return
	case g.opt.IgnoreExisting && have.Kind != tree.Missing && have.Kind != tree.Dir:
		g.exists(f, have)
		if have.Kind != tree.Symlink {
			g.dirs[f] |= blocked
			if f.Content && (g.timing == during || g.timing == delay) {
				g.unreadable(g.d.Path(f), syscall.ENOTDIR)
			}
		}
		return
	case have.Kind != tree.Missing && have.Kind != tree.Dir && !g.makeRoom(l, f, have, "directory"):
		g.lose(f)
		return
	}
	matched := g.reportDir(f, ndx, have, early)
	if have.Kind == tree.Missing {
		if g.dry {
			g.dirs[f] |= absent
		} else if g.dirs[f]&failed != 0 || !g.mkdir(l, f) {
			g.lose(f)
			return
		}
	}
	if early {
		have = &dest.Found{}
	}
	changed, err := g.d.SetAttrs(f, have)
	g.did(err)
	if changed {
		g.changed()
	}
	if (changed || g.dirs[f]&absent != 0) && !matched && g.tellsNames() {
		g.text(wire.CodeInfo, g.name(f)+"/")
	}
	switch {
	case g.narrow(f):
		g.spoil(f)
	case g.opt.BackupDir != "": // which may be in any of them
		g.mark(f, suspect)
	}
	g.sweepDir(l, f, have)
}

// tellsNames reports whether names are told in text where there are no reports
// on the wire.
func (g *run) tellsNames() bool {
	return g.p.Protocol < 29 && (g.p.Server || g.opt.Itemize == 0) && g.info(option.InfoName) > 0
}

// reportDir reports a directory before anything is done to it. matched says that
// an alternate directory has the same.
func (g *run) reportDir(f *flist.File, ndx int32, have *dest.Found, early bool) (matched bool) {
	if have.Kind == tree.Dir && !early {
		g.report(f, ndx, have, 0, nil)
		return false
	}
	none := dest.Found{}
	if g.d.Alts() > 0 {
		if m := g.d.BestAlt(f); m.Level > dest.NoMatch {
			flags := wire.ItemLocalChange
			if m.Level == dest.SameAll {
				flags |= wire.ItemMatchedAlt
				g.upToDate(f, false)
			}
			g.report(f, ndx, &m.Found, flags, nil)
			return m.Level == dest.SameAll
		}
	}
	g.report(f, ndx, &none, wire.ItemLocalChange, nil)
	return false
}

// mkdir makes a directory; its attributes are set later.
func (g *run) mkdir(l *list, f *flist.File) bool {
	g.changed()
	if !g.did(g.d.Mkdir(f)) {
		return false
	}
	g.dirs[f] |= made
	g.spoilParent(l, f)
	return true
}

// lose gives up a directory and what is below.
func (g *run) lose(f *flist.File) {
	g.dirs[f] |= lost
	if f.Content || g.inc {
		g.text(wire.CodeErrorXfer, "*** Skipping any contents from this failed directory ***")
	}
}

// spoil notes that the time of a directory, or its mode, must be put right once
// its contents are done (rsync-transfer 1.12).
func (g *run) spoil(dir *flist.File) { g.mark(dir, spoiled) }

// mark notes why a directory is to be touched up: spoiled or suspect.
func (g *run) mark(dir *flist.File, why dirMark) {
	if g.dry || g.d.Single() || dir.Implied && !g.opt.ImpliedDirs {
		return
	}
	if g.dirs[dir]&(spoiled|suspect) == 0 && (!g.inc || g.timing == delay) {
		g.touched = append(g.touched, dir)
	}
	g.dirs[dir] |= why
}

// spoilParent notes that the directory that holds f gets or loses an entry. l is
// a list that f is in, or its own.
func (g *run) spoilParent(l *list, f *flist.File) {
	if dir := g.holder(l, f); dir != nil {
		g.spoil(dir)
	}
}

// holder is the directory that holds f, nil if it is not listed.
func (g *run) holder(l *list, f *flist.File) *flist.File {
	switch {
	case !g.inc:
		dir, _ := g.kin.dir(f)
		return dir
	case l.Dir == f:
		return nil
	}
	return l.Dir
}

// leave ends the treatment of a list's directory.
func (g *run) leave(l *list) {
	if l.Dir == nil {
		return
	}
	if g.timing == delay {
		if g.opt.Debugs(option.DebugTime, 2) {
			g.left = append(g.left, l)
		}
		return
	}
	g.tellTouch(l.Dir, l.DirNumber)
	if marks := g.dirs[l.Dir]; marks&(spoiled|suspect) != 0 && marks&lost == 0 {
		g.touchUp(l.Dir)
	}
	delete(g.dirs, l.Dir)
}

// touchAll puts right all directories that wait for it.
func (g *run) touchAll() {
	g.tellTouches()
	for _, dir := range g.touched {
		g.touchUp(dir)
	}
	g.touched = nil
}

// touchUp puts right the times and the mode of a directory, if something
// changed its time meanwhile. Trouble was told.
func (g *run) touchUp(dir *flist.File) {
	if have, err := g.d.Stat(dir); err == nil && g.timely(dir, have.Mtime) && !g.narrow(dir) {
		return
	}
	g.did(g.d.TouchUp(dir))
}

// timely reports whether a directory's time needs no putting right. In one that
// was changed nanoseconds count where the sender tells them, whatever the window
// of comparisons, else what changes in the second of its time keeps the wrong one.
func (g *run) timely(dir *flist.File, have tree.Time) bool {
	if g.dirs[dir]&spoiled != 0 && g.p.Protocol >= nanosecondsFrom {
		return have == dir.Meta.Mtime()
	}
	return g.d.SameTime(have, dir.Meta.Mtime())
}

// nanosecondsFrom is the first protocol with the nanoseconds of times.
const nanosecondsFrom = 31

// narrow reports whether a directory must stay more open than it is to be while
// we work in it.
func (g *run) narrow(f *flist.File) bool { return !g.root && f.Meta.Perm&0o700 != 0o700 }
