package dest

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// List is what is known of the file list when the destination is looked at.
type List struct {
	Entries int         // received so far
	First   *flist.File // the first in order; nil if there is none
}

// opening is the role in messages until the receiving side splits into two.
const opening = "Receiver"

// opener is an Open under way.
type opener struct {
	*names
	d    *Dest
	arg  string
	list List
}

// Open examines the destination argument (rsync-transfer 4.0): it makes
// directories, says so, and opens what the options name. An error that ends the
// run is an *Error; it was not printed.
func Open(p Params, arg string, list List) (*Dest, error) {
	if arg == "" {
		arg = "."
	}
	d := &Dest{place: &place{p: p, opt: p.Opt, umask: umask()}, role: opening}
	o := &opener{names: &d.names, arg: arg, list: list, d: d}
	var err error
	if d.me, err = whoami(p.Opt); err != nil {
		return nil, err
	}
	if err = o.start(); err == nil {
		err = o.examine()
	}
	if o.base != nil {
		_ = o.base.Close()
		o.base = nil
	}
	if err == nil {
		err = o.options()
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// start opens the directory where names begin.
func (o *opener) start() error {
	p := o.d.p
	if p.Module != nil {
		return o.startIn(p.Module)
	}
	o.op = walk.Operator{Insecure: p.Opt.InsecureLinks}
	o.dir = p.Dir
	if p.Dir == "" {
		var err error
		o.dir, err = os.Getwd()
		return err
	}
	var err error
	o.base, err = walk.OpenRoot(p.Dir)
	return err
}

// startIn opens a module.
func (o *opener) startIn(m *Module) error {
	top, err := walk.OpenRoot(m.Dir)
	o.dir = "/"
	switch {
	case err != nil:
	case m.rooted():
		o.base, o.op = top, walk.Operator{Insecure: true} // for the destination
	default:
		o.module, err = within(top)
	}
	return err
}

// within exchanges a Root for one that goes through the symlinks inside.
func within(r *walk.Root) (*walk.Root, error) {
	defer r.Close()
	return r.Sub("", walk.LinksInside)
}

// fatal is an error that ends the run. The name of what failed is the argument
// as it was given.
func (o *opener) fatal(code int, call, name string, err error) error {
	o.d.refusal(err)
	return &Error{Code: code, Text: message(opening, fmt.Sprintf("%s %s failed", call, o.argument(name)), err), Err: err}
}

// argument is the destination's name in messages.
func (o *opener) argument(name string) string {
	switch m := o.d.p.Module; {
	case m == nil:
		name = o.full(name)
	case m.rooted() && !strings.HasPrefix(name, "/"):
		name = "/" + name
	}
	return o.d.quoted(name)
}

// examine applies the rules of 4.0. A look at what is there goes through any
// symlink; only what is entered, or made, must not be behind another user's.
func (o *opener) examine() error {
	isDir, err := o.look(o.arg)
	if err != nil && o.d.opt.MkPath {
		if err := o.mkpath(); err != nil {
			return err
		}
		isDir, err = o.look(o.arg)
	}
	switch {
	case err == nil && isDir:
		if err := o.enter(o.arg); err != nil {
			return o.fatal(exitSelect, "change_dir#1", o.arg, err)
		}
		return nil
	case err == nil:
		return o.single(true)
	case errnoOf(err) != syscall.ENOENT:
		return o.noStat(err)
	case o.list.Entries > 1 || strings.HasSuffix(o.arg, "/"):
		return o.make()
	}
	return o.single(false)
}

func (o *opener) noStat(err error) error {
	return &Error{
		Code: exitSelect,
		Text: message(opening, "ERROR: cannot stat destination "+o.argument(o.arg), err),
		Err:  err,
	}
}

// links says which symlinks in the tree are gone through.
func (p *place) links() walk.Symlinks {
	opt, m := p.opt, p.p.Module
	switch {
	case !opt.KeepDirlinks && (!opt.Relative || opt.ImpliedDirs):
		return walk.NoLinks
	case opt.InsecureLinks:
		return walk.LinksAnywhere
	case m != nil && m.rooted():
		return walk.LinksTrusted
	}
	return walk.LinksInside
}

// treeOptions are those for what is written in the destination tree.
func treeOptions() apply.Options {
	return apply.Options{Links: true, Devices: true, Specials: true, KeepModes: true, Temp: hiddenTemp}
}

// enter makes name the destination directory.
func (o *opener) enter(name string) error {
	reader, err := o.open(name, o.d.links())
	if err != nil {
		return err
	}
	f, err := reader.File()
	if err == nil {
		err = unix.Faccessat(int(f.Fd()), ".", unix.X_OK, unix.AT_EACCESS)
		_ = f.Close()
	}
	if err != nil {
		_ = reader.Close()
		return err
	}
	if o.d.root, err = apply.NewRoot(reader, treeOptions()); err != nil {
		return err
	}
	o.d.dir = path.Clean(o.full(name))
	o.d.tellEntered(name)
	return nil
}

// single is file name mode: the one entry gets the name of the argument.
// there says that something has this name.
func (o *opener) single(there bool) error {
	switch {
	case there && o.list.Entries > 1:
		return &Error{Code: exitSelect, Text: "ERROR: destination must be a directory when copying more than 1 file"}
	case there && o.list.First != nil && o.list.First.Meta.IsDir():
		return &Error{Code: exitSelect, Text: "ERROR: cannot overwrite non-directory with a directory"}
	}
	dir, base := splitName(o.arg)
	o.d.name = base
	err := o.enter(dir)
	switch {
	case err == nil:
		return nil
	case missing(err) && o.d.opt.MkPath && o.d.idle(): // it would be there
		o.d.dir = path.Clean(o.full(dir))
		return nil
	}
	return o.fatal(exitSelect, "change_dir#3", dir, err)
}

// make makes the one directory that is missing.
func (o *opener) make() error {
	d := o.d
	if !d.idle() {
		if err := o.mkdir(o.arg, 0o777); err != nil {
			return o.unmade("change_dir#2", strings.TrimRight(o.arg, "/"), err)
		}
	}
	if d.opt.Itemize > 0 || d.opt.Info[option.InfoName] > 0 {
		d.say(wire.CodeInfo, "created directory %s", strings.TrimRight(o.arg, "/"))
	}
	d.isNew = true
	d.made.Store(true)
	if d.idle() {
		d.dir = path.Clean(o.full(o.arg))
		return nil
	}
	if err := o.enter(o.arg); err != nil {
		return o.fatal(exitSelect, "change_dir#2", o.arg, err)
	}
	return nil
}

// unmade is the failure to make a directory. What is refused because of a symlink
// rsync makes, and does not enter.
func (o *opener) unmade(entering, name string, err error) error {
	if errors.As(err, new(walk.UntrustedLink)) {
		return o.fatal(exitSelect, entering, name, err)
	}
	return o.fatal(exitFile, "mkdir", name, err)
}

// mkpath makes what is missing of the path (--mkpath).
func (o *opener) mkpath() error {
	d, name := o.d, strings.TrimRight(o.arg, "/")
	whole := strings.HasSuffix(o.arg, "/") || o.list.Entries > 1
	if !whole {
		dir, _ := splitName(name)
		if !strings.Contains(name, "/") || dir == "/" {
			return nil
		}
		name = dir
	}
	todo, err := o.missingDirs(name)
	made := len(todo)
	if !d.idle() {
		made, err = o.mkdirs(name, 0o777)
	}
	if err != nil {
		return o.unmade("change_dir#1", o.arg, err)
	}
	if made > 0 && (d.opt.Itemize > 0 || d.opt.Info[option.InfoName] > 0) {
		what := fmt.Sprintf("%d directories", made)
		if made == 1 {
			what = "1 directory"
		}
		d.say(wire.CodeInfo, "created %s for %s", what, name)
	}
	return nil
}

// options opens the directories that options name: relative ones start at the
// destination, and unlike it they are confined. They are looked at in the order in
// which rsync does it, since what is wrong with one may end the run.
func (o *opener) options() error {
	d := o.d
	o.op.Insecure, o.op.Confine = d.opt.InsecureLinks, d.opt.ConfineRoot
	o.dir = d.dir
	if d.root != nil {
		o.base = d.root.Reader()
	}
	if err := o.judgeNames(); err != nil {
		return err
	}
	o.openAlts()
	if err := o.openBackups(); err != nil {
		return err
	}
	if d.opt.TempDir != "" {
		d.scratch = o.dirOf(d.opt.TempDir, apply.Options{Temp: scratchTemp, KeepModes: true})
		if err := o.checkScratch(); err != nil {
			return err
		}
	}
	o.openPartial()
	return nil
}

// checkScratch ends the run if the temporary directory can't be looked at, or is
// none.
func (o *opener) checkScratch() error {
	name, what := o.d.opt.TempDir, ""
	switch isDir, err := o.look(name); {
	case err == nil && isDir:
		return nil
	case err == nil:
		what = "is not a directory"
	case errnoOf(err) == syscall.ENOENT:
		what = "does not exist"
	default:
		return o.d.outOfReach("temp-dir "+o.d.shown(name), err)
	}
	return &Error{Code: exitSyntax, Text: fmt.Sprintf("The temp-dir %s: %s", what, o.d.shown(name)), Err: o.d.scratch.err}
}
