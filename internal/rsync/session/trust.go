package session

import (
	"path"
	"strings"
	"sync"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// wanted is what a client that receives has asked for: a sender may list that
// and nothing else (rsync-filelist 9.2). Lines of --files-from are added while
// the list comes in.
type wanted struct {
	recurse, dirs, relative bool

	mu      sync.Mutex
	all     bool // the contents of a whole directory
	names   map[tree.Path]bool
	parents map[tree.Path]bool // that --relative makes part of the list
	wild    []pattern
}

// pattern is an argument that the other side expands.
type pattern struct {
	names   *filter.Scope // lets what matches through
	parents *filter.Scope
}

// newWanted collects the source arguments, as far as their paths go.
func newWanted(e *end, args []string) *wanted {
	w := &wanted{
		recurse: e.opt.Recurse, dirs: e.opt.Dirs, relative: e.opt.Relative,
		names: map[tree.Path]bool{}, parents: map[tree.Path]bool{},
	}
	if e.opt.FilesFrom != "" {
		return w // the argument is where the lines begin
	}
	for _, arg := range args {
		if e.daemon { // the module's name is no part of it
			_, arg, _ = strings.Cut(arg, "/")
		}
		w.add(arg, true)
	}
	return w
}

// addLine adds a line of a list of files that is sent to the other side.
func (w *wanted) addLine(line string) {
	if w != nil {
		w.add(line, false)
	}
}

// add adds an argument; expands says that the other side looks for wildcards in
// it.
func (w *wanted) add(arg string, expands bool) {
	name := arg
	if w.relative {
		if i := strings.Index(arg, "/./"); i >= 0 {
			name = arg[i+3:]
		}
	} else if i := strings.LastIndexByte(arg, '/'); i >= 0 {
		name = arg[i+1:]
	}
	name = strings.Trim(path.Clean("/"+name), "/")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case name == "" || !w.relative && name == "..":
		w.all = true
	case expands && strings.ContainsAny(name, "*?["):
		w.addPattern(name)
	default:
		w.names[tree.Path(name)] = true
		if w.relative {
			for dir := tree.Path(name).Parent(); !dir.IsRoot(); dir = dir.Parent() {
				w.parents[dir] = true
			}
		}
	}
}

// addPattern adds a name with wildcards, and with the brackets taken as they
// are, for that is what a shell does with those that match nothing.
func (w *wanted) addPattern(name string) {
	forms := []string{name}
	if strings.Contains(name, "[") {
		forms = append(forms, strings.ReplaceAll(name, "[", `\[`))
	}
	var names, parents filter.Builder
	for _, form := range forms {
		names.Filter("+ /" + form)
		switch {
		case w.recurse:
			names.Filter("+ /" + form + "/**")
		case w.dirs:
			names.Filter("+ /" + form + "/*")
		}
		if !w.relative {
			continue
		}
		for dir := path.Dir(form); dir != "."; dir = path.Dir(dir) {
			parents.Filter("+ /" + dir + "/")
		}
	}
	names.Filter("- *")
	parents.Filter("- *")
	nameRules, err := names.Rules(filter.Implied{})
	if err != nil {
		return // a pattern that is too long for any name
	}
	parentRules, err := parents.Rules(filter.Implied{})
	if err != nil {
		return
	}
	w.wild = append(w.wild, pattern{nameRules.Scope(nil), parentRules.Scope(nil)})
}

// accept decides about a name: flist.ErrParentOnly for one that is there only
// for the sake of what is below it.
func (w *wanted) accept(p tree.Path, isDir bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.IsRoot() {
		if !w.all {
			return flist.ErrParentOnly
		}
		return nil
	}
	if w.all && (w.recurse || w.dirs && p.Parent().IsRoot()) || w.names[p] || w.below(p) {
		return nil
	}
	dir, base := p.Parent(), p.Base()
	for _, pat := range w.wild {
		if !pat.names.Child(dir)(base, isDir) {
			return nil
		}
	}
	if isDir && w.parents[p] {
		return flist.ErrParentOnly
	}
	for _, pat := range w.wild {
		if isDir && !pat.parents.Child(dir)(base, true) {
			return flist.ErrParentOnly
		}
	}
	return unsupported("ERROR: rejecting unrequested file-list name: %s", p)
}

// below reports whether p is part of the contents of a name that was asked for.
func (w *wanted) below(p tree.Path) bool {
	dir := p.Parent()
	if !w.recurse {
		return w.dirs && w.names[dir]
	}
	for ; !dir.IsRoot(); dir = dir.Parent() {
		if w.names[dir] {
			return true
		}
	}
	return false
}

// acceptNames is the check of every name that arrives; nil checks nothing.
func (e *end) acceptNames() (func(tree.Path, bool) error, error) {
	switch {
	case e.server || e.local || e.opt.TrustSender || e.opt.ReadBatch != "":
		return nil, nil
	}
	excluded := e.excludes()
	wanted := e.wanted
	return func(p tree.Path, isDir bool) error {
		if !p.IsRoot() && excluded(p, isDir) {
			return unsupported("ERROR: rejecting excluded file-list name: %s", p)
		}
		if wanted == nil {
			return nil
		}
		return wanted.accept(p, isDir)
	}, nil
}

// excludes reports what our own rules have the sender leave out. Where files of
// the other side have a say we cannot know.
func (e *end) excludes() func(tree.Path, bool) bool {
	if e.rules == nil || len(e.rules.MergeNames()) > 0 {
		return func(tree.Path, bool) bool { return false }
	}
	scope := e.rules.ScopeAt(filter.Place{DeleteExcluded: e.opt.DeleteExcluded})
	childOf := scope.Child
	if e.opt.Debug[option.DebugFilter] > 0 {
		childOf = func(dir tree.Path) func(string, bool) bool { return e.explaining(scope, dir) }
	}
	dir, child := tree.Path("\x00"), func(string, bool) bool { return false }
	return func(p tree.Path, isDir bool) bool {
		if d := p.Parent(); d != dir { // names come directory by directory
			dir, child = d, childOf(d)
		}
		return child(p.Base(), isDir)
	}
}

// explaining is the scope's Child that says which rules let names of dir pass:
// those that come while rsync's generator runs, for that is who says it.
func (e *end) explaining(scope *filter.Scope, dir tree.Path) func(string, bool) bool {
	explain := scope.ExplainChild(filter.Sender, dir)
	return func(name string, isDir bool) bool {
		v := explain(name, isDir)
		if v.Rule != nil && !v.Excluded && e.updating {
			e.talk.Text(wire.CodeInfo, generator.Explained(v, v.At, isDir))
		}
		return v.Excluded
	}
}
