package target

import (
	"context"
	"fmt"
	"strings"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/rsync/sender"
)

// NotRemoved are the directories that a peer's words say it could not remove.
func NotRemoved(text string) []tree.Path { return notRemoved(nil, text) }

// Plan gives the sessions of a batch as text, a line each.
func Plan(b change.Batch, lstat func(tree.Path) (tree.Meta, error), legacy, hardLinks bool) string {
	var out []string
	for _, s := range (planner{lstat: lstat, batch: b, legacy: legacy, hardLinks: hardLinks}).plan() {
		out = append(out, s.String())
	}
	return strings.Join(out, "\n")
}

func (s step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", s.dir)
	if s.whole {
		b.WriteString(" whole")
	}
	if s.content {
		b.WriteString(" content")
	}
	if s.linked {
		b.WriteString(" linked")
	}
	if s.linkDest != "" {
		fmt.Fprintf(&b, " link-dest=%s", s.linkDest)
	}
	for _, it := range s.list {
		fmt.Fprintf(&b, " %s", it.Path)
		if it.From != "" {
			fmt.Fprintf(&b, "<-%s", it.From)
		}
		if it.Tree {
			b.WriteString("/**")
		}
		if it.Children {
			b.WriteString("/*")
		}
	}
	return b.String()
}

// Split gives the filter rules of the parts of a full pass.
func Split(ctx context.Context, root *walk.Root) []*filter.Scope {
	var scopes []*filter.Scope
	for _, p := range split(ctx, root, func(tree.Path, bool) bool { return false }) {
		scopes = append(scopes, (*filter.Scope)(nil).Behind(p.rules))
	}
	return scopes
}

// Share tells how sorted names are dealt out.
func Share(names []string) (prefix string, classes []string) {
	prefix, found := buckets(names)
	if len(found) > 0 {
		classes = share(found, passParts)
	}
	return prefix, classes
}

// Relative is relative for tests.
func Relative(dir, base tree.Path) string { return relative(dir, base) }

// Candidates are the names that a message of the peer may be about.
func Candidates(message string) []string { return candidates(message) }

// InList finds the listed path that a name stands for.
func InList(name string, paths ...tree.Path) (tree.Path, bool) {
	var list []sender.Item
	for _, p := range paths {
		list = append(list, sender.Item{Path: p})
	}
	return inList(name, list)
}

// JudgePasswordFile is judgePasswordFile for tests.
var JudgePasswordFile = judgePasswordFile

// NextDay makes d take the next work for the first of a day.
func (d *Directory) NextDay() { d.purged = "" }

// CopyToShelf copies an object of dir as it is copied to the backups.
func CopyToShelf(dir string, p, to tree.Path) error {
	d := &Directory{}
	root, err := apply.OpenRoot(dir, d.applyOptions())
	if err != nil {
		return err
	}
	defer root.Close()
	meta, err := root.Reader().Lstat(p)
	if err != nil {
		return err
	}
	return (&shelf{root: root}).copy(p, to, meta)
}
