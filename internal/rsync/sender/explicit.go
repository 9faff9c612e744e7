package sender

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// explicit sends the list of the job's items in the shape of --relative with
// --files-from: implied parents, directories without contents unless asked for,
// entries of mode 0 for what is missing.
//
// Below protocol 30 the receiving side sweeps each directory that follows one
// marked Top as long as it lies below it (section 1.3). So everything that must
// not be swept goes first, then the directories with their direct children,
// then whole trees. The order in which entries travel is free.
func (l *lister) explicit() error {
	top, err := l.src.plan(l.onFault)
	if err != nil {
		return fmt.Errorf("transfer root: %w", err)
	}
	l.enc.Begin()
	if top.listed {
		ent, err := l.rootEntry()
		if err != nil {
			return fmt.Errorf("transfer root: %w", err)
		}
		err = l.item(top, ent)
		if err != nil {
			return err
		}
	} else if err := l.below(top, tree.Root); err != nil {
		return err
	}
	if err := l.sendDelayed(); err != nil {
		return err
	}
	l.end()
	l.eof = true
	return nil
}

// delayedEntry is a directory marked Top that has to wait, below protocol 30.
type delayedEntry struct {
	ent flist.Entry
	d   *dirListing // with everything below it; nil for the entry alone
}

func (l *lister) sendDelayed() error {
	for i := range l.tops {
		l.add(&l.tops[i].ent, l.src.top(), false)
	}
	l.sweeping = true
	for _, t := range l.trees {
		if err := l.tree(t.d, t.ent); err != nil {
			return err
		}
	}
	return nil
}

// item sends what a node stands for; ent is its entry without flags.
func (l *lister) item(n *node, ent flist.Entry) error {
	switch {
	case !ent.Meta.Exists():
		l.missing(&ent)
	case !ent.Meta.IsDir():
		l.add(&ent, l.src.top(), false)
	case n.tree:
		return l.treeItem(ent)
	case n.children:
		return l.childrenItem(n, ent)
	default:
		ent.Top, ent.NoContent = !n.listed, true
		if l.src.params.Protocol < 30 {
			ent.Top = false
		}
		if l.add(&ent, l.src.top(), false) {
			return l.below(n, ent.Path())
		}
		l.failBelow(n, ent.Path(), flist.ErrUnsendable)
	}
	return nil
}

// failBelow reports everything listed below a node that cannot be sent.
func (l *lister) failBelow(n *node, path tree.Path, err error) {
	for name, kid := range n.kids {
		if kid.listed {
			l.onFault(path.Join(name), err)
		}
		l.failBelow(kid, path.Join(name), err)
	}
}

// missing sends an entry that removes a name, where the peer understands it.
func (l *lister) missing(ent *flist.Entry) {
	if !l.src.params.Opt.DeleteMissingArgs {
		l.onFault(ent.Path(), fs.ErrNotExist)
		return
	}
	l.add(&flist.Entry{Dir: ent.Dir, Name: ent.Name}, l.src.top(), false)
}

// below sends the children of a node.
func (l *lister) below(n *node, path tree.Path) error {
	if len(n.kids) == 0 {
		return nil
	}
	d := dirListing{path: path, where: l.src.top()}
	for name, kid := range n.kids {
		d.entries = append(d.entries, tree.Entry{Name: name, Meta: kid.meta})
	}
	slices.SortFunc(d.entries, func(a, b tree.Entry) int { return cmp.Compare(a.Name, b.Name) })
	if err := l.src.complete(&d); err != nil {
		l.failBelow(n, path, err)
		return nil
	}
	l.report(&d)
	return l.items(n, &d)
}

// items sends the entries of a directory, those that have nodes as these say.
func (l *lister) items(n *node, d *dirListing) error {
	plain := node{listed: true}
	for i := range d.entries {
		kid := n.kids[d.entries[i].Name]
		if kid == nil {
			kid = &plain
		}
		var ent flist.Entry
		d.fill(&ent, i)
		if err := l.item(kid, ent); err != nil {
			return err
		}
	}
	return nil
}

// treeItem sends a directory with everything below it.
func (l *lister) treeItem(ent flist.Entry) error {
	d, err := l.read(ent.Path(), l.src.top())
	if err != nil || errors.Is(d.err, fs.ErrNotExist) {
		return err
	}
	ent.Top = true
	if l.src.params.Protocol < 30 && !d.incomplete() {
		l.trees = append(l.trees, delayedEntry{ent, d})
		return nil
	}
	return l.tree(d, ent)
}

// childrenItem sends a directory with its direct children.
func (l *lister) childrenItem(n *node, ent flist.Entry) error {
	d, err := l.read(ent.Path(), l.src.top())
	if err != nil || errors.Is(d.err, fs.ErrNotExist) {
		return err
	}
	ent.Top = true
	l.content(d, &ent)
	if l.src.params.Protocol < 30 && ent.Top {
		l.tops = append(l.tops, delayedEntry{ent: ent})
	} else if !l.add(&ent, l.src.top(), false) {
		return nil
	}
	if d.err != nil {
		return l.below(n, ent.Path())
	}
	return l.items(n, d)
}
