package filter

import (
	"errors"
	"path"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/fs/tree"
)

// ReadMerge returns the content of the merge file called name in directory
// dir. Its error wraps fs.ErrNotExist if there is none, or if it is not a
// regular file. It may be called from several goroutines.
type ReadMerge func(dir tree.Path, name string) ([]byte, error)

// Place says what tree a Scope is about.
type Place struct {
	// Root is the absolute path of the tree's root, for rules with the "/"
	// modifier, and for merge files looked for from directories above. In a
	// module of a daemon it is the path below the module's. "" stands for "/".
	Root string
	// Read opens per-directory files. Nil means that there are none.
	Read ReadMerge
	// ReadAbove opens merge files outside of the tree by absolute path. Nil
	// means that there are none.
	ReadAbove func(path string) ([]byte, error)
	// Unlisted says that the root itself is not listed, only things in it: as in
	// rsync, its per-directory files do not count then, unless their rule looks
	// for them in directories above.
	Unlisted bool
	// DeleteExcluded makes rules that name no side hide, but not protect
	// (--delete-excluded).
	DeleteExcluded bool
}

// maxCache bounds the directories whose state is kept, in bytes by estimate.
// When it is reached all are forgotten, and read again when asked for.
const maxCache = 16 << 20

// nodeSize is the estimate for a directory without rules of its own.
const nodeSize = 256

// A Scope applies Rules to one tree. It is safe for concurrent use. A nil
// *Scope leaves nothing out.
type Scope struct {
	rules *Rules
	place Place
	above *state // what the root directory starts from
	fixed bool   // no per-directory rules: above holds everywhere

	mu    sync.Mutex
	root  *node
	size  int             // estimate of what hangs on root, bytes
	names map[string]bool // merge files that merge files asked for
	errs  map[tree.Path]error
}

// node caches the state of one directory; nodes form the tree of those seen.
type node struct {
	once  sync.Once
	state *state
	size  int              // estimate in bytes, without kids; guarded by Scope.mu
	kids  map[string]*node // guarded by Scope.mu
}

// Scope applies r to a tree at an unknown place.
func (r *Rules) Scope(read ReadMerge) *Scope { return r.ScopeAt(Place{Read: read}) }

// ScopeAt applies r to the tree at p.
func (r *Rules) ScopeAt(p Place) *Scope {
	if r == nil {
		return nil
	}
	p.Root = strings.TrimRight(path.Clean("/"+p.Root), "/")
	s := &Scope{rules: r, place: p, root: &node{},
		names: map[string]bool{}, errs: map[tree.Path]error{}}
	s.above = s.initial()
	s.fixed = len(s.above.slots) == 0
	return s
}

// Hidden reports whether the sender leaves p out: whether p or a directory
// above it is excluded, as a scan from the top finds out. The root never is.
func (s *Scope) Hidden(p tree.Path, isDir bool) bool {
	return s.find(Sender, p, isDir, false).Excluded
}

// Protected reports whether the receiver keeps p though the sender does not
// have it: whether p or a directory above it is protected.
func (s *Scope) Protected(p tree.Path, isDir bool) bool {
	return s.find(Receiver, p, isDir, false).Excluded
}

// Pinned is Protected for p inside of a directory that is being removed: there
// perishable rules do not count. A pinned path keeps the directories above it.
func (s *Scope) Pinned(p tree.Path, isDir bool) bool {
	return s.find(Receiver, p, isDir, true).Excluded
}

// A Verdict says what happens to a path, and which rule decided.
type Verdict struct {
	Excluded bool      // hidden or protected, by the side asked for
	At       tree.Path // the path or the excluded directory above it that decided
	Rule     *Rule     // nil if no rule matches: included
	Err      error     // excluded because a merge file in force there is unusable
}

// Explain is Hidden or Protected with the reason.
func (s *Scope) Explain(side Side, p tree.Path, isDir bool) Verdict {
	return s.find(side, p, isDir, false)
}

func (s *Scope) find(side Side, p tree.Path, isDir, emptying bool) Verdict {
	if s == nil || p == tree.Root {
		return Verdict{At: p}
	}
	full := string(p)
	n := name{root: s.place.Root, beyond: full}
	at, st := s.top()
	for start := 0; ; {
		end := len(full)
		if i := strings.IndexByte(full[start:], '/'); i >= 0 {
			end = start + i
		}
		n.dir, n.base = full[:max(start-1, 0)], full[start:end]
		n.isDir = isDir || end < len(full)
		rule, excluded := st.decide(side, &n, emptying)
		if excluded || end == len(full) {
			return Verdict{Excluded: excluded, At: p[:end], Rule: rule, Err: st.broken}
		}
		start = end + 1
		if !s.fixed {
			at = s.kid(at, n.base)
			st = s.fill(at, st, p[:end])
		}
	}
}

// Child answers Hidden for the direct children of dir, whose own place is not
// looked at again. The function returned is for one goroutine and holds until
// a merge file changes.
func (s *Scope) Child(dir tree.Path) func(name string, isDir bool) bool {
	return s.children(Sender, dir, false)
}

// Broken is why the merge files in force in dir cannot be used, nil if they can.
func (s *Scope) Broken(dir tree.Path) error {
	if s == nil || s.fixed {
		return nil
	}
	return s.state(dir).broken
}

// Peek reads the merge files in dir, which may be none, and forgets them again.
// For whoever wants to hear what Place.Read has to say.
func (s *Scope) Peek(dir tree.Path) {
	if s == nil || s.place.Read == nil {
		return
	}
	for _, name := range s.MergeNames() {
		_, _ = s.place.Read(dir, name)
	}
}

