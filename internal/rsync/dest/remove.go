package dest

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
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
	r := &remover{d: d, root: d.root, top: p, how: how, all: d.opt.Force || d.deletes() || how.MakeRoom == "" && !how.Shallow}
	if have.IsDir() && d.isMount(p, have) {
		if d.opt.Info[option.InfoMount] > 0 {
			d.say(wire.CodeInfo, "cannot delete mount point: %s", string(p))
		}
		return ErrNotEmpty
	}
	err := r.remove(p, have)
	if err != nil && how.MakeRoom != "" && !errors.As(err, new(*Error)) {
		d.say(wire.CodeErrorXfer, "could not make way for new %s: %s", how.MakeRoom, string(p))
	}
	return err
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

// LimitSkipped is how many deletions --max-delete prevented.
func (d *Dest) LimitSkipped() int { return int(d.skipped.Load()) }

// remover is one removal under way.
type remover struct {
	d      *Dest
	root   *apply.Root
	prefix string    // of names that are shown
	top    tree.Path // what is removed
	how    Removal
	all    bool          // what is in a directory is removed too
	final  bool          // without backups
	errno  syscall.Errno // of the last call that failed
}

// shown is a path as messages have it.
func (r *remover) shown(p tree.Path) tree.Path { return tree.Path(r.prefix) + p }

// remove removes p and what is in it.
func (r *remover) remove(p tree.Path, m tree.Meta) error {
	if m.IsDir() {
		if err := r.empty(p, m); err != nil {
			if errors.As(err, new(*Error)) {
				return err
			}
			r.notEmpty(p)
			return ErrNotEmpty
		}
	}
	return r.one(p, m)
}

func (r *remover) notEmpty(p tree.Path) {
	r.d.say(wire.CodeInfo, "cannot delete non-empty directory: %s", string(r.shown(p)))
}

// empty removes what is in directory p. An error says that something stays.
func (r *remover) empty(p tree.Path, m tree.Meta) error {
	d := r.d
	if !d.me.root() && m.UID == d.me.uid && m.Perm&ownerWrite == 0 && !d.idle() {
		_ = r.root.At(p, func(at apply.Place) error { return at.Object().Chmod(m.Perm | ownerWrite) })
	}
	entries, err := r.root.Reader().ReadDir(p)
	partial := new(walk.PartialError)
	switch {
	case errors.As(err, &partial):
		for _, e := range partial.Entries {
			d.Tell("readlink_stat("+d.FullName(e.Path)+") failed", e.Err)
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return d.told(err, "opendir %s failed", d.FullName(p))
	}
	slices.SortFunc(entries, func(a, b tree.Entry) int {
		return flist.CompareSiblings(d.p.Protocol, a.Name, a.Meta.IsDir(), b.Name, b.Meta.IsDir())
	})
	var stays error
	if err != nil {
		stays = ErrNotEmpty // entries that could not be looked at
	}
	for len(entries) > 0 {
		var err error
		left := len(entries) - r.together(entries)
		if left < len(entries) {
			err = r.files(p, entries[left:])
		} else {
			left--
			err = r.entry(p.Join(entries[left].Name), entries[left].Meta, m)
		}
		entries = entries[:left]
		if errors.As(err, new(*Error)) {
			return err
		}
		if err != nil {
			stays = err
		}
	}
	return stays
}

// Files are removed by several goroutines if there are at least so many in a
// row: much of the work is done by the kernel after the directory is free again.
const (
	fewestTogether  = 32
	removersAtATime = 4
)

// together is how many of the last entries can be removed together: they are
// files, and nothing depends on what has become of those before.
func (r *remover) together(entries []tree.Entry) int {
	d, n := r.d, 0
	if d.opt.MaxDelete >= 0 || d.opt.Backup && !r.final || d.idle() || !r.all {
		return 0
	}
	for n < len(entries) && !entries[len(entries)-1-n].Meta.IsDir() {
		n++
	}
	if n < fewestTogether {
		return 0
	}
	return n
}

// files removes files of directory dir. What they come to is told in order, the
// last first.
func (r *remover) files(dir tree.Path, entries []tree.Entry) (stays error) {
	kept, errs := make([]bool, len(entries)), make([]error, len(entries))
	for i := len(entries) - 1; i >= 0 && r.how.Keep != nil; i-- {
		kept[i] = r.how.Keep(dir.Join(entries[i].Name), false)
	}
	left := atomic.Int64{}
	left.Store(int64(len(entries)))
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), removersAtATime) {
		all.Go(func() {
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				if !kept[i] {
					errs[i] = r.unlink(dir.Join(entries[i].Name), entries[i].Meta)
				}
			}
		})
	}
	all.Wait()
	for i := len(entries) - 1; i >= 0; i-- {
		err := ErrNotEmpty
		if !kept[i] {
			err = r.unlinked(dir.Join(entries[i].Name), entries[i].Meta, false, errs[i])
		}
		if err != nil {
			stays = err
		}
	}
	return stays
}

// entry removes an entry of a directory that is being emptied.
func (r *remover) entry(p tree.Path, m, parent tree.Meta) error {
	d := r.d
	switch {
	case r.how.Keep != nil && r.how.Keep(p, m.IsDir()):
		return ErrNotEmpty
	case m.IsDir() && d.opt.OneFileSystem > 0 && m.Dev != parent.Dev:
		if d.opt.Info[option.InfoMount] > 0 {
			d.say(wire.CodeInfo, "mount point, %s, pins parent directory", string(r.shown(p)))
		}
		return ErrNotEmpty
	case !r.all:
		return ErrNotEmpty
	}
	if !m.IsDir() {
		return r.one(p, m)
	}
	err := r.empty(p, m)
	if errors.As(err, new(*Error)) {
		return err
	}
	if err != nil {
		r.notEmpty(p)
	}
	if after := r.one(p, m); after != nil {
		return after
	}
	return nil
}

// one removes p, which is no directory, or an empty one.
func (r *remover) one(p tree.Path, m tree.Meta) error {
	d := r.d
	room := p == r.top && r.how.MakeRoom != ""
	if !room && d.opt.MaxDelete >= 0 && d.removed.Load() >= int64(d.opt.MaxDelete) {
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
	return r.unlinked(p, m, room, err)
}

// unlinked tells and counts what unlink has come to.
func (r *remover) unlinked(p tree.Path, m tree.Meta, room bool, err error) error {
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
	if !room {
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
	d := r.d
	err := r.root.At(p, func(at apply.Place) error {
		if m.IsDir() {
			return at.Object().Rmdir()
		}
		return at.Object().Unlink()
	})
	switch {
	case r.root != d.root:
		r.root.Forget(p)
	case m.IsDir() || m.Kind == tree.Symlink:
		d.forget(p)
	}
	return err
}
