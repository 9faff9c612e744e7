package mirror

import (
	"maps"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
)

// swept is the subtrees that a target compared with the source as a whole, not
// name by name. In such a subtree it may have seen what a new directory held
// before that directory was watched, and what is gone by the time it is: then
// no event tells of it, and the directory has to be compared once more. The
// value is when that cannot be any longer; zero while the comparison runs.
type swept map[tree.Path]time.Time

// begin notes what a job compares as a whole.
func (w swept) begin(j job) {
	for _, p := range j.subtrees() {
		w[p] = time.Time{}
	}
}

// end notes that a job is over: of what happened before, events may still come.
func (w swept) end(j job, now time.Time) {
	for _, p := range j.subtrees() {
		w[p] = now.Add(recently)
	}
}

// covers reports whether p lies in one of the subtrees.
func (w swept) covers(p tree.Path) bool {
	for {
		if _, ok := w[p]; ok || p.IsRoot() {
			return ok
		}
		p = p.Parent()
	}
}

// forget drops what is over.
func (w swept) forget(now time.Time) {
	maps.DeleteFunc(w, func(_ tree.Path, until time.Time) bool { return !until.IsZero() && now.After(until) })
}

// subtrees are the directories that j compares with everything below them.
func (j job) subtrees() []tree.Path {
	if j.full {
		return []tree.Path{tree.Root}
	}
	var dirs []tree.Path
	for _, it := range j.batch.Items {
		if it.Class == change.Tree || it.Gone {
			dirs = append(dirs, it.Path)
		}
	}
	for _, r := range j.batch.Renames {
		if r.Dir {
			dirs = append(dirs, r.From, r.To)
		}
	}
	return dirs
}
