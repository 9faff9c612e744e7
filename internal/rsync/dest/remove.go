package dest

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// Removal says why and how something is removed.
type Removal struct {
	// Keep is asked about everything within a directory: what the filters
	// protect, perishable rules left out. nil keeps nothing.
	Keep func(p tree.Path, dir bool) bool

	// MakeRoom is set if something else is to stand there: what, for the
	// message, as "regular file". The item itself is not reported, not counted,
	// and not limited by --max-delete; what is in it is, and as with Shallow it
	// goes only if options say so.
	MakeRoom string

	// Shallow leaves a directory with entries alone, unless --delete or --force
	// is given.
	Shallow bool
}

// What Delete may say. It was told already.
var (
	ErrLimit    = errors.New("the limit of deletions is reached")
	ErrNotEmpty = apply.ErrNotEmpty
	ErrFailed   = errors.New("could not be deleted")
)

// Delete removes an item of the destination with all that is in it
// (rsync-transfer 4.11), with backups if they are wanted, reports each with
// Talk.Deleted, and counts it. In a dry run it reports and counts. What stays,
// and why, was told; an *Error ends the run and was not.
func (d *Dest) Delete(p tree.Path, have tree.Meta, how Removal) error {
	if d.root == nil {
		return nil
	}
	r := d.remover(how)
	r.top, r.all = p, d.opt.Force || d.deletes() || how.MakeRoom == "" && !how.Shallow
	r.add(p, have)
	_, err := r.end()
	if err != nil && how.MakeRoom != "" && !errors.As(err, new(*Error)) {
		d.say(wire.CodeErrorXfer, "could not make way for new %s: %s", how.MakeRoom, string(p))
	}
	return err
}

// Extra is something at the destination that has no business to be there.
type Extra struct {
	Path tree.Path
	Kind tree.Kind // Missing is not known
}

// DeleteExtra is Delete for extraneous items, one after the other. It tells how
// many are gone; the error is nil or an *Error.
func (d *Dest) DeleteExtra(extra []Extra, keep func(p tree.Path, dir bool) bool) (gone int, err error) {
	if d.root == nil {
		return 0, nil
	}
	r := d.remover(Removal{Keep: keep})
	r.all = true
	for _, e := range extra {
		m := tree.Meta{Kind: e.Kind}
		if !r.bare || m.IsDir() || !m.Exists() {
			have, err := d.StatPath(e.Path)
			if err != nil {
				r.push(&task{say: func() { d.Tell("delete_file: stat "+d.FullName(e.Path)+" failed", err) }})
				continue
			}
			m = have.Meta
		}
		if m.Exists() {
			r.add(e.Path, m)
		}
	}
	gone, err = r.end()
	if !errors.As(err, new(*Error)) {
		err = nil
	}
	return gone, err
}

// deletes reports whether extraneous files are deleted.
func (d *Dest) deletes() bool {
	o := d.opt
	return o.Delete || o.DeleteBefore || o.DeleteDuring || o.DeleteDelay || o.DeleteAfter || o.DeleteExcluded
}

// isMount reports whether directory p is a mount point that --one-file-system
// keeps.
func (d *Dest) isMount(p tree.Path, have tree.Meta) bool {
	if d.opt.OneFileSystem == 0 || d.root == nil {
		return false
	}
	mount := false
	_ = d.root.At(p, func(at apply.Place) error {
		parent, err := at.Beside(".").Object().Stat()
		mount = err == nil && parent.Dev != have.Dev
		return nil
	})
	return mount
}

// The indexes of DeleteCounts.
const (
	countFiles = iota
	countDirs
	countLinks
	countDevices
	countSpecials
)

// DeleteCounts are the deletions so far: regular files, directories, symlinks,
// devices, specials.
func (d *Dest) DeleteCounts() (n [5]int32) {
	for i := range n {
		n[i] = d.deleted[i].Load()
	}
	return n
}

// Unlisted reports whether something in a directory that was to be removed could
// not be listed. It was told.
func (d *Dest) Unlisted() bool { return d.unlisted.Load() }

// LimitSkipped is how many deletions --max-delete prevented.
func (d *Dest) LimitSkipped() int { return int(d.skipped.Load()) }

// remover is removals under way, in rsync's order: add walks what is to be
// removed, from the last name to the first, and pushes tasks; the tasks are
// done in their order, see tasks.
type remover struct {
	d      *Dest
	root   *apply.Root
	prefix string    // of names that are shown
	top    tree.Path // what is removed, if it is one thing
	how    Removal
	all    bool // what is in a directory is removed too
	final  bool // without backups
	bare   bool // of what is no directory the kind is all that is needed

	holder *level       // where the items of add lie
	items  []tree.Entry // those that are no directories and not pushed yet

	tasks

	gone  int           // items of add
	stays error         // why the last of them that stays does
	fatal error         // an *Error
	errno syscall.Errno // of the last call that failed
}

