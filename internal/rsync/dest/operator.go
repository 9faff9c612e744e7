package dest

import (
	"errors"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// names opens directories that the operator names. For a daemon's clients they
// are names within the module: absolute ones start at its top, ".." stops
// there, and symlinks are followed as far as they stay inside. To a process that
// changed its root to the module they are names like those of an operator.
type names struct {
	op     walk.Operator
	base   *walk.Root // where relative names start; nil is the working directory
	dir    string     // the same, absolute; in a module from its top
	module *walk.Root // nil outside of modules, and with a root of its own
}

// open opens a directory as a Root that goes through symlinks as links says.
func (n *names) open(name string, links walk.Symlinks) (*walk.Root, error) {
	if n.module != nil {
		return n.module.Sub(n.inModule(name), links)
	}
	op := n.op
	if n.base != nil {
		base, err := n.base.File()
		if err != nil {
			return nil, err
		}
		defer base.Close()
		op.Base = base
	}
	f, err := op.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return walk.NewRoot(f, links)
}

// inModule is the path of a name from the module's top.
func (n *names) inModule(name string) tree.Path {
	return tree.Path(strings.TrimPrefix(path.Clean("/"+n.full(name)), "/"))
}

// full is a name made absolute, as it stands in messages.
func (n *names) full(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return join(n.dir, name)
}

// shown is the name of an option's directory as messages have it.
func (d *Dest) shown(name string) string {
	if m := d.p.Module; m != nil && !m.rooted() && strings.HasPrefix(name, "/") {
		return m.Dir + name
	}
	return name
}

// capped is a relative name without the ".." that lead above the module.
func (o *opener) capped(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return tame(strings.TrimRight(name, "/"), tree.Path(strings.Trim(o.dir, "/")).Depth())
}

// lenient are the same names through anybody's symlinks: for a look, no more.
func (n names) lenient() *names {
	n.op.Insecure = true
	return &n
}

// look says what a name leads to, whoever made the symlinks on the way: an error
// if to nothing. It goes out of a module where they do; to open what is there
// does not.
func (n *names) look(name string) (isDir bool, err error) {
	n = n.lenient()
	r, err := n.open(name, walk.NoLinks)
	switch no := errnoOf(err); {
	case err == nil:
		return true, r.Close()
	case no == syscall.ENOTDIR:
		return false, n.exists(name)
	case no == syscall.ELOOP && n.module != nil:
		return n.outside(name)
	}
	return false, err
}

// outside is look for a name of the module that leads out of it.
func (n *names) outside(name string) (isDir bool, err error) {
	top, err := n.module.File()
	if err != nil {
		return false, err
	}
	defer top.Close()
	at := string(n.inModule(name))
	if strings.HasSuffix(name, "/") {
		at += "/"
	}
	var st unix.Stat_t
	err = unix.Fstatat(int(top.Fd()), at, &st, 0)
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

// maxLinks bounds how many symlinks one name leads through.
const maxLinks = 40

// exists reports whether anything has that name, symlinks followed; nil says
// that it does.
func (n *names) exists(name string) error {
	for range maxLinks {
		if strings.HasSuffix(name, "/") { // it must be a directory, and is none
			return syscall.ENOTDIR
		}
		dir, base := splitName(name)
		parent, err := n.open(dir, walk.NoLinks)
		if err != nil {
			return err
		}
		m, err := parent.Lstat(tree.Path(base))
		target := ""
		if err == nil && m.Kind == tree.Symlink {
			target, err = parent.Readlink(tree.Path(base))
		}
		_ = parent.Close()
		if err != nil || target == "" {
			return err
		}
		if name = target; !strings.HasPrefix(target, "/") {
			name = join(dir, target)
		}
	}
	return syscall.ELOOP
}

// splitName is the directory and the last component of a name.
func splitName(name string) (dir, base string) {
	name = strings.TrimRight(name, "/")
	i := strings.LastIndexByte(name, '/')
	switch {
	case i < 0:
		return ".", name
	case i == 0:
		return "/", name[1:]
	}
	return name[:i], name[i+1:]
}

// isDir reports whether that is the name of a directory itself, not of a symlink
// to one.
func (n *names) isDir(name string) bool {
	dir, base := splitName(name)
	parent, err := n.open(dir, walk.NoLinks)
	if err != nil {
		return false
	}
	defer parent.Close()
	m, err := parent.Lstat(tree.Path(base))
	return err == nil && m.IsDir()
}

// mkdir makes one directory. That a symlink is not followed is no reason if it
// leads nowhere.
func (n *names) mkdir(name string, perm uint32) error {
	err := n.at(name, func(at apply.Place) error { return at.Object().Mkdir(perm) })
	if errors.As(err, new(walk.UntrustedLink)) {
		dir, _ := splitName(name)
		if _, gone := n.look(dir); gone != nil {
			return gone
		}
	}
	return err
}

// at does f where name is, or is to be.
func (n *names) at(name string, f func(at apply.Place) error) error {
	dir, base := splitName(name)
	if base == "" || base == "." || base == ".." {
		return syscall.EEXIST
	}
	reader, err := n.open(dir, walk.NoLinks)
	if err != nil {
		return err
	}
	parent, err := apply.NewRoot(reader, apply.Options{KeepModes: true})
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.At(tree.Path(base), f)
}

// missingDirs are the directories that mkdirs would make, the topmost first. An
// error is why the topmost is not there, if it is not just missing.
func (n *names) missingDirs(name string) (todo []string, err error) {
	for at := strings.TrimRight(name, "/"); at != "" && at != "."; {
		isDir, err := n.look(at)
		if err == nil && isDir {
			break
		}
		todo = append([]string{at}, todo...)
		switch errnoOf(err) {
		case 0:
			return todo, syscall.ENOTDIR
		case syscall.ENOENT:
		default:
			return todo, err
		}
		if !strings.Contains(at, "/") {
			break
		}
		at, _ = splitName(at)
	}
	return todo, nil
}

// mkdirs makes a directory and the parents that are missing, and tells how many.
func (n *names) mkdirs(name string, perm uint32) (made int, err error) {
	todo, _ := n.missingDirs(name) // what is in the way is in the way of mkdir, too
	for _, dir := range todo {
		switch err := n.mkdir(dir, perm); {
		case err == nil:
			made++
		case err != syscall.EEXIST || n.exists(dir) == nil && !n.isDir(dir):
			return made, err
		}
	}
	return made, nil
}

// operatorDir is a directory that an option names.
type operatorDir struct {
	name string // as given; "" is none
	full string
	root *apply.Root // nil while it can't be opened
	err  error       // the reason
}

func (o *operatorDir) close() {
	if o.root != nil {
		_ = o.root.Close()
		o.root = nil
	}
}

// dirOf opens the directory that an option names, if it is there.
func (n *names) dirOf(name string, opts apply.Options) operatorDir {
	o := operatorDir{name: name, full: n.full(name)}
	reader, err := n.open(name, walk.NoLinks)
	if err == nil {
		o.root, err = apply.NewRoot(reader, opts)
	}
	o.err = err
	return o
}

// judgeNames refuses directories of options that a daemon module's filter hides.
// The exit codes are rsync's; rsync takes a relative --backup-dir and --temp-dir
// from the module's top here, and does not look at the other relative ones.
func (o *opener) judgeNames() error {
	if o.d.p.Module == nil || o.d.p.Module.Hidden == nil {
		return nil
	}
	opt := o.d.opt
	for _, name := range []string{opt.BackupDir, opt.TempDir} {
		if name != "" && (o.hidden(o.inModule(name)) || o.hidden(tree.Path(path.Clean("/" + name)[1:]))) {
			return &Error{Code: exitUnsupported, Text: "rsync: " + rejected}
		}
	}
	for _, list := range [][]string{{opt.PartialDir}, opt.LinkDest, opt.CompareDest, opt.CopyDest} {
		for _, name := range list {
			if name != "" && o.hidden(o.inModule(name)) {
				return &Error{Code: exitSyntax, Text: rejected}
			}
		}
	}
	return nil
}

const rejected = "Your options have been rejected by the server."

// hidden reports whether the module's filter hides a name from its top, or a
// directory that leads there.
func (o *opener) hidden(p tree.Path) bool { return o.d.p.Module.hides(p) }

func (m *Module) hides(p tree.Path) bool {
	for ; !p.IsRoot(); p = p.Parent() {
		if m.Hidden(p, true) {
			return true
		}
	}
	return false
}
