package target

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/rsync/sender"
)

// step is one rsync session of a batch.
type step struct {
	dir      tree.Path     // the transfer root, in the source and below the target's path
	whole    bool          // everything below dir; else list
	list     []sender.Item // paths below dir
	content  bool          // compare by content (-I), else by size and nanoseconds
	linked   bool          // renamed files are linked to their old names (-H)
	linkDest string        // a directory at the target, relative to dir there
	renames  []int         // indexes of the batch's renames that this step stands for
	optional bool          // it only saves sending content: if it fails, others make up for it
}

// recurses reports whether the session needs -r.
func (s step) recurses() bool {
	return s.whole || slices.ContainsFunc(s.list, func(it sender.Item) bool { return it.Tree })
}

// Sizes that decide how a change is sent.
const (
	// A renamed file smaller than this is sent again: its content costs less
	// than another session.
	linkWorth = 4 << 10
	// Files whose content need not be compared go along with those that must
	// be, unless they are larger in all than this.
	attrWorth = 1 << 20
)

// planner cuts a batch into sessions.
type planner struct {
	lstat func(tree.Path) (tree.Meta, error)
	batch change.Batch
	moves []move
	// legacy peers learn of deletions by a listing of the directory.
	legacy bool
	// hardLinks says that names of one file have to be sent together.
	hardLinks bool
	// counts says that removals are counted: what has gone since stays for now.
	counts bool
}

// move is the net effect of the renames of a batch on one name.
type move struct {
	from, to tree.Path
	dir      bool
	index    int // of the last rename it is made of
	meta     tree.Meta
}

// plan puts the sessions of a batch in the order in which they must run:
// what is new or changed; renames, which need the new parents and the old
// names; then everything at the old names, deletions above all.
func (p planner) plan() []step {
	p.compose()
	var first, last []change.Item
	for _, it := range p.batch.Items {
		if p.moot(it.Path) {
			continue
		}
		it.Class = p.class(it)
		switch {
		case p.origin(it.Path):
			last = append(last, it)
		case it.Class == change.Tree && p.dirMoved(it):
			if p.hardLinks {
				last = append(last, it)
			} // else the rename's own session compares it all
		case it.Class == change.Content && p.dirMoved(it):
			// The rename's own session prefers a link to the old place to what is
			// at the new one already, if size and time are the same.
			last = append(last, it)
		case it.Class == change.Tree && p.receives(it.Path):
			first = append(first, change.Item{Path: it.Path, Class: change.Attr})
			last = append(last, it) // what is renamed to a place below it has to be there before
		case p.fileMoved(it):
			last = append(last, it) // what the rename's own session does not carry
		case p.renamedFile(it):
			it.Class = change.Content // what was there before may look the same
			first = append(first, it)
		default:
			first = append(first, it)
		}
	}
	first = append(first, p.parents(first)...)
	last = p.emptied(last)
	steps := p.compare(first)
	steps = append(steps, p.renames()...)
	if p.hardLinks && len(steps) > 0 && len(last) > 0 {
		last = append(last, p.linked(first)...)
	}
	return append(steps, p.compare(last)...)
}

// moot reports whether path lies below something that is no directory: what
// that is has an item of its own, which comes with all its names.
func (p *planner) moot(path tree.Path) bool {
	if _, err := p.lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for up := path.Parent(); !up.IsRoot(); up = up.Parent() {
		if m, err := p.lstat(up); err == nil {
			return !m.IsDir()
		}
	}
	return false
}

// class is how closely an item has to be compared, by what is there now.
func (p *planner) class(it change.Item) change.Class {
	if !it.Gone && it.Class < change.Children {
		return it.Class
	}
	m, err := p.lstat(it.Path)
	switch {
	case err != nil:
	case m.IsDir() && it.Gone:
		return change.Tree
	case !m.IsDir(): // a scan would not look at its content
		return min(it.Class, change.Content)
	}
	return it.Class
}

