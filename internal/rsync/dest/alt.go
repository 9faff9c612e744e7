package dest

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
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
	name string
	root *apply.Root // nil if it is not there

	mu  sync.Mutex
	led map[tree.Path]operatorDir // directories in it that symlinks lead to
}

func (a *alternate) close() {
	if a.root == nil {
		return
	}
	_ = a.root.Close()
	for _, dir := range a.led {
		dir.close()
	}
}

// maxLed bounds the directories that are reached through symlinks.
const maxLed = 256

// inAlt is where p is to be found in alternate directory alt; root is nil if
// nowhere. Unlike the destination, an alternate directory is read through the
// symlinks in it that the operator could have made; each look that another's stands
// in the way of is told.
func (d *Dest) inAlt(alt int, p tree.Path) (root *apply.Root, at tree.Path) {
	root, at, err := d.findAlt(alt, p)
	d.refusal(err)
	return root, at
}

// findAlt is inAlt that tells nothing. An error says why root is nil.
func (d *Dest) findAlt(alt int, p tree.Path) (root *apply.Root, at tree.Path, err error) {
	a := d.alts[alt]
	if a.root == nil || p == tree.Root {
		return a.root, p, nil
	}
	held, err := a.root.Hold(p)
	if err == nil {
		held.Release()
	}
	if no := errnoOf(err); no != syscall.ELOOP && no != syscall.ENOTDIR {
		return a.root, p, nil
	}
	dir := p.Parent()
	a.mu.Lock()
	defer a.mu.Unlock()
	led, ok := a.led[dir]
	if !ok && len(a.led) < maxLed {
		led = d.names.dirOf(join(a.name, string(dir)), apply.Options{KeepModes: true})
		if a.led == nil {
			a.led = make(map[tree.Path]operatorDir)
		}
		a.led[dir] = led
	}
	return led.root, tree.Path(p.Base()), led.err
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
		if d.root == nil { // nothing is there to begin at
			name = path.Clean(o.full(name))
		}
		dir := o.dirOf(name, apply.Options{KeepModes: true})
		d.alts = append(d.alts, &alternate{name: name, root: dir.root})
		full := dir.full
		if m := d.p.Module; m != nil && !m.rooted() {
			full = d.shown(o.capped(name))
		}
		switch {
		case dir.err == nil || name == "": // the latter is like the destination
		case errors.As(dir.err, new(walk.UntrustedLink)):
			d.refusal(dir.err)
		case errnoOf(dir.err) == syscall.ENOTDIR:
			d.say(wire.CodeWarning, "%s arg is not a dir: %s", option, full)
		default:
			d.say(wire.CodeWarning, "%s arg does not exist: %s", option, full)
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
		found := d.statAlt(i, d.Path(f), f.Meta.IsDir())
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

// statAlt is what is at p in alternate directory alt.
func (d *Dest) statAlt(alt int, p tree.Path, asDir bool) Found {
	root, at := d.inAlt(alt, p)
	if root == nil {
		return Found{}
	}
	found, err := d.lookIn(root, at, asDir)
	if err != nil {
		return Found{}
	}
	return found
}

// lookIn is what is at p in a directory that an option names.
func (d *Dest) lookIn(root *apply.Root, p tree.Path, asDir bool) (Found, error) {
	at, err := root.Hold(p)
	if err != nil {
		return d.nothing(err)
	}
	defer at.Release()
	found, err := d.lookAt(at, asDir)
	if err != nil {
		return d.nothing(err)
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
	if d.Differs(f, found, wire.ItemMatchedAlt, false)&(wouldSet&^wire.ItemAtime) != 0 ||
		f.Meta.IsDir() && d.opt.Times && !d.SameTime(f.Meta.Mtime(), found.Mtime) { // whatever -O says
		return SameContent
	}
	return SameAll
}

// AltDir lists directory p of an alternate directory. One that is not there has
// no entries. Trouble is not told.
func (d *Dest) AltDir(alt int, p tree.Path) ([]tree.Entry, error) {
	root, at, _ := d.findAlt(alt, p)
	if root == nil {
		return nil, nil
	}
	entries, err := root.Reader().ReadDir(at)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return entries, err
}

// LinkAlt makes f another name of what is in alternate directory alt. have is
// replaced in one step, without a backup. Trouble is not told: a copy is made then.
func (d *Dest) LinkAlt(f *flist.File, alt int, have *Found) error {
	root, from := d.inAlt(alt, d.Path(f))
	switch {
	case root == nil:
		return syscall.ENOENT
	case d.idle():
		return nil
	}
	return d.linkFrom(root, from, f, have)
}

// CopyAlt makes f a copy of the regular file in alternate directory alt, with
// f's attributes. Trouble was told, but for an *Error.
func (d *Dest) CopyAlt(f *flist.File, alt int, have *Found) error {
	p := d.Path(f)
	root, from := d.inAlt(alt, p)
	switch {
	case root == nil:
		return syscall.ENOENT
	case d.idle() || d.root == nil:
		_, err := d.backup(p, have.Meta, toReplace)
		return err
	}
	src, err := root.Reader().Open(from)
	if err != nil {
		name := d.shown(d.alts[alt].name)
		if d.p.Module == nil {
			name = d.names.full(name)
		}
		return d.told(err, "open %s", d.quoted(strings.TrimSuffix(name, "/")+"/"+string(p)))
	}
	defer src.Close()
	o := &Output{d: d, f: f, path: p, have: *have, like: *have, end: -1, waits: true}
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
