package dest

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// alternate is a directory of --compare-dest, --copy-dest or --link-dest.
type alternate struct {
	root *apply.Root // nil if it is not there
}

func (a alternate) close() {
	if a.root != nil {
		_ = a.root.Close()
	}
}

// openAlts opens the alternate directories. One that is missing is warned about
// and keeps its number.
func (o *opener) openAlts() {
	d := o.d
	option, list := "--compare-dest", d.opt.CompareDest
	switch {
	case len(d.opt.CopyDest) > 0:
		option, list = "--copy-dest", d.opt.CopyDest
	case len(d.opt.LinkDest) > 0:
		option, list = "--link-dest", d.opt.LinkDest
	}
	for _, name := range list {
		dir := o.dirOf(name, apply.Options{KeepModes: true})
		d.alts = append(d.alts, alternate{root: dir.root})
		switch {
		case dir.err == nil:
		case errors.As(dir.err, new(walk.UntrustedLink)):
			d.refusal(dir.err)
		case errnoOf(dir.err) == syscall.ENOTDIR:
			d.say(wire.CodeWarning, "%s arg is not a dir: %s", option, dir.full)
		default:
			d.say(wire.CodeWarning, "%s arg does not exist: %s", option, dir.full)
		}
	}
}

// Level says how much of what is in an alternate directory is as wanted.
type Level uint8

// The levels (rsync-transfer 4.3).
const (
	NoMatch     Level = iota
	Exists            // something of that kind is there
	SameContent       // the quick check says so, or it is the same symlink or device
	SameAll           // attributes as well
)

// Match is the best candidate among the alternate directories.
type Match struct {
	Alt   int
	Level Level
	Found Found
}

// Alts is how many alternate directories there are; those that do not exist
// count.
func (d *Dest) Alts() int { return len(d.alts) }

// BestAlt looks for f in the alternate directories. It stops at the first that
// has all the same.
func (d *Dest) BestAlt(f *flist.File) Match {
	var best Match
	for i := range d.alts {
		found := d.inAlt(i, d.Path(f), f.Meta.IsDir())
		level := d.level(f, &found)
		if level > best.Level {
			best = Match{Alt: i, Level: level, Found: found}
		}
		if level == SameAll {
			break
		}
	}
	return best
}

// inAlt is what is at p in alternate directory alt.
func (d *Dest) inAlt(alt int, p tree.Path, asDir bool) Found {
	root := d.alts[alt].root
	if root == nil {
		return Found{}
	}
	found, err := d.lookIn(root, p, asDir)
	if err != nil {
		return Found{}
	}
	return found
}

// lookIn is what is at p in a directory that an option names.
func (d *Dest) lookIn(root *apply.Root, p tree.Path, asDir bool) (Found, error) {
	at, err := root.Hold(p)
	if err != nil {
		return nothing(err)
	}
	defer at.Release()
	found, err := d.lookAt(at, asDir)
	if err != nil {
		return nothing(err)
	}
	found.root, found.path = root, p
	return found, nil
}

func (d *Dest) level(f *flist.File, found *Found) Level {
	if found.Kind != f.Meta.Kind {
		return NoMatch
	}
	switch f.Meta.Kind {
	case tree.File:
		if same, err := d.QuickCheck(f, found); !same || err != nil {
			return Exists
		}
	case tree.Dir:
	default:
		if !d.SameNode(f, found) {
			return Exists
		}
	}
	if d.Differs(f, found, wire.ItemMatchedAlt, false)&(wouldSet&^wire.ItemAtime) != 0 {
		return SameContent
	}
	return SameAll
}

// AltDir lists directory p of an alternate directory. One that is not there has
// no entries. Trouble is not told.
func (d *Dest) AltDir(alt int, p tree.Path) ([]tree.Entry, error) {
	root := d.alts[alt].root
	if root == nil {
		return nil, nil
	}
	entries, err := root.Reader().ReadDir(p)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return entries, err
}

// LinkAlt makes f another name of what is in alternate directory alt. have is
// replaced in one step. Trouble is not told: a copy is made then.
func (d *Dest) LinkAlt(f *flist.File, alt int, have *Found) error {
	root := d.alts[alt].root
	switch {
	case root == nil:
		return syscall.ENOENT
	case d.idle():
		return nil
	}
	return d.linkFrom(root, d.Path(f), f, have)
}

// CopyAlt makes f a copy of the regular file in alternate directory alt, with
// f's attributes. Trouble was told, but for an *Error.
func (d *Dest) CopyAlt(f *flist.File, alt int, have *Found) error {
	root, p := d.alts[alt].root, d.Path(f)
	switch {
	case root == nil:
		return syscall.ENOENT
	case d.idle() || d.root == nil:
		_, err := d.Backup(p, have.Meta, false)
		return err
	}
	src, err := root.Reader().Open(p)
	if err != nil {
		return d.told(err, "open %s failed", d.quoted(string(p)))
	}
	defer src.Close()
	o := &Output{d: d, f: f, path: p, have: *have, end: -1}
	if err := o.openTemp(); err != nil {
		return err
	}
	if err := o.staged.CopyFrom(src); err != nil {
		o.drop()
		return d.told(err, "copy_file %s failed", d.FullName(p))
	}
	if d.opt.Fsync {
		err = d.told(unix.Fsync(o.fd), "fsync failed on %s", d.FullName(p))
	}
	if err != nil {
		o.drop()
		return err
	}
	_, err = o.place(Good)
	return err
}
