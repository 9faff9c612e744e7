package sender

import (
	"errors"
	"fmt"
	"io/fs"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// root reads the transfer root. Without it there is nothing to send, least of
// all an empty list, which would have everything deleted.
func (l *lister) root() (*scan, flist.Entry, error) {
	ent, err := l.rootEntry()
	if err != nil {
		return nil, ent, fmt.Errorf("transfer root: %w", err)
	}
	d := newScan(tree.Root)
	l.scan.jobs <- d
	if err := l.await(d.done); err != nil {
		return nil, ent, err
	}
	if d.err != nil {
		return nil, ent, fmt.Errorf("transfer root: %w", d.err)
	}
	ent.Top = true
	return d, ent, nil
}

// rootEntry is the entry of the transfer root.
func (l *lister) rootEntry() (flist.Entry, error) {
	dir, p := l.src.job.Dir, l.src.params
	meta, err := l.src.job.Root.Lstat(dir)
	switch {
	case err != nil:
		return flist.Entry{}, err
	case !meta.IsDir():
		return flist.Entry{}, fmt.Errorf("%s is not a directory", dir)
	}
	ent := flist.Entry{Meta: meta}
	if !p.ACLs && !p.Xattrs {
		return ent, nil
	}
	attrs, err := l.src.job.Root.Xattrs(dir)
	if err != nil {
		return ent, err
	}
	var x extra
	err = x.setAttributes(attrs, p)
	ent.Access, ent.Default, ent.Xattrs = x.access, x.initial, x.xattrs
	return ent, err
}

// whole sends the only list of everything below the transfer root.
func (l *lister) whole() error {
	root, ent, err := l.root()
	if err != nil {
		return err
	}
	l.enc.Begin()
	l.sweeping = true
	if err := l.tree(&root.dirListing, ent); err != nil {
		return err
	}
	l.end()
	l.eof = true
	return nil
}

// tree sends a directory that has been read, and all below it. From protocol 29
// on this is their sorted order.
func (l *lister) tree(top *dirListing, ent flist.Entry) error {
	l.directory(top, ent)
	for {
		d := l.peek()
		if d == nil {
			return nil
		}
		if err := l.await(d.done); err != nil {
			return err
		}
		f, i := l.take()
		if errors.Is(d.err, fs.ErrNotExist) {
			continue // gone since its parent was read
		}
		f.fill(&ent, i)
		l.directory(&d.dirListing, ent)
	}
}

// directory sends the entry of a directory and those of its children, except
// for subdirectories, which follow in their turn.
func (l *lister) directory(d *dirListing, ent flist.Entry) {
	l.content(d, &ent)
	if !l.add(&ent) {
		return // what lies below it would have no parent
	}
	first := d.firstDir()
	for i := range first {
		d.fill(&l.ent, i)
		l.add(&l.ent)
	}
	l.push(d, first)
}

// first sends the first of incremental lists: the root and its children.
func (l *lister) first() error {
	root, ent, err := l.root()
	if err != nil {
		return err
	}
	l.enc.Begin()
	l.content(&root.dirListing, &ent)
	l.add(&ent)
	l.dirs = 1
	l.children(&root.dirListing)
	l.endIncremental()
	return nil
}

// sublist sends the list of the directory that peek returned, which has been
// read. Its entry is on the wire already, so that a directory that turns out
// to be unreadable only now calls off all sweeping; one that is gone is empty.
func (l *lister) sublist(d *dirListing) {
	f, i := l.take()
	if d.incomplete() && !errors.Is(d.err, fs.ErrNotExist) {
		l.report(d)
		if !f.locked[f.entries[i].Name] {
			l.ioError |= IOErrorGeneral
		}
	}
	l.enc.BeginDir(f.number+int32(i), d.path, f.sets[i])
	l.children(d)
	l.endIncremental()
}

// children sends the entries of a directory, all of them.
func (l *lister) children(d *dirListing) {
	first := d.firstDir()
	kept := d.entries[:first]
	for i := range d.entries {
		d.fill(&l.ent, i)
		l.ent.NoContent = d.locked[l.ent.Name]
		if l.add(&l.ent) && i >= first {
			kept = append(kept, d.entries[i])
			d.sets = append(d.sets, l.enc.LastXattrSet())
		}
	}
	d.entries, d.extras = kept, nil
	l.push(d, first)
	l.dirs += int32(len(kept) - first)
}

func (l *lister) endIncremental() {
	l.end()
	if l.peek() == nil {
		l.eof = true
		l.enc.EndOfLists()
	}
}
