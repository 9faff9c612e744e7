package dest

import (
	"sync"
	"sync/atomic"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
)

// Params are what Open needs besides the destination argument.
type Params struct {
	Opt      *option.Set
	Protocol int
	Talk     output.Talk

	// Dir is where relative names start; "" is the working directory.
	Dir string
	// Sets are the attribute sets of the session; they are needed with -X.
	Sets *flist.XattrSets
	// XattrRules has the xattr rules of this side; nil is none.
	XattrRules *filter.Rules
	// Module is set at a daemon.
	Module *Module
	// File is the digest of -c.
	File checksum.Algo
	// Chmod is the change of modes that this side makes; nil leaves them.
	Chmod *option.Chmod
	// Modes has Talk told the modes of what is deleted, even if no format in Opt
	// shows them.
	Modes bool
}

// Module is where a daemon's module lies.
type Module struct {
	Name  string // messages have " (in NAME)" after the names of files
	Dir   string // absolute; all names start there, and none leads out
	Munge bool   // symlinks are munged
	Tame  bool   // else, their targets are cut where they would lead out

	// Hidden has the module's own filter, by names from its top: what it hides
	// cannot be named by an option. nil hides nothing.
	Hidden func(p tree.Path, isDir bool) bool
}

// rooted reports whether the module is the root of this process, which nothing
// leaves.
func (m *Module) rooted() bool { return m.Dir == "/" }

// Dest is the destination of one transfer, as one of the roles sees it.
type Dest struct {
	*place
	role string
}

// place is what the views of a destination share.
type place struct {
	p     Params
	opt   *option.Set
	names names       // of operators, relative to the destination directory
	dir   string      // the destination directory, absolute, as messages name it; in a module from its top
	root  *apply.Root // nil if it is not there, in a dry run
	isNew bool        // Open made it
	made  atomic.Bool // the same, until Mkdir is called for the root
	name  string      // of the one entry in file name mode, "" otherwise

	me    identity
	umask uint16

	alts    []*alternate
	scratch operatorDir // --temp-dir
	backups operatorDir // --backup-dir
	partial operatorDir // an absolute --partial-dir
	suffix  string      // of backups
	holding string      // name of the partial directory, "" without

	defaults defaultPerms
	deleted  [5]atomic.Int32 // as DeleteCounts gives them
	removed  atomic.Int64    // deletions that count for --max-delete
	skipped  atomic.Int64    // deletions prevented by it
	unlisted atomic.Bool     // as Unlisted gives it

	kept func(p tree.Path, dir bool) bool // of Protect; nil keeps nothing

	making sync.Mutex // held while directories that options name are made
	opened struct {   // directories kept open for their owner
		sync.Mutex
		perm map[tree.Path]uint16 // they get in the end
	}
	delayed struct {
		sync.Mutex
		files []*flist.File
	}
}

// receiving is the role for which a backup that fails ends the run.
const receiving = "receiver"

// As gives a view for a role, "generator" or "receiver", which is in its
// messages.
func (d *Dest) As(role string) *Dest { return &Dest{place: d.place, role: role} }

// Protect has what stands in a backup's way kept as Removal.Keep does it; p may
// lead out of the destination. It is called before there are several roles.
func (d *Dest) Protect(kept func(p tree.Path, dir bool) bool) { d.kept = kept }

// Close gives all handles back.
func (d *Dest) Close() error {
	for _, alt := range d.alts {
		alt.close()
	}
	d.scratch.close()
	d.backups.close()
	d.partial.close()
	if d.names.module != nil {
		_ = d.names.module.Close()
	}
	if d.root == nil {
		return nil
	}
	return d.root.Close()
}

// Root writes to the destination directory. It is nil if that directory does
// not exist, in a dry run.
func (d *Dest) Root() *apply.Root { return d.root }

// Dir is the destination directory, absolute, as messages name it; in a module
// from the module's top.
func (d *Dest) Dir() string { return d.dir }

// Single reports whether there is one entry, whose name is that of the
// destination argument (rsync-transfer 4.0 rule 5).
func (d *Dest) Single() bool { return d.name != "" }

// Fresh reports whether Open made the destination directory, or would have in a
// dry run: the entry "." is then new. Stat says that nothing is there until
// Mkdir was called for it.
func (d *Dest) Fresh() bool { return d.isNew }

// Passed says that an entry came before the root, as it may at old protocols:
// if Open made the directory, the root is no longer new.
func (d *Dest) Passed() { d.made.Store(false) }

// Super reports whether what is root's is tried: owners, devices. With
// --fake-super it is, by other means.
func (d *Dest) Super() bool { return d.me.super || d.me.fake }

// Path is where f is, below Root.
func (d *Dest) Path(f *flist.File) tree.Path {
	if d.name != "" {
		return tree.Path(d.name)
	}
	return f.Path
}

// idle reports whether nothing may be changed on disk.
func (d *Dest) idle() bool { return d.opt.DryRun || d.opt.OnlyWriteBatch != "" }
