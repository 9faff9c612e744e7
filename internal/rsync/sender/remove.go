package sender

import (
	"errors"
	"fmt"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// remove takes a source file away that is in place at the other end, unless it
// is not what was listed (part 3, 1.7).
func (m *run) remove(q *request) error {
	o := m.lists.find(q.ndx)
	switch {
	case o == nil || !o.Contains(q.ndx):
		return fmt.Errorf("success for index %d, which is in no list: %w", q.ndx, ErrProtocol)
	case !m.params.removes() || m.params.Opt.DryRun || o.facts == nil || o.Kind(q.ndx) == tree.Dir || o.Kind(q.ndx) == tree.Missing:
		return nil
	}
	path := o.Path(q.ndx)
	switch err := m.unlink(o, q, path); {
	case err == nil:
		m.result.Removed++
		m.voice.info(option.InfoRemove, 1, "sender removed %s", shown(path))
	case errors.Is(err, syscall.ENOENT):
		m.voice.say(wire.CodeInfo, "sender file already removed: %s", shown(path))
	case errors.Is(err, errChangedSource):
		m.voice.say(wire.CodeErrorXfer, "ERROR: Skipping sender remove for changed file: %s", shown(path))
	case errors.Is(err, errSameFile):
		m.voice.say(wire.CodeErrorXfer, "ERROR: Skipping sender remove of destination file: %s", shown(path))
	case errors.Is(err, errNoWay):
		m.voice.say(wire.CodeErrorXfer, "rsync: [sender] sender failed to secure-open-parent %s: %s", shown(path), output.Strerror(err))
	default:
		m.voice.say(wire.CodeErrorXfer, "rsync: [sender] sender failed to remove %s: %s", shown(path), output.Strerror(err))
	}
	return nil
}

var (
	errChangedSource = errors.New("changed since it was listed")
	errSameFile      = errors.New("is the destination itself")
	errNoWay         = errors.New("its directory cannot be reached")
)

// unlink removes the entry of q if it is still what was listed.
func (m *run) unlink(o *openList, q *request, path tree.Path) error {
	f := o.fact(q.ndx)
	org := m.lists.src.origins[f.origin]
	if err := m.remover.enter(where{origin: org, through: f.through}, path.Parent()); err != nil {
		if errors.Is(err, syscall.ENOENT) {
			return err
		}
		return fmt.Errorf("%w: %w", errNoWay, err)
	}
	name := org.below(path).Base()
	meta, err := m.remover.dir.Lstat(name)
	if err == nil && f.followed && m.params.Opt.CopyLinks { // with --copy-unsafe-links, a symlink is not what was listed
		meta, err = m.remover.dir.StatFollowing(name)
	}
	switch {
	case err != nil:
		return err
	case meta.Inode() == q.at:
		return errSameFile
	case meta.Mtime.Sec != f.mtime, m.params.Protocol >= 31 && meta.Mtime.Nsec != f.nsec, o.Kind(q.ndx) == tree.File && (meta.Kind != tree.File || meta.Size != f.size):
		return errChangedSource
	}
	return m.remover.root.Remove(tree.Path(name))
}

// remover removes files, and holds the directory of the last one.
type remover struct {
	where where
	path  tree.Path
	dir   *walk.Dir // nil if none is held
	root  *apply.Root
}

func (r *remover) enter(w where, p tree.Path) error {
	if r.dir != nil && r.where == w && r.path == p {
		return nil
	}
	r.leave()
	var dir *walk.Dir
	err := w.origin.use(func(root *walk.Root) (err error) {
		dir, err = root.DirInside(w.origin.below(p))
		return err
	})
	if err != nil {
		return err
	}
	reader, err := dir.Root()
	if err == nil {
		r.root, err = apply.NewRoot(reader, apply.Options{})
	}
	if err != nil {
		dir.Close()
		return err
	}
	r.where, r.path, r.dir = w, p, dir
	return nil
}

func (r *remover) leave() {
	if r.dir != nil {
		r.root.Close()
		r.dir.Close()
		r.dir = nil
	}
}
