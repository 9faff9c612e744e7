package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/sender"
)

// Backups say where what is deleted goes: into a directory of that day at the
// top of the target, "DIR-2006-01-02". The zero value keeps nothing.
//
// A directory target moves what it deletes there. Behind rsync it is the
// business of --backup-dir, which keeps what is replaced as well.
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

// shelve moves p at the target to the backups, but for what the rules protect,
// and counts what it moved.
func (w *work) shelve(p tree.Path) (moved int, err error) {
	meta, err := w.dst.Reader().Lstat(p)
	if err != nil {
		return 0, err
	}
	top := tree.Root.Join(w.opts.Backups.name(time.Now()))
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
		if err := w.shelf(p.Under(top)); err != nil { // one that was empty is kept too
			return moved, err
		}
		if err := w.dst.Remove(p); err != nil {
			return moved, err
		}
		return moved + 1, nil
	}
	if err := w.shelf(p.Parent().Under(top)); err != nil {
		return 0, err
	}
	to := p.Under(top)
	for n := 1; ; n++ { // what was deleted before under the same name stays
		if _, err := w.dst.Reader().Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = p.Parent().Under(top).Join(fmt.Sprintf("%s~%d", p.Base(), n))
	}
	return 1, w.dst.Rename(p, to)
}

// shelf makes a directory of the backups with those above it.
func (w *work) shelf(dir tree.Path) error {
	if dir.IsRoot() {
		return nil
	}
	if meta, err := w.dst.Reader().Lstat(dir); err == nil && meta.IsDir() {
		return nil
	}
	if err := w.shelf(dir.Parent()); err != nil {
		return err
	}
	_, err := w.dst.Mkdir(dir, tree.Meta{Kind: tree.Dir, Perm: 0o700}, nil)
	return err
}

// purge removes the backups whose time is over.
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
			_, err := w.dst.RemoveAll(tree.Root.Join(e.Name), nil)
			w.failed(tree.Root.Join(e.Name), err)
		}
	}
}

// purge has the peer remove the backups of the days whose time has just come.
// It is tried once a day: a failure shows in the next batch as well.
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
