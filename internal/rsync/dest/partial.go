package dest

import (
	"path"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

const (
	// delayDir is where --delay-updates keeps files without --partial-dir.
	delayDir = ".~tmp~"
	// partialPerm are the permissions of a partial directory that is made.
	partialPerm = 0o700
)

// openPartial finds the partial directory: a name beside each file, or one
// directory for all.
func (o *opener) openPartial() {
	d := o.d
	d.holding = strings.TrimRight(d.opt.PartialDir, "/")
	if d.holding == "" && d.opt.DelayUpdates {
		d.holding = delayDir
	}
	if strings.HasPrefix(d.holding, "/") {
		if o.isDir(d.holding) { // what else is there makes room for one
			d.partial = o.dirOf(d.holding, treeOptions())
		}
	} else if d.holding != "" {
		d.holding = path.Clean(d.holding)
	}
}

// PartialDir reports whether incomplete files have a directory of their own
// (--partial-dir, --delay-updates).
func (d *Dest) PartialDir() bool { return d.holding != "" }

// partialPlace is where the partial file of f is; root is nil if its directory
// is not there.
func (d *Dest) partialPlace(f *flist.File) (root *apply.Root, p tree.Path) {
	p = d.Path(f)
	if strings.HasPrefix(d.holding, "/") {
		return d.partial.root, tree.Path(p.Base())
	}
	dir, err := tree.Clean(path.Join(string(p.Parent()), d.holding))
	if err != nil {
		return nil, ""
	}
	if m := d.p.Module; m != nil && m.Hidden != nil && m.hides(d.names.inModule(string(dir))) {
		return nil, "" // a rule that is anchored deeper than the destination
	}
	return d.root, dir.Join(p.Base())
}

// partialName is where the partial file of f is, from the destination directory.
func (d *Dest) partialName(f *flist.File) string {
	p := d.Path(f)
	if strings.HasPrefix(d.holding, "/") {
		return join(d.holding, p.Base())
	}
	return path.Join(string(p.Parent()), d.holding, p.Base())
}

// makePartial makes the directory for the partial file of f.
func (d *Dest) makePartial(f *flist.File) (*apply.Root, tree.Path, error) {
	if strings.HasPrefix(d.holding, "/") {
		d.making.Lock()
		defer d.making.Unlock()
		if d.partial.root == nil {
			if err := d.names.at(d.holding, makeHolding); err != nil {
				return nil, "", err
			}
			if d.partial = d.names.dirOf(d.holding, treeOptions()); d.partial.err != nil {
				return nil, "", d.partial.err
			}
		}
		root, p := d.partialPlace(f)
		return root, p, nil
	}
	root, p := d.partialPlace(f)
	if root == nil {
		return nil, "", syscall.EINVAL
	}
	return root, p, root.At(p.Parent(), makeHolding)
}

// makeHolding makes a partial directory. Anything else that stands there, a
// symlink to a directory included, is removed.
func makeHolding(at apply.Place) error {
	o := at.Object()
	err := o.Mkdir(partialPerm)
	if err != syscall.EEXIST {
		return err
	}
	if m, err := o.Stat(); err != nil || m.IsDir() {
		return err
	}
	if err := o.Unlink(); err != nil {
		return err
	}
	return o.Mkdir(partialPerm)
}

// StatPartial is the partial file of f; there is none if it is not regular.
// Trouble is not told.
func (d *Dest) StatPartial(f *flist.File) (Found, error) {
	if d.holding == "" || d.root == nil {
		return Found{}, nil
	}
	root, p := d.partialPlace(f)
	if root == nil {
		return Found{}, nil
	}
	found, err := d.lookIn(root, p, false)
	if found.Kind != tree.File {
		return Found{}, err
	}
	return found, err
}

// RemovePartial removes the partial file of f, and a directory beside f that
// is then empty.
func (d *Dest) RemovePartial(f *flist.File) {
	if d.holding == "" || d.idle() || d.root == nil {
		return
	}
	root, p := d.partialPlace(f)
	if root == nil {
		return
	}
	err := root.At(p, func(at apply.Place) error { return at.Object().Unlink() })
	if err == nil || err == syscall.ENOENT {
		d.dropPartialDir(p.Parent())
	}
}

// dropPartialDir removes a partial directory that is empty, if it is one beside
// the files.
func (d *Dest) dropPartialDir(dir tree.Path) {
	if strings.HasPrefix(d.holding, "/") || dir == tree.Root {
		return
	}
	if d.root.At(dir, func(at apply.Place) error { return at.Object().Rmdir() }) == nil {
		d.forget(dir)
	}
}

// Verdict is how the reading of a file's data ended.
type Verdict uint8

// The verdicts.
const (
	Good   Verdict = iota // the digest fits
	Bad                   // it does not
	Broken                // the data broke off
)

// Outcome is where the data is now.
type Outcome uint8

// The outcomes.
const (
	Placed       Outcome = iota // under its name
	Delayed                     // in the partial directory until PlaceDelayed
	Retained                    // wrong or incomplete, but under its name
	InPartialDir                // the same, in the partial directory
	Discarded
)

// PlaceDelayed puts the files of --delay-updates in place, in the order of
// their indexes, and says for each whether that was possible. Trouble was told.
func (d *Dest) PlaceDelayed(done func(f *flist.File, err error)) {
	d.delayed.Lock()
	files := d.delayed.files
	d.delayed.files = nil
	d.delayed.Unlock()
	sortByIndex(files)
	for _, f := range files {
		p := d.Path(f)
		d.renaming(d.partialName(f), string(p))
		root, from := d.partialPlace(f)
		have, err := d.look(p, false)
		if err == nil {
			if _, err := d.backup(p, have.real, toPlace); err != nil { // it was told
				done(f, err)
				continue
			}
			err = d.move(root, from, p)
		}
		if err == nil {
			d.dropPartialDir(from.Parent())
		} else {
			d.Tell("rename failed for "+d.FullName(p)+" (from "+d.quotedIn(root, from)+")", err)
		}
		done(f, err)
	}
}

// quotedIn is the name of p in messages if it may be in the partial directory.
func (d *Dest) quotedIn(root *apply.Root, p tree.Path) string {
	if root != d.root {
		return d.quoted(join(d.holding, string(p)))
	}
	return d.FullName(p)
}

// move renames from, which may be beneath another Root, to p.
func (d *Dest) move(root *apply.Root, from, p tree.Path) error {
	if root == nil {
		return syscall.ENOENT
	}
	rename := func(src, dst apply.Place) error { return src.Object().RenameTo(dst.Object()) }
	if root == d.root {
		return root.Both(from, p, rename)
	}
	return root.At(from, func(src apply.Place) error {
		return d.root.At(p, func(dst apply.Place) error { return rename(src, dst) })
	})
}

// invalid is the refusal of what a peer asks for.
func invalid(text string) error {
	return &Error{Code: exitProtocol, Text: text}
}

// isAlt reports whether a basis is one in an alternate directory, and in which.
func isAlt(b wire.Basis) (alt int, fuzzy, ok bool) {
	switch {
	case b < wire.BasisFile:
		return int(b), false, true
	case b >= wire.BasisFuzzyAlt:
		return int(b - wire.BasisFuzzyAlt), true, true
	}
	return 0, false, false
}
