package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
)

// maxMergeFile is the largest per-directory file accepted, in bytes.
const maxMergeFile = 1 << 20

// state is what holds in one directory. Directories in which no merge file
// changes anything share that of their parent. Immutable.
type state struct {
	slots  []slot
	lists  [Receiver + 1][]entry // by side: the rules in order of evaluation
	broken error                 // everything is excluded
	size   int                   // estimate of the memory it takes, bytes
}

// slot is the rules of one per-directory file name, in force in a directory.
type slot struct {
	rule  *Rule
	rules []*Rule // the directory's own, then those of its parents, nearest first
	fresh bool    // no directory has been read for it yet
}

// decide is the first rule that applies to n, and whether n is excluded.
// Perishable rules do not count while a directory is emptied.
func (st *state) decide(side Side, n *name, emptying bool) (r *Rule, excluded bool) {
	if st.broken != nil {
		return nil, true
	}
	if n.base == "" {
		return nil, false // not a valid path
	}
	first, last := int16(n.base[0]), int16(n.base[len(n.base)-1])
	for _, e := range st.lists[side] {
		if e.last >= 0 && e.last != last || e.first >= 0 && e.first != first {
			continue
		}
		if emptying && e.rule.has(flagPerishable|flagSoftPerish) {
			continue
		}
		if e.rule.applies(n) {
			return e.rule, !e.rule.Include()
		}
	}
	return nil, false
}

// entry is a rule with the bytes that a last component must begin and end
// with for the rule to apply, -1 for any: most rules are passed over without
// a look at them.
type entry struct {
	rule        *Rule
	first, last int16
}

func newEntry(r *Rule) entry {
	e := entry{rule: r, first: -1, last: -1}
	if !r.has(flagNegate) {
		e.first, e.last = r.match.edges()
	}
	return e
}

// initial is the state before any directory is read.
func (s *Scope) initial() *state {
	var slots []slot
	for _, r := range s.rules.list {
		if r.has(flagDirMerge) {
			slots = append(slots, slot{rule: r, fresh: true})
		}
	}
	return s.newState(slots)
}

func (s *Scope) newState(slots []slot) *state {
	st := &state{slots: slots}
	for _, side := range []Side{Sender, Receiver} {
		st.lists[side] = st.flatten(nil, s.rules.list, side, s.place.DeleteExcluded)
		st.size += cap(st.lists[side]) * entrySize
	}
	for _, sl := range slots {
		st.size += slotSize + 8*len(sl.rules)
	}
	return st
}

// flatten appends the rules for side to list, those of per-directory files
// where their rule stands. A rule stands in at most one file, after its own
// slot was opened, so that this ends.
func (st *state) flatten(list []entry, rules []*Rule, side Side, deleteExcluded bool) []entry {
	for _, r := range rules {
		switch {
		case !r.on(side, deleteExcluded):
		case r.has(flagDirMerge):
			i := slices.IndexFunc(st.slots, func(sl slot) bool { return sl.rule == r })
			if i >= 0 {
				list = st.flatten(list, st.slots[i].rules, side, deleteExcluded)
			}
		case !r.has(flagXattr):
			list = append(list, newEntry(r))
		}
	}
	return list
}

// derive is the state of dir, whose parent's is given (s.above for the root).
func (s *Scope) derive(parent *state, dir tree.Path) *state {
	if parent.broken != nil {
		return parent
	}
	v := visit{scope: s, dir: s.absolute(dir), slots: slices.Clone(parent.slots)}
	// The loop also reaches slots that the files read in it open.
	for i := 0; i < len(v.slots); i++ {
		if err := v.advance(i); err != nil {
			s.note(dir, err)
			return &state{slots: parent.slots, broken: err}
		}
	}
	s.note(dir, nil)
	if !v.changed {
		return parent
	}
	st := s.newState(v.slots)
	st.size += v.compiled * ruleSize
	return st
}

// Estimates of what things take, in bytes.
const (
	ruleSize  = 512
	entrySize = 16
	slotSize  = 40
)

// note keeps the error of dir for Err, or forgets an earlier one.
func (s *Scope) note(dir tree.Path, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.errs, dir)
	} else if len(s.errs) < maxErrs {
		s.errs[dir] = err
	}
}

// maxErrs bounds the errors kept for Err.
const maxErrs = 64

// absolute is dir as a path from the root of its file system.
func (s *Scope) absolute(dir tree.Path) string {
	if dir == tree.Root {
		return s.place.Root
	}
	return s.place.Root + "/" + string(dir)
}

// visit is the work of entering one directory.
type visit struct {
	scope   *Scope
	dir     string // absolute; "" is "/"
	slots   []slot
	changed bool
	// compiled counts the rules made on the way.
	compiled int
}