// remover makes one for what is in the destination.
func (d *Dest) remover(how Removal) *remover {
	r := &remover{d: d, root: d.root, how: how}
	r.prepare()
	return r
}

// prepare decides how the work is done.
func (r *remover) prepare() {
	o := r.d.opt
	backup := o.Backup && !r.final
	tells := o.Debugs(option.DebugFilter, 1) || o.Debugs(option.DebugDel, debugDeletes) || o.Debugs(option.DebugFlist, option.DebugListed)
	r.alone = o.MaxDelete >= 0 || backup || r.d.idle() || tells
	r.bare = !tells && !backup && !r.d.me.fake && !r.d.p.Modes && !strings.Contains(o.OutFormat+o.LogFormat, "B")
}

// level is a directory that is being emptied, or, without one above it, the
// directory in which items of add lie.
type level struct {
	up    *level
	path  tree.Path
	meta  tree.Meta
	stays bool // since something in it does
}

// shown is a path as messages have it.
func (r *remover) shown(p tree.Path) tree.Path { return tree.Path(r.prefix) + p }

// add removes p and what is in it.
func (r *remover) add(p tree.Path, m tree.Meta) {
	dir, name := p.Parent(), p.Base()
	if r.holder == nil || r.holder.path != dir {
		r.flush()
		r.holder = &level{path: dir}
	}
	switch {
	case r.fatal != nil:
	case !m.IsDir():
		r.items = append(r.items, tree.Entry{Name: name, Meta: m})
		if r.alone || len(r.items) == mostItems {
			r.flush()
		}
	case r.d.isMount(p, m):
		r.flush()
		r.push(&task{say: func() {
			if r.d.opt.Info[option.InfoMount] > 0 {
				r.d.say(wire.CodeInfo, "cannot delete mount point: %s", string(p))
			}
		}})
		r.stays = ErrNotEmpty
	default:
		r.flush()
		r.empty(r.holder, p, m)
	}
}

// mostItems is how many items are removed in one task, if they were not found in
// a directory that is removed with them.
const mostItems = 256

// flush pushes the items that wait.
func (r *remover) flush() {
	if len(r.items) > 0 {
		r.push(&task{in: r.holder, files: r.items})
		r.items = nil
	}
}

// end does what is left. It tells how many items of add are gone, and why one
// is not.
func (r *remover) end() (gone int, err error) {
	r.flush()
	r.finish()
	if r.fatal != nil {
		return r.gone, r.fatal
	}
	return r.gone, r.stays
}

// outcome notes what has become of something in a directory.
func (r *remover) outcome(in *level, err error) {
	switch {
	case err == nil && in.up == nil:
		r.gone++
	case err == nil:
	case errors.As(err, new(*Error)):
		r.fatal = err
	case in.up == nil:
		r.stays = err
	default:
		in.stays = true
	}
}

func (r *remover) notEmpty(p tree.Path) {
	r.d.say(wire.CodeInfo, "cannot delete non-empty directory: %s", string(r.shown(p)))
}

// empty pushes what removes directory p, which is in up, with all that is in it.
func (r *remover) empty(up *level, p tree.Path, m tree.Meta) {
	d := r.d
	if !d.me.root() && m.UID == d.me.uid && m.Perm&ownerWrite == 0 && !d.idle() {
		_ = r.root.At(p, func(at apply.Place) error { return at.Object().Chmod(m.Perm | ownerWrite) })
	}
	here := &level{up: up, path: p, meta: m}
	if up.up == nil {
		r.tellItem(p, m, false)
	}
	entries := r.list(here)
	r.tellContents(p, m, entries, up.up != nil)
	first, end := 0, 0 // of those that wait to be pushed; others are dropped
	push := func() {
		if first < end {
			r.push(&task{in: here, files: entries[first:end:end]})
		}
		first = end
	}
	for i, e := range entries {
		at, dir := p.Join(e.Name), e.Meta.IsDir()
		switch {
		case r.fatal != nil:
			return
		case r.how.Keep != nil && r.how.Keep(at, dir):
			here.stays = true
		case dir && d.opt.OneFileSystem > 0 && e.Meta.Dev != m.Dev:
			here.stays = true
			push()
			if d.opt.Info[option.InfoMount] > 0 {
				r.push(&task{say: func() { d.say(wire.CodeInfo, "mount point, %s, pins parent directory", string(r.shown(at))) }})
			}
		case !r.all:
			here.stays = true
		case dir:
			push()
			r.empty(here, at, e.Meta)
		default:
			entries[end] = entries[i]
			end++
			if r.alone {
				push()
			}
		}
	}
	push()
	r.push(&task{in: here})
}