// compose reduces the renames to what they did in all, as far as it can still
// be seen on disk.
func (p *planner) compose() {
	for i, r := range p.batch.Renames {
		m := move{from: r.From, to: r.To, dir: r.Dir, index: i}
		for j, o := range p.moves {
			if r.From.Within(o.to) {
				m.from = r.From.Rebase(o.to, o.from)
			}
			if o.to.Within(r.From) {
				p.moves[j].to, p.moves[j].index = o.to.Rebase(r.From, r.To), i
			}
		}
		p.moves = append(p.moves, m)
	}
	seen := map[tree.Path]bool{}
	var kept []move
	for _, m := range slices.Backward(p.moves) { // later ones know better
		meta, err := p.lstat(m.to)
		if err != nil || meta.IsDir() != m.dir || seen[m.to] || m.from == m.to {
			continue
		}
		if !m.dir && (meta.Kind != tree.File || meta.Size < linkWorth || !p.isDir(m.from.Parent())) {
			continue
		}
		m.meta, seen[m.to] = meta, true
		kept = append(kept, m)
	}
	slices.Reverse(kept)
	p.moves = kept
}

// maxAgain is how often in a row a batch is given back because what it renames
// has gone on.
const maxAgain = 3

// gone reports whether something that the batch renames is not at its new name
// any more: if its old name were brought in step now, the target would lose
// what the next name can be made from.
func (p *planner) gone() bool {
	if p.batch.Again >= maxAgain {
		return false
	}
	rs := p.batch.Renames
	for i, r := range rs {
		to := r.To
		for _, later := range rs[i+1:] {
			if to.Within(later.From) {
				to = to.Rebase(later.From, later.To)
			}
		}
		if _, err := p.lstat(to); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// emptied has the old names of renamed directories compared in full: links
// leave what they were made from in place, and a directory may be made again
// under the old name at any moment. The old names of files are compared again,
// too: an item that covers them has been before the links were made.
func (p *planner) emptied(last []change.Item) []change.Item {
	for _, m := range p.moves {
		if !m.dir && !slices.ContainsFunc(last, func(it change.Item) bool { return it.Path == m.from }) {
			last = append(last, change.Item{Path: m.from, Class: change.Content})
		}
	}
	for _, r := range p.batch.Renames {
		if !r.Dir {
			continue
		}
		last = slices.DeleteFunc(last, func(it change.Item) bool { return it.Path == r.From })
		last = append(last, change.Item{Path: r.From, Class: change.Tree})
	}
	return last
}

func (p *planner) isDir(path tree.Path) bool {
	m, err := p.lstat(path)
	return err == nil && m.IsDir()
}

// origin reports whether path is, or lies below, an old name.
func (p *planner) origin(path tree.Path) bool {
	return slices.ContainsFunc(p.moves, func(m move) bool { return path.Within(m.from) })
}

// fileMoved reports whether it is the new name of a moved file.
func (p *planner) fileMoved(it change.Item) bool {
	return slices.ContainsFunc(p.moves, func(m move) bool { return !m.dir && m.to == it.Path })
}

// dirMoved reports whether it is, or lies below, the new name of a moved
// directory.
func (p *planner) dirMoved(it change.Item) bool {
	return slices.ContainsFunc(p.moves, func(m move) bool { return m.dir && it.Path.Within(m.to) })
}

// receives reports whether something is moved to a place below dir.
func (p *planner) receives(dir tree.Path) bool {
	return slices.ContainsFunc(p.moves, func(m move) bool { return m.to.Below(dir) })
}

// renamedFile reports whether it is the new name of a file.
func (p *planner) renamedFile(it change.Item) bool {
	return it.Class == change.Attr &&
		slices.ContainsFunc(p.batch.Renames, func(r change.Rename) bool { return !r.Dir && r.To == it.Path })
}

// parents are the directories that the renames' sessions start in, as far as
// items do not bring them along.
func (p *planner) parents(items []change.Item) []change.Item {
	var more []change.Item
	for _, m := range p.moves {
		if !m.dir {
			continue // its session lists the parents itself
		}
		dir := m.to
		has := func(it change.Item) bool { return it.Path == dir }
		if !slices.ContainsFunc(items, has) && !slices.ContainsFunc(more, has) {
			more = append(more, change.Item{Path: dir, Class: change.Attr})
		}
	}
	return more
}

// compare makes sessions that bring items in step by looking at both sides.
func (p *planner) compare(items []change.Item) []step {
	var byContent, byStat step
	byContent.content = true
	var attrs []sender.Item
	var size int64
	listed := map[tree.Path]bool{}
	for _, it := range items {
		out := sender.Item{Path: it.Path, NoDir: it.Gone && it.Class != change.Tree, There: p.counts && it.Uncounted()}
		if dir, ok := p.shrunk(it.Path); ok {
			if !listed[dir] {
				listed[dir] = true
				byStat.list = append(byStat.list, sender.Item{Path: dir, Children: true})
			}
			continue
		}
		switch it.Class {
		case change.Tree:
			out.Tree = true
			byStat.list = append(byStat.list, out)
		case change.Children:
			out.Children = true
			byStat.list = append(byStat.list, out)
		case change.Content:
			byContent.list = append(byContent.list, out)
		default:
			attrs = append(attrs, out)
			if m, err := p.lstat(it.Path); err == nil && m.Kind == tree.File {
				size += m.Size
			}
		}
	}
	if size <= attrWorth && len(byStat.list) == 0 {
		byContent.list = append(byContent.list, attrs...)
	} else {
		byStat.list = append(byStat.list, attrs...)
	}
	if p.hardLinks && len(byStat.list) > 0 && len(byContent.list) > 0 {
		for _, it := range p.linked(items) {
			if it.Class != change.Tree { // that is there already
				byStat.list = append(byStat.list, sender.Item{Path: it.Path})
			}
		}
	}
	var steps []step
	for _, s := range []step{byContent, byStat} {
		if len(s.list) > 0 {
			steps = append(steps, p.withRoot(s))
		}
	}
	return steps
}

// linked are the items that have, or may hold what has, other names: what one
// session has replaced, the next one must link again.
func (p *planner) linked(items []change.Item) []change.Item {
	var out []change.Item
	for _, it := range items {
		if it.Class == change.Tree {
			out = append(out, it)
			continue
		}
		if m, err := p.lstat(it.Path); err == nil && m.Linked() {
			out = append(out, change.Item{Path: it.Path, Class: change.Attr})
		}
	}
	return out
}

// withRoot adds the root itself to a list that changes its entries: unlike
// other parents it does not come along as an implied directory, and its times
// would be those of the change at the target.
func (p *planner) withRoot(s step) step {
	top := func(it sender.Item) bool {
		if it.Path.Parent().IsRoot() {
			return !it.Path.IsRoot()
		}
		first, _, _ := strings.Cut(string(it.Path), "/")
		return !p.isDir(tree.Path(first)) // which the item then stands for
	}
	root := func(it sender.Item) bool { return it.Path.IsRoot() }
	if slices.ContainsFunc(s.list, top) && !slices.ContainsFunc(s.list, root) {
		s.list = append(s.list, sender.Item{Path: tree.Root})
	}
	return s
}

// shrunk is the directory whose listing shows that path is gone, for a peer
// that has to be told so.
func (p *planner) shrunk(path tree.Path) (dir tree.Path, ok bool) {
	if !p.legacy {
		return "", false
	}
	if _, err := p.lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	for dir = path.Parent(); !dir.IsRoot(); dir = dir.Parent() {
		if m, err := p.lstat(dir); err == nil && m.IsDir() {
			break
		}
	}
	return dir, true
}

// renames makes the sessions that carry names over without content: a
// directory as links against its old place, a file as another name of its old
// one.
func (p *planner) renames() []step {
	var steps []step
	files := step{linked: true, optional: true}
	for _, m := range p.moves {
		if m.dir {
			steps = append(steps, step{
				dir: m.to, whole: true, linkDest: relative(m.from, m.to), renames: []int{m.index}, optional: true,
			})
			continue
		}
		files.list = append(files.list, sender.Item{Path: m.to, From: m.from})
		files.renames = append(files.renames, m.index)
	}
	if len(files.list) > 0 {
		steps = append(steps, p.withRoot(files))
	}
	return steps
}

// relative is the way from directory base to directory dir.
func relative(dir, base tree.Path) string {
	common := base
	for !dir.Within(common) {
		common = common.Parent()
	}
	up := strings.Repeat("../", base.Depth()-common.Depth())
	if rest := string(dir.Rel(common)); rest != "" {
		return up + rest
	}
	if up == "" {
		return "."
	}
	return strings.TrimSuffix(up, "/")
}
