package sender

import (
	"cmp"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// node is a path of an explicit list, or a parent of one.
type node struct {
	meta     tree.Meta // Missing if nothing is there
	listed   bool      // for itself, not only as a parent
	tree     bool      // with everything below it
	children bool      // with its direct children
	kids     map[string]*node
}

// kid is the child called name, made if it is not there.
func (n *node) kid(name string, meta tree.Meta) *node {
	if k := n.kids[name]; k != nil {
		return k
	}
	if n.kids == nil {
		n.kids = make(map[string]*node)
	}
	k := &node{meta: meta}
	n.kids[name] = k
	return k
}

// planner turns the items of a job into a tree of nodes. Each item ends where
// its path does or, before that, at the first component that is no directory:
// what is missing below something missing stands for the topmost missing
// directory, what is missing below a file or symlink for that.
type planner struct {
	src  *source
	top  *node
	dir  *walk.Dir // the directory that was asked last, nil at first
	fail func(p tree.Path, err error)
}

// step is one component on the way to an item.
type step struct {
	name string
	meta tree.Meta
}

// plan looks at all items on disk. It fails only if the transfer root is gone.
func (s *source) plan(fail func(tree.Path, error)) (*node, error) {
	meta, err := s.job.Root.Lstat(s.job.Dir)
	if err != nil {
		return nil, err
	}
	p := &planner{src: s, top: &node{meta: meta}, fail: fail}
	defer p.close()
	items := slices.Clone(s.job.List)
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	for _, item := range items {
		err := p.place(item)
		if err == nil && item.From != "" {
			err = p.former(item)
		}
		if err != nil {
			p.fail(item.Path, err)
		}
	}
	return p.top, nil
}

// former enters the old name of a renamed file, as another name of the same.
func (p *planner) former(item Item) error {
	n := p.top
	for name := range strings.SplitSeq(string(item.Path), "/") {
		if n = n.known(name); n == nil {
			return nil // it is gone again, or hidden
		}
	}
	if n.meta.Kind != tree.File {
		return nil
	}
	dirs, _, err := p.resolve(item.From.Parent())
	if err != nil || len(dirs) < item.From.Parent().Depth() {
		return err
	}
	at := p.top
	for _, s := range dirs {
		if !s.meta.IsDir() {
			return nil
		}
		at = at.kid(s.name, s.meta)
	}
	n.meta.Nlink = max(n.meta.Nlink, 2)
	old := at.kid(item.From.Base(), n.meta)
	old.meta, old.listed = n.meta, true
	if p.src.aliases == nil {
		p.src.aliases = make(map[tree.Path]tree.Path)
	}
	p.src.aliases[item.From] = item.Path
	return nil
}

func (p *planner) close() {
	if p.dir != nil {
		p.dir.Close()
	}
}

// place enters one item. A directory comes before what lies below it, because
// items come sorted.
func (p *planner) place(item Item) error {
	steps, covered, err := p.resolve(item.Path)
	if err != nil || covered || p.hides(item.Path, steps) {
		return err
	}
	if last := steps[max(len(steps)-1, 0):]; item.NoDir && len(last) == 1 && last[0].meta.IsDir() {
		return ErrChanged
	}
	if n := len(steps); item.There && n > 0 && !steps[n-1].meta.Exists() {
		return ErrChanged
	}
	if item.Alone && len(steps) < item.Path.Depth() {
		return ErrChanged
	}
	n := p.top
	for _, s := range steps {
		n = n.kid(s.name, s.meta)
	}
	n.listed = true
	if n.meta.IsDir() {
		n.tree = n.tree || item.Tree
		n.children = n.children || item.Children
	}
	return nil
}

// resolve finds what there is on the way to a path, up to the first thing that
// is not a directory. The path is covered if it lies in a Tree.
func (p *planner) resolve(path tree.Path) (steps []step, covered bool, err error) {
	n, at := p.top, tree.Root
	for rest := string(path); rest != ""; {
		if n != nil && n.tree {
			return nil, true, nil
		}
		name, more, _ := strings.Cut(rest, "/")
		rest = more
		s := step{name: name}
		if n = n.known(name); n != nil {
			s.meta = n.meta
		} else if s.meta, err = p.look(at, name); err != nil {
			return nil, false, err
		}
		steps = append(steps, s)
		at = at.Join(name)
		if !s.meta.IsDir() {
			break
		}
	}
	return steps, false, nil
}

// known is the child called name of n, which may be nil.
func (n *node) known(name string) *node {
	if n == nil {
		return nil
	}
	return n.kids[name]
}

// look is what is called name in a directory; nothing is no error.
func (p *planner) look(at tree.Path, name string) (tree.Meta, error) {
	if p.dir == nil || p.dir.Path() != p.src.full(at) {
		p.close()
		var err error
		if p.dir, err = p.src.job.Root.Dir(p.src.full(at)); err != nil {
			p.dir = nil
			return tree.Meta{}, missingIsNil(err)
		}
	}
	meta, err := p.dir.Lstat(name)
	return meta, missingIsNil(err)
}

// hides reports whether the filter hides an item, or the thing that it was
// found to stand for. Nobody knows what a missing path was: it is hidden if it
// would be as a file or as a directory.
func (p *planner) hides(path tree.Path, steps []step) bool {
	if len(steps) == 0 {
		return false
	}
	last := steps[len(steps)-1]
	if last.meta.Exists() && len(steps) == path.Depth() {
		return p.src.hidden(path, last.meta.IsDir())
	}
	stop := path
	for range path.Depth() - len(steps) {
		stop = stop.Parent()
	}
	return p.src.hidden(path, false) || p.src.hidden(path, true) || p.src.hidden(stop, false)
}