// ExplainChild is Child, or ChildProtected, with the reasons.
func (s *Scope) ExplainChild(side Side, dir tree.Path) func(name string, isDir bool) Verdict {
	if s == nil {
		return func(name string, _ bool) Verdict { return Verdict{At: dir.Join(name)} }
	}
	st := s.state(dir)
	return func(base string, isDir bool) Verdict {
		n := name{dir: string(dir), base: base, isDir: isDir, root: s.place.Root}
		rule, excluded := st.decide(side, &n, false)
		return Verdict{Excluded: excluded, At: dir.Join(base), Rule: rule, Err: st.broken}
	}
}

// As decides about p by the rules that are in force in directory in, whatever
// directory p lies in, or with in nil by those that are in force before any
// per-directory file has been read. So does rsync with named arguments.
func (s *Scope) As(side Side, in *tree.Path, p tree.Path, isDir bool) Verdict {
	if s == nil || p == tree.Root {
		return Verdict{At: p}
	}
	st := s.above
	if in != nil {
		st = s.state(*in)
	}
	n := name{dir: string(p.Parent()), base: p.Base(), isDir: isDir, root: s.place.Root}
	rule, excluded := st.decide(side, &n, false)
	return Verdict{Excluded: excluded, At: p, Rule: rule, Err: st.broken}
}

// ChildProtected answers Protected for the direct children of dir, or Pinned
// if dir is being emptied in order to be removed. If dir leads out of the tree
// the rules of the root count.
func (s *Scope) ChildProtected(dir tree.Path, emptying bool) func(name string, isDir bool) bool {
	return s.children(Receiver, dir, emptying)
}

func nothing(string, bool) bool { return false }

func (s *Scope) children(side Side, dir tree.Path, emptying bool) func(string, bool) bool {
	if s == nil {
		return nothing
	}
	in := dir
	if !dir.Valid() {
		in = tree.Root
	}
	st := s.state(in)
	if st.broken == nil && len(st.lists[side]) == 0 {
		return nothing
	}
	root := s.place.Root
	return func(base string, isDir bool) bool {
		n := name{dir: string(dir), base: base, isDir: isDir, root: root}
		_, excluded := st.decide(side, &n, emptying)
		return excluded
	}
}

// Forget drops what is known of merge files in dir and below: call it when one
// of MergeNames changed in dir, or when dir went away or moved. Files that
// a per-directory file merges from elsewhere belong to that file's directory.
func (s *Scope) Forget(dir tree.Path) {
	if s == nil || s.fixed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.errs {
		if p.Within(dir) {
			delete(s.errs, p)
		}
	}
	if dir == tree.Root {
		s.root, s.size = &node{}, 0
		return
	}
	at := s.root
	for name := range strings.SplitSeq(string(dir.Parent()), "/") {
		if name == "" {
			break
		}
		if at = at.kids[name]; at == nil {
			return
		}
	}
	if gone := at.kids[dir.Base()]; gone != nil {
		delete(at.kids, dir.Base())
		s.size -= gone.total()
	}
}

func (n *node) total() int {
	sum := n.size
	for _, kid := range n.kids {
		sum += kid.total()
	}
	return sum
}

// MergeNames is the names of the per-directory files in use, sorted: those of
// the rules, and those that merge files read so far asked for.
func (s *Scope) MergeNames() []string {
	if s == nil {
		return nil
	}
	names := s.rules.MergeNames()
	s.mu.Lock()
	for name := range s.names {
		names = append(names, name)
	}
	s.mu.Unlock()
	slices.Sort(names)
	return slices.Compact(names)
}

// Err is the errors of merge files that stand, nil if all could be used.
func (s *Scope) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	dirs := make([]tree.Path, 0, len(s.errs))
	for p := range s.errs {
		dirs = append(dirs, p)
	}
	slices.Sort(dirs)
	var all []error
	for _, p := range dirs {
		all = append(all, s.errs[p])
	}
	return errors.Join(all...)
}

// state is what holds for the children of dir.
func (s *Scope) state(dir tree.Path) *state {
	at, st := s.top()
	for i := 0; i < len(dir) && !s.fixed; {
		end := len(dir)
		if j := strings.IndexByte(string(dir[i:]), '/'); j >= 0 {
			end = i + j
		}
		at = s.kid(at, string(dir[i:end]))
		st = s.fill(at, st, dir[:end])
		i = end + 1
	}
	return st
}

// top is the node and the state of the root directory.
func (s *Scope) top() (*node, *state) {
	if s.fixed {
		return nil, s.above
	}
	s.mu.Lock()
	at := s.root
	s.mu.Unlock()
	return at, s.fill(at, s.above, tree.Root)
}

// kid is the node of the directory called name below at. A node that Forget
// has cut off meanwhile is still good for the caller, and for nobody else.
func (s *Scope) kid(at *node, name string) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kid := at.kids[name]; kid != nil {
		return kid
	}
	if s.size >= maxCache {
		s.root, s.size = &node{}, 0
	}
	if at.kids == nil {
		at.kids = map[string]*node{}
	}
	kid := &node{size: nodeSize}
	at.kids[strings.Clone(name)] = kid
	s.size += kid.size
	return kid
}

// fill is the state of dir, whose node is at, made when first needed.
func (s *Scope) fill(at *node, parent *state, dir tree.Path) *state {
	at.once.Do(func() {
		at.state = s.derive(parent, dir)
		if at.state == parent {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		at.size += at.state.size
		s.size += at.state.size
	})
	return at.state
}