// advance brings slot i from the parent directory's rules to this one's.
func (v *visit) advance(i int) error {
	sl := &v.slots[i]
	inherit := !sl.rule.has(flagNoInherit)
	if !inherit && len(sl.rules) > 0 {
		sl.rules, v.changed = nil, true
	}
	if sl.fresh {
		sl.fresh, v.changed = false, true
		if inherit {
			for _, dir := range v.before(sl.rule) {
				if err := v.read(i, dir); err != nil {
					return err
				}
			}
		}
	}
	if v.scope.place.Unlisted && v.dir == v.scope.place.Root && !strings.Contains(sl.rule.pattern, "/") {
		return nil
	}
	return v.read(i, v.dir)
}

// before is the directories above this one in which a per-directory file is
// also looked for, topmost first: if the rule has a path, and that is above.
func (v *visit) before(r *Rule) []string {
	at := strings.LastIndexByte(r.pattern, '/')
	if at < 0 {
		return nil
	}
	first := r.pattern[:at+1]
	if first[0] != '/' {
		first = v.dir + "/" + first
	}
	first = strings.TrimRight(path.Clean(first), "/")
	if !strings.HasPrefix(v.dir, first+"/") {
		return nil
	}
	dirs := []string{first}
	for i := len(first) + 1; i < len(v.dir); i++ {
		if v.dir[i] == '/' {
			dirs = append(dirs, v.dir[:i])
		}
	}
	return dirs
}

// read puts the rules of the merge file of slot i in dir before those that
// the slot has.
func (v *visit) read(i int, dir string) error {
	data, file, err := v.open(dir + "/" + v.slots[i].rule.mergeName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Error{Origin: Origin{File: file}, Reason: "cannot read the per-directory file", Err: err}
	}
	v.changed = true
	a := anchor{dir: dir, above: true}
	if p, ok := v.inTree(dir); ok {
		a = anchor{dir: string(p)}
	}
	l := loader{
		max:      maxRules,
		from0:    v.scope.rules.from0,
		cvs:      v.scope.rules.cvs,
		open:     func(name string) ([]byte, string, error) { return v.open(v.resolve(name)) },
		register: v.register,
		cleared:  func() { v.slots[i].rules = nil },
	}
	rule := v.slots[i].rule
	t := templateOf(spec{flags: rule.flags, sides: rule.sides}, a)
	if err := l.file(data, file, t, 1); err != nil {
		return err
	}
	for _, r := range l.list {
		r.list = " [per-dir " + rule.mergeName() + "]"
	}
	v.compiled += len(l.list)
	total := len(l.list)
	for _, sl := range v.slots {
		total += len(sl.rules)
	}
	if total > maxRules {
		return &Error{Origin: Origin{File: file}, Reason: fmt.Sprintf("more than %d rules in force", maxRules)}
	}
	v.slots[i].rules = append(l.list, v.slots[i].rules...)
	return nil
}

// register opens a slot for a per-directory rule found in a merge file.
func (v *visit) register(r *Rule) (bool, error) {
	name := r.mergeName()
	for _, sl := range v.slots {
		if sl.rule.mergeName() == name {
			return false, nil
		}
	}
	if len(v.slots) == maxDirMerges {
		return false, fmt.Errorf("more than %d per-directory files", maxDirMerges)
	}
	v.slots = append(v.slots, slot{rule: r, fresh: true})
	v.scope.mu.Lock()
	defer v.scope.mu.Unlock()
	if len(v.scope.names) < maxDirMerges {
		v.scope.names[name] = true
	}
	return true, nil
}

// resolve is the absolute path of a file merged with "." from a per-directory
// file: as rsync has it, a bare name is one in the transfer root.
func (v *visit) resolve(name string) string {
	switch {
	case name[0] == '/':
		return path.Clean(name)
	case strings.IndexByte(name, '/') < 0:
		return v.scope.place.Root + "/" + name
	}
	return path.Clean(v.dir + "/" + name)
}

// inTree is the path below the tree's root of an absolute path.
func (v *visit) inTree(abs string) (tree.Path, bool) {
	rest, ok := strings.CutPrefix(abs, v.scope.place.Root)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return tree.Path(strings.TrimPrefix(rest, "/")), true
}

// open reads a merge file by its clean absolute path. file is how errors and
// origins call it.
func (v *visit) open(abs string) (data []byte, file string, err error) {
	place := &v.scope.place
	missing := &fs.PathError{Op: "read", Path: abs, Err: fs.ErrNotExist}
	p, ok := v.inTree(abs)
	switch {
	case ok && place.Read == nil, !ok && place.ReadAbove == nil:
		return nil, abs, missing
	case ok:
		file = string(p)
		data, err = place.Read(p.Parent(), p.Base())
	default:
		file = abs
		data, err = place.ReadAbove(abs)
	}
	if err == nil && len(data) > maxMergeFile {
		err = fmt.Errorf("larger than %d bytes", maxMergeFile)
	}
	return data, file, err
}
