package flist

import (
	"fmt"
	"slices"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// ioErrorGeneral is the bit of io_error (section 1.8) that a Decoder sets.
const ioErrorGeneral = 1

// sorted are the files of a list in the order of section 3; equal names stay in
// transmission order, names that could not be converted go last.
func (d *Decoder) sorted(files []*File) []*File {
	for i, f := range files {
		f.Index = int32(i) // transmission order until the list is numbered
	}
	order := func(f, g *File) int {
		if f.Dup != g.Dup {
			return rank(f.Dup) - rank(g.Dup)
		}
		if c := d.compare(f, f.Meta.IsDir(), g); c != 0 {
			return c
		}
		return int(f.Index) - int(g.Index)
	}
	if slices.IsSortedFunc(files, order) {
		return files
	}
	files = slices.Clone(files)
	slices.SortFunc(files, order)
	return files
}

// compare orders two files by their names as they travelled, f as a directory
// or not. A slash in front of both makes no difference.
func (d *Decoder) compare(f *File, fDir bool, g *File) int {
	a, b := sortName(f.Path), sortName(g.Path)
	if f.slash != g.slash {
		if f.slash {
			a = "/" + a
		} else {
			b = "/" + b
		}
	}
	return comparePaths(d.opts.Protocol, a, fDir, b, g.Meta.IsDir())
}

// sortName is a path as the lists name it.
func sortName(p tree.Path) string {
	if p.IsRoot() {
		return "."
	}
	return string(p)
}

// clean drops what must not be processed from a sorted list: duplicates (3.3),
// empty directories (3.4), and it refuses entries without a parent.
func (d *Decoder) clean(order []*File, start int32) error {
	d.dropEqual(order, start)
	if d.opts.Protocol >= modernOrder {
		d.dropFilesLikeDirs(order)
	}
	if d.recv.Prune {
		d.prune(order)
	}
	if d.opts.Incremental() {
		return nil
	}
	dissolve(order)
	d.links = linkSets{}
	return d.checkParents(order)
}

// dropEqual keeps one of the entries of each name: the first directory among
// them, or the first entry. From protocol 29 on files and directories are never
// equal. start is the index of the first.
func (d *Decoder) dropEqual(order []*File, start int32) {
	if len(order) == 0 {
		return
	}
	at := 0
	drop := func(f *File, at int) {
		f.Dup = true
		if d.recv.Duplicate != nil {
			d.recv.Duplicate(f.Path, start+int32(at))
		}
	}
	for i, f := range order[1:] {
		kept := order[at]
		if f.Dup || kept.Dup || f.Path != kept.Path || f.slash != kept.slash || d.opts.Protocol >= modernOrder && f.Meta.IsDir() != kept.Meta.IsDir() {
			at = i + 1
			continue
		}
		switch {
		case kept.Meta.IsDir() && f.Meta.IsDir():
			kept.Top = kept.Top || f.Top
			kept.Content = kept.Content || f.Content
			kept.Implied = kept.Implied && f.Implied
			drop(f, i+1)
		case f.Meta.IsDir():
			drop(kept, at)
			at = i + 1
		default:
			drop(f, i+1)
		}
	}
}

// dropFilesLikeDirs drops other entries that have the name of a directory.
func (d *Decoder) dropFilesLikeDirs(order []*File) {
	active := len(order)
	for active > 0 && order[active-1].Dup {
		active--
	}
	for _, dir := range order[:active] {
		if dir.Dup || !dir.Meta.IsDir() || dir.Path.IsRoot() {
			continue
		}
		i, found := slices.BinarySearchFunc(order[:active], dir, func(f, dir *File) int {
			return -d.compare(dir, false, f)
		})
		if found && !order[i].Meta.IsDir() {
			order[i].Dup = true
		}
	}
}

// prune drops directories that hold nothing but directories (section 3.4).
func (d *Decoder) prune(order []*File) {
	needed := make(map[tree.Path]bool)
	need := func(p tree.Path) {
		for ; !p.IsRoot() && !needed[p]; p = p.Parent() {
			needed[p] = true
		}
	}
	for _, f := range order {
		switch {
		case f.Dup:
		case !f.Meta.IsDir():
			need(f.Path.Parent())
		case d.recv.Keep != nil && d.recv.Keep(f.Path):
			need(f.Path)
		}
	}
	for _, f := range order {
		if f.Meta.IsDir() && !f.Path.IsRoot() && !needed[f.Path] {
			f.Dup = true
		}
	}
}

// OrphanError is about an entry whose directory is not listed. It is an
// ErrProtocol.
type OrphanError struct{ Path tree.Path }

func (e *OrphanError) Error() string {
	return fmt.Sprintf("%s without the directory that holds it: %v", e.Path, ErrProtocol)
}

func (e *OrphanError) Unwrap() error { return ErrProtocol }

// checkParents refuses an entry whose directory is not listed: where it would
// go was never looked at (section 9.1). Only missing arguments may lie below
// other ones, or, with a warning, below what is not listed at all (3.6).
func (d *Decoder) checkParents(order []*File) error {
	listed := make(map[tree.Path]*File)
	for _, f := range order {
		if !f.Dup && (f.Meta.IsDir() || d.recv.DeleteMissing) {
			listed[f.Path] = f
		}
	}
	var last tree.Path // the parent that was looked up last, if it is a directory
	for _, f := range order {
		parent := f.Path.Parent()
		if f.Dup || parent.IsRoot() || parent == last {
			continue
		}
		p := listed[parent]
		switch {
		case p != nil && p.Meta.IsDir():
			last = parent
		case !f.Gone || p != nil && !p.Gone:
			return &OrphanError{f.Path}
		case p == nil:
			d.recv.Warn(wire.CodeError, "WARNING: parent dir is absent in the file list: "+string(parent))
			listed[parent] = &File{Gone: true} // one warning is enough
		}
	}
	return nil
}