// list is what is in a directory, in the order in which it is removed. What
// cannot be listed is left to stand in the directory's way.
func (r *remover) list(here *level) []tree.Entry {
	d := r.d
	read := r.root.Reader().ReadDir
	if r.bare {
		read = r.root.Reader().ReadKinds
	}
	entries, err := read(here.path)
	partial := new(walk.PartialError)
	switch {
	case errors.As(err, &partial):
		d.unlisted.Store(true)
		for _, e := range partial.Entries {
			r.push(&task{say: func() { d.Tell("readlink_stat("+d.FullName(e.Path)+") failed", e.Err) }})
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		d.unlisted.Store(true)
		r.push(&task{say: func() { d.Tell("opendir "+d.FullName(here.path)+" failed", err) }})
		return nil
	}
	slices.SortFunc(entries, func(a, b tree.Entry) int {
		return flist.CompareSiblings(d.p.Protocol, b.Name, b.Meta.IsDir(), a.Name, a.Meta.IsDir())
	})
	return entries
}

// leave removes a directory of which nothing more is to be done.
func (r *remover) leave(l *level) {
	r.d.debug(option.DebugFilter, option.DebugMerged, "[%s] popping local filters", r.d.role)
	if l.up.up != nil && !l.stays {
		r.tellItem(l.path, l.meta, true)
	}
	if l.stays {
		r.notEmpty(l.path)
		if l.up.up == nil {
			r.outcome(l.up, ErrNotEmpty)
			return
		}
	}
	r.outcome(l.up, r.one(l.path, l.meta))
}

// room reports whether p only makes room.
func (r *remover) room(p tree.Path) bool { return r.how.MakeRoom != "" && p == r.top }

// one removes p, which is no directory, or an empty one.
func (r *remover) one(p tree.Path, m tree.Meta) error {
	d := r.d
	if !r.room(p) && d.opt.MaxDelete >= 0 && d.removed.Load() >= int64(d.opt.MaxDelete) {
		d.skipped.Add(1)
		return ErrLimit
	}
	backed := false
	if !r.final {
		var err error
		backed, err = d.backup(p, m, toDelete)
		if fatal(err) {
			return err
		}
		if err != nil {
			d.Tell("delete_file: make_backup("+string(r.shown(p))+") failed", err)
			return ErrFailed
		}
	}
	var err error
	if !backed && !d.idle() {
		err = r.unlink(p, m)
	}
	return r.unlinked(p, m, err)
}

// unlinked tells and counts what unlink has come to.
func (r *remover) unlinked(p tree.Path, m tree.Meta, err error) error {
	d := r.d
	if err != nil {
		r.errno = errnoOf(err)
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		return nil
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST):
		r.notEmpty(p)
		return ErrNotEmpty
	case err != nil:
		call := "unlink"
		if m.IsDir() {
			call = "rmdir"
		}
		d.Tell("delete_file: "+call+"("+string(r.shown(p))+") failed", err)
		return ErrFailed
	}
	if !r.room(p) {
		d.p.Talk.Deleted(r.shown(p), r.listed(p, m))
		d.removed.Add(1)
		d.deleted[countOf(m.Kind)].Add(1)
	}
	return nil
}

// listed is p as rsync lists what is in a directory: with the modes changed that
// this side changes. A missing argument is looked up by itself.
func (r *remover) listed(p tree.Path, m tree.Meta) tree.Meta {
	if m.Kind != tree.Symlink && !(r.how.Shallow && p == r.top) {
		m.Perm = uint16(r.d.p.Chmod.Apply(m.Mode()) & tree.PermMask)
	}
	return m
}

func countOf(k tree.Kind) int {
	switch {
	case k == tree.Dir:
		return countDirs
	case k == tree.Symlink:
		return countLinks
	case k.IsDevice():
		return countDevices
	case k.IsSpecial():
		return countSpecials
	}
	return countFiles
}

// unlink removes one name. A file of ours in a directory that is closed to us
// goes after that was opened by empty.
func (r *remover) unlink(p tree.Path, m tree.Meta) error {
	err := r.root.At(p, func(at apply.Place) error {
		if m.IsDir() {
			return at.Object().Rmdir()
		}
		return at.Object().Unlink()
	})
	r.forget(p.Parent(), p.Base(), m.Kind)
	return err
}

// forget drops handles that are held of an entry of dir which is gone.
func (r *remover) forget(dir tree.Path, name string, k tree.Kind) {
	switch {
	case k != tree.Dir && k != tree.Symlink:
	case r.root != r.d.root:
		r.root.Forget(dir.Join(name))
	default:
		r.d.forget(dir.Join(name))
	}
}
