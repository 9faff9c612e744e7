package dest

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
)

// Found is what is at a place now. Nothing is there if its Kind is
// tree.Missing; the zero value says so.
type Found struct {
	tree.Meta               // with --fake-super, what is pretended
	Atime, Crtime tree.Time // with -U and -N
	real          tree.Meta // what is there really
	faked         bool      // it has a walk.FakeStat
	through       bool      // a symlink to this directory is there (-K)
	outside       bool      // the same, but it leads out of the tree

	root *apply.Root // of a directory that an option names; nil: the destination
	path tree.Path   // there

	attrs []walk.Xattr // once loaded
	known bool         // attrs are loaded
}

// fresh is Found for something that was made just now.
func fresh(m tree.Meta) *Found { return &Found{Meta: m, real: m} }

// Stat is what is at the place of f. Nothing there is no error. Trouble is not
// told.
func (d *Dest) Stat(f *flist.File) (Found, error) {
	return d.look(d.Path(f), f.Meta.IsDir())
}

// StatPath is Stat for any path below Root.
func (d *Dest) StatPath(p tree.Path) (Found, error) { return d.look(p, false) }

// look is what is at p; asDir says that a directory is wanted there.
func (d *Dest) look(p tree.Path, asDir bool) (Found, error) {
	if d.root == nil || p == tree.Root && d.made.Load() {
		return Found{}, nil
	}
	h, err := d.root.Hold(p)
	if err != nil {
		return d.nothing(err)
	}
	defer h.Release()
	have, err := d.lookAt(h, asDir)
	if err != nil {
		return d.nothing(err)
	}
	if have.Kind == tree.Symlink && asDir && d.opt.KeepDirlinks {
		d.throughLink(p, &have)
	}
	return have, nil
}

// nothing turns the errors that say so into a Found without anything. That a
// parent is no directory says so only where it would have been made one.
func (d *Dest) nothing(err error) (Found, error) {
	no := errnoOf(err)
	if no == syscall.ENOENT || no == syscall.ENOTDIR && d.idle() {
		return Found{}, nil
	}
	return Found{}, err
}

// lookAt is what is at place at.
func (d *Dest) lookAt(at apply.Place, asDir bool) (have Found, err error) {
	if !d.opt.Crtimes && (d.opt.Atimes == 0 || asDir) {
		have.Meta, err = at.Object().Stat()
	} else {
		var more walk.Times
		have.Meta, more, err = at.Object().StatTimes()
		have.Atime, have.Crtime = more.Access, more.Birth
	}
	have.real = have.Meta
	if err == nil && d.me.fake {
		err = d.overlay(at.Object(), &have)
	}
	return have, err
}

// overlay puts what --fake-super pretends over what is there.
func (d *Dest) overlay(o apply.Object, have *Found) error {
	if have.Kind != tree.File && have.Kind != tree.Dir {
		return nil
	}
	value, err := o.Xattr(walk.FakeStat)
	if err != nil || value == nil {
		return nil
	}
	if fake, err := walk.ParseFake(value); err == nil {
		size := have.Size
		have.Meta, have.faked = fake.Overlay(have.Meta), true
		if have.Kind != tree.File && have.Kind != tree.Symlink {
			size = 0
		}
		have.Size = size
	}
	return nil
}

// throughLink exchanges a symlink to a directory for the directory (-K). One
// that leads out of the tree counts as the directory too, as with rsync, whoever
// made it; but nothing can be done in it.
func (d *Dest) throughLink(p tree.Path, have *Found) {
	var dir Found
	err := d.root.AtDir(p, func(at apply.Place) (err error) {
		dir, err = d.lookAt(at, true)
		return err
	})
	switch {
	case err == nil:
		dir.through = true
		*have = dir
	case errnoOf(err) == syscall.ELOOP:
		if r, err := d.names.lenient().open(string(p), walk.NoLinks); err == nil {
			if m, err := r.Lstat(tree.Root); err == nil {
				*have = Found{Meta: m, real: m, outside: true}
			}
			_ = r.Close()
		}
	}
}

// forget drops the handles of directory p, or of the one that symlink p leads
// to: it goes away. Where symlinks are gone through, others may have led there.
func (d *Dest) forget(p tree.Path) {
	if d.links() != walk.NoLinks {
		p = tree.Root
	}
	d.root.Forget(p)
}

