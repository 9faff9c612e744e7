package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/sender"
)

// Backups say where what is deleted goes: into a directory of that day at the
// top of the target, "DIR-2006-01-02". The zero value keeps nothing.
//
// So does what is replaced by another content or kind. A directory target moves
// and links it there; behind rsync it is the business of --backup-dir.
type Backups struct {
	Dir  string // the first part of the directories' names
	Days int    // how many days they are kept; 0 is for ever
}

// dayForm is how the day is written.
const dayForm = "2006-01-02"

// purgeSpan is how many days back old directories are looked for at peers that
// do not list them.
const purgeSpan = 30

// Validate reports a name or a time that cannot be.
func (b Backups) Validate() error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	switch {
	case b.Days < 0:
		return fmt.Errorf("backup-days: %d is below 0", b.Days)
	case b.Dir != "" && (len(b.Dir) > 100 || strings.ContainsFunc(b.Dir, func(r rune) bool { return !plain(r) })):
		return fmt.Errorf("backup-dir: %s: want a name of letters, digits, '-', '_' and '.', such as .deleted", tree.Quote(b.Dir))
	}
	return nil
}

// Pattern is the filter pattern of all such directories: they belong to the
// target alone.
func (b Backups) Pattern() string {
	return "/" + b.Dir + "-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/"
}

func (b Backups) on() bool { return b.Dir != "" }

// name is the directory of a day.
func (b Backups) name(day time.Time) string { return b.Dir + "-" + day.Format(dayForm) }

// old reports whether name is a directory whose time is over.
func (b Backups) old(name string, now time.Time) bool {
	text, ours := strings.CutPrefix(name, b.Dir+"-")
	day, err := time.ParseInLocation(dayForm, text, now.Location())
	return ours && err == nil && b.Days > 0 && day.Before(now.AddDate(0, 0, -b.Days-1))
}

// purgeDue reports whether old directories are to be looked for, once a day.
func (b Backups) purgeDue(last *string, now time.Time) bool {
	today := now.Format(dayForm)
	if !b.on() || b.Days == 0 || *last == today {
		return false
	}
	*last = today
	return true
}

// maxVersions is how many versions of one name a day has: the first ones, and
// in the place of the last the newest.
const maxVersions = 10

// shelf is the directory of this day, and how it is written to: by a Root of
// its own, since that of the target calls keep.
type shelf struct {
	root *apply.Root
	mu   sync.Mutex // held while a name is chosen and taken
}

// shelve moves p at the target to the backups, but for what the rules protect,
// and counts what it moved.
func (w *work) shelve(p tree.Path) (moved int, err error) {
	meta, err := w.dst.Reader().Lstat(p)
	if err != nil {
		return 0, err
	}
	if meta.IsDir() {
		entries, err := w.dst.Reader().ReadDir(p)
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if q := p.Join(e.Name); !w.scope.Pinned(q, e.Meta.IsDir()) {
				n, err := w.shelve(q)
				if moved += n; err != nil {
					return moved, err
				}
			}
		}
		if err := w.shelf.dir(w.onShelf(p)); err != nil { // one that was empty is kept too
			return moved, err
		}
		if err := w.dst.Remove(p); err != nil {
			return moved, err
		}
		return moved + 1, nil
	}
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	to, _, err := w.shelf.place(w.onShelf(p), meta)
	if err != nil {
		return 0, err
	}
	return 1, w.shelf.root.Rename(p, to)
}

// keep has what stands at p in the backups too, before it is replaced: as
// another name of it where that can be, else as a copy.
func (w *work) keep(p tree.Path) error {
	meta, err := w.dst.Reader().Lstat(p)
	if err != nil {
		return err
	}
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	to, have, err := w.shelf.place(w.onShelf(p), meta)
	if err != nil || have {
		return err
	}
	if err = w.shelf.root.Link(p, to); err == nil {
		return nil
	}
	if copied := w.shelf.copy(p, to, meta); copied != nil {
		return errors.Join(err, copied)
	}
	return nil
}

// onShelf is where p goes today.
func (w *work) onShelf(p tree.Path) tree.Path {
	return p.Under(tree.Root.Join(w.opts.Backups.name(time.Now())))
}

// place is the name for the next version of what is to be at p, with the
// directories above it made. have says that what meta is of is there already.
func (s *shelf) place(p tree.Path, meta tree.Meta) (to tree.Path, have bool, err error) {
	if err := s.dir(p.Parent()); err != nil {
		return "", false, err
	}
	for n := 0; ; n++ {
		to = p
		if n > 0 {
			to = p.Parent().Join(fmt.Sprintf("%s~%d", p.Base(), n))
		}
		at, err := s.root.Reader().Lstat(to)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return to, false, nil
		case err != nil:
			return "", false, err
		case at.Inode() == meta.Inode():
			return to, true, nil
		case n >= maxVersions-1 && !at.IsDir():
			return to, false, nil
		}
	}
}

// copy is for file systems, and files of others, that take no further name.
func (s *shelf) copy(p, to tree.Path, meta tree.Meta) error {
	switch meta.Kind {
	case tree.File:
		f, err := s.root.Reader().Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = s.root.CopyFile(to, f, meta, apply.Copy{})
		return err
	case tree.Symlink:
		text, err := s.root.Reader().Readlink(p)
		if err != nil {
			return err
		}
		return s.root.Symlink(to, text, meta, nil)
	default:
		return s.root.Mknod(to, meta, nil)
	}
}

// dir makes a directory of the backups with those above it.
func (s *shelf) dir(dir tree.Path) error {
	if dir.IsRoot() {
		return nil
	}
	if meta, err := s.root.Reader().Lstat(dir); err == nil && meta.IsDir() {
		return nil
	}
	if err := s.dir(dir.Parent()); err != nil {
		return err
	}
	_, err := s.root.Mkdir(dir, tree.Meta{Kind: tree.Dir, Perm: 0o700}, nil)
	return err
}

// purge removes the backups whose time is over, with the first work of a day;
// what it cannot remove is tried again the next day.
func (d *Directory) purge(w *work) {
	now := time.Now()
	if !d.opts.Backups.purgeDue(&d.purged, now) {
		return
	}
	entries, err := w.dst.Reader().ReadDir(tree.Root)
	if err != nil {
		return // the next piece of work finds the same
	}
	for _, e := range entries {
		if d.opts.Backups.old(e.Name, now) {
			_, _ = w.dst.RemoveAll(tree.Root.Join(e.Name), nil)
		}
	}
}

// purge has the peer remove the backups of the days whose time has come, with
// the first work of a day: a failure shows in the next batch as well.
func (r *run) purge(ctx context.Context) {
	b, now := r.opts.Backups, time.Now()
	if r.legacy() || !b.purgeDue(&r.purged, now) {
		return
	}
	var list []sender.Item
	for i := range purgeSpan {
		p := tree.Root.Join(b.name(now.AddDate(0, 0, -b.Days-2-i)))
		if _, err := r.root.Lstat(p); errors.Is(err, fs.ErrNotExist) {
			list = append(list, sender.Item{Path: p})
		}
	}
	if len(list) == 0 {
		return
	}
	o := r.base()
	o.Relative, o.Dirs, o.DeleteMissing, o.Force = true, true, true, true
	o.Delete, o.Backup, o.Filters = false, false, nil
	if s, err := r.open(ctx, o, tree.Root); err == nil {
		_, _ = s.Send(ctx, sender.Job{Root: r.root, List: list, OnError: func(tree.Path, error) {}})
		s.Close()
	}
}
