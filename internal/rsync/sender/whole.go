package sender

import (
	"errors"
	"fmt"
	"io/fs"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// root reads the mirror's transfer root. Without it there is nothing to send,
// least of all an empty list, which would have everything deleted.
func (l *lister) root() (*dirListing, flist.Entry, error) {
	ent, err := l.rootEntry()
	if err != nil {
		return nil, ent, fmt.Errorf("transfer root: %w", err)
	}
	d, err := l.read(tree.Root, l.src.top())
	if err != nil {
		return nil, ent, err
	}
	if d.err != nil {
		return nil, ent, fmt.Errorf("transfer root: %w", d.err)
	}
	ent.Top = true
	return d, ent, nil
}

// rootEntry is the entry of the mirror's transfer root.
func (l *lister) rootEntry() (flist.Entry, error) {
	var x extra
	ent := flist.Entry{}
	dir := l.src.job.Dir
	meta, err := l.src.job.Root.Lstat(dir)
	switch {
	case err != nil:
		return ent, err
	case !meta.IsDir():
		return ent, fmt.Errorf("%s is not a directory", dir)
	}
	ent.Meta = meta
	if !l.src.hasExtra(tree.Dir) {
		return ent, nil
	}
	attrs, err := l.src.job.Root.Xattrs(dir)
	if err != nil {
		return ent, err
	}
	err = l.src.setAttributes(&x, &meta, attrs)
	x.fill(&ent)
	return ent, err
}

// whole sends the only list of everything below the mirror's transfer root.
func (l *lister) whole() error {
	root, ent, err := l.root()
	if err != nil {
		return err
	}
	l.enc.Begin()
	l.sweeping = true
	if err := l.tree(root, ent); err != nil {
		return err
	}
	l.end()
	l.eof = true
	return nil
}

// tree sends a directory of the mirror that has been read, and all below it.
// From protocol 29 on this is their sorted order.
func (l *lister) tree(top *dirListing, ent flist.Entry) error {
	l.content(top, &ent)
	if l.add(&ent, top.where, false) {
		l.members(top)
	}
	return l.descend()
}

// descend sends the directories that are to be read, and all below them, with
// their entries: there is one list only.
func (l *lister) descend() error {
	for {
		s := l.peek()
		if s == nil {
			return nil
		}
		if err := l.await(s.done); err != nil {
			return err
		}
		k, d := l.take(), &s.dirs[0]
		if l.src.careful && errors.Is(d.err, fs.ErrNotExist) {
			continue // gone since its parent was read
		}
		ent := flist.Entry{Dir: s.path.Parent(), Name: k.entry.Name, Meta: k.entry.Meta}
		if k.extra != nil {
			k.extra.fill(&ent)
		}
		if l.src.careful {
			l.content(d, &ent)
		} else {
			if err := l.complain(d); err != nil {
				return err
			}
		}
		if l.add(&ent, k.own, k.extra != nil && k.extra.followed) {
			l.members(d)
		} // else what lies below it would have no parent
	}
}

// members sends the entries of a directory, except for subdirectories, which
// follow in their turn; those that have no contents go at once.
func (l *lister) members(d *dirListing) {
	first := d.firstDir()
	for i := range first {
		d.fill(&l.ent, i)
		l.add(&l.ent, d.where, d.extra(i).followed)
	}
	kids := make([]kid, 0, len(d.entries)-first)
	from := []part{{where: d.where, content: true}}
	for i := first; i < len(d.entries); i++ {
		k := kidOf(d, i, from)
		if !k.hasContent() && !l.src.careful {
			d.fill(&l.ent, i)
			l.ent.NoContent = true
			l.add(&l.ent, d.where, d.extra(i).followed)
			continue
		}
		kids = append(kids, k)
	}
	l.push(d.path, kids)
}

// kidOf is the directory that is entry i of d, with its contents. from is where
// those of d come from.
func kidOf(d *dirListing, i int, from []part) kid {
	k := kid{entry: d.entries[i], own: d.where, parts: from, locked: d.locked[d.entries[i].Name]}
	if d.extras == nil || d.extras[i] == nil {
		return k
	}
	k.extra = d.extras[i]
	switch {
	case k.extra.mount:
		k.parts = []part{{where: d.where}}
	case k.extra.followed && !d.where.through:
		through := d.where
		through.through = true
		k.parts = []part{{where: through, content: true}}
	}
	return k
}

// first sends the first of incremental lists: the root and its children.
func (l *lister) first() error {
	root, ent, err := l.root()
	if err != nil {
		return err
	}
	l.enc.Begin()
	l.content(root, &ent)
	l.add(&ent, root.where, false)
	l.dirs = 1
	l.push(root.path, l.children(root))
	l.endIncremental()
	return nil
}

// sublist sends the list of the directory that peek returned, which has been
// read. For the mirror, its entry being on the wire already, one that turns out
// to be unreadable only now calls off all sweeping; one that is gone is empty.
func (l *lister) sublist(s *scan) error {
	k := l.take()
	if !l.src.careful {
		return l.sublistOf(k, s)
	}
	d := &s.dirs[0]
	if d.incomplete() && !errors.Is(d.err, fs.ErrNotExist) {
		l.report(d)
		if !k.locked {
			l.ioError |= IOErrorGeneral
		}
	}
	l.enc.BeginDir(k.number, d.path, k.set)
	l.push(d.path, l.children(d))
	l.endIncremental()
	return nil
}

// children sends the entries of a directory, all of them, and gives the
// subdirectories. They come in the order in which both sides number them.
func (l *lister) children(d *dirListing) []kid {
	if l.entries == l.before {
		l.expect(len(d.entries))
	}
	first := d.firstDir()
	kids := make([]kid, 0, len(d.entries)-first)
	from := []part{{where: d.where, content: true}}
	for i := range d.entries {
		d.fill(&l.ent, i)
		l.ent.NoContent = l.ent.NoContent || d.locked[l.ent.Name]
		if l.add(&l.ent, d.where, d.extra(i).followed) && i >= first {
			k := kidOf(d, i, from)
			k.number, k.set = l.dirs, l.enc.LastXattrSet()
			if l.facts != nil {
				k.dir = l.facts.at(int(l.position()))
			}
			l.dirs++
			kids = append(kids, k)
		}
	}
	d.extras = nil
	return kids
}

func (l *lister) endIncremental() {
	l.end()
	l.endLists()
}

func (l *lister) endLists() {
	if l.peek() == nil {
		l.eof = true
		l.enc.EndOfLists()
	}
}