// ReadDir lists directory p of the destination, see walk.Root.ReadDir. With
// --fake-super the metadata is what is there really. Trouble is not told.
func (d *Dest) ReadDir(p tree.Path) ([]tree.Entry, error) {
	if d.root == nil {
		return nil, nil
	}
	entries, err := d.root.Reader().ReadDir(p)
	if d.leadsOut(err) {
		return nil, nil
	}
	return entries, err
}

// leadsOut reports whether err says that a symlink on the way leads out of the
// tree, so that there is nothing to be deleted (-K).
func (d *Dest) leadsOut(err error) bool { return d.opt.KeepDirlinks && errnoOf(err) == syscall.ELOOP }

// Names appends the names in directory p of the destination to into, see
// walk.Root.Names. Trouble is not told.
func (d *Dest) Names(p tree.Path, into []walk.Name) ([]walk.Name, error) {
	if d.root == nil {
		return into, nil
	}
	names, err := d.root.Reader().Names(p, into)
	if d.leadsOut(err) {
		return into, nil
	}
	return names, err
}

// Readable is Names without what this process may not read.
func (d *Dest) Readable(p tree.Path, names []walk.Name) ([]walk.Name, error) {
	if d.root == nil || len(names) == 0 {
		return names, nil
	}
	return d.root.Reader().Readable(p, names)
}

// Folder is a directory of the destination whose handle is held for looking at
// many of its entries. It may be used from any goroutine.
type Folder struct {
	d   *Dest
	dir *walk.Dir
	at  tree.Path
}

// Folder opens directory dir. One that does not exist is fs.ErrNotExist; what is
// no directory, or can't be reached, is another error.
func (d *Dest) Folder(dir tree.Path) (*Folder, error) {
	if d.root == nil {
		return nil, fs.ErrNotExist
	}
	if d.name != "" {
		dir = tree.Root
	}
	held, err := d.root.Reader().Dir(dir)
	if no := errnoOf(err); no == syscall.ELOOP || no == syscall.ENOTDIR && !d.idle() {
		return nil, no // package walk takes these for fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return &Folder{d: d, dir: held, at: dir}, nil
}

// Close gives the handle back.
func (o *Folder) Close() error { return o.dir.Close() }

// Stat is Dest.Stat for an entry of this directory.
func (o *Folder) Stat(f *flist.File, into *Found) (err error) {
	p := o.d.Path(f)
	if p == tree.Root {
		*into, err = o.d.Stat(f)
		return err
	}
	at, err := o.d.root.In(o.dir, p.Base())
	if err != nil {
		return err
	}
	*into, err = o.d.lookAt(at, f.Meta.IsDir())
	at.Release()
	if err != nil {
		*into, err = o.d.nothing(err)
		return err
	}
	if into.Kind == tree.Symlink && f.Meta.IsDir() && o.d.opt.KeepDirlinks {
		o.d.throughLink(p, into)
	}
	return nil
}

// at does f at the place of p, or in the directory that it leads to.
func (d *Dest) at(p tree.Path, have *Found, f func(at apply.Place) error) error {
	switch {
	case d.root == nil:
		return syscall.ENOENT
	case have != nil && have.outside:
		return syscall.ELOOP
	case have != nil && have.through:
		return d.root.AtDir(p, f)
	}
	return d.root.At(p, f)
}

// xattrs are the attributes of what was found, ACLs included.
func (d *Dest) xattrs(p tree.Path, have *Found) ([]walk.Xattr, error) {
	if have.known || !have.Exists() {
		return have.attrs, nil
	}
	read := func(at apply.Place) (err error) {
		have.attrs, err = at.Object().Xattrs()
		return err
	}
	var err error
	if have.root != nil {
		err = have.root.At(have.path, read)
	} else {
		err = d.at(p, have, read)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	have.known = true
	return have.attrs, nil
}

// valueOf is the value of one attribute; nil is none.
func valueOf(attrs []walk.Xattr, name string) []byte {
	for _, x := range attrs {
		if x.Name == name {
			return x.Value
		}
	}
	return nil
}

// fakeName reports whether an attribute is --fake-super's book-keeping.
func fakeName(name string) bool { return strings.HasPrefix(name, walk.FakePrefix+"%") }
