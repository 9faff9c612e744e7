package target

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/rsync/sender"
)

// rsync names the paths that failed only in its messages, in double quotes,
// below its own root, with odd bytes as \#ooo, and sometimes as the temporary
// file that it was writing (rsync-transfer 4.6, 5.1). This file reads them.

var (
	quotedName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"([^"]*(?:"[^"]*)*?)"(?: \(in [^)]*\))?`) })
	parenName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\((.+)\) failed`) })
	tempName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\.?(.*)\.[A-Za-z0-9]{6}$`) })
	unverified = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:WARNING|ERROR): (.+) failed verification`) })
	octalByte  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\\#[0-3][0-7][0-7]`) })
)

// summaries are messages that blame nothing by themselves.
var summaries = []string{"rsync error: ", "rsync warning: ", "IO error encountered", "WARNING: parent dir is absent"}

// isSummary reports whether a message only sums up, or gives a warning about
// something that happened all the same.
func isSummary(message string) bool {
	for _, s := range summaries {
		if strings.HasPrefix(message, s) {
			return true
		}
	}
	return strings.TrimSpace(message) == ""
}

// blame notes the paths that the peer's messages name as failed, and reports
// whether that explains everything. list is what was sent; nil means the whole
// source.
func (r *run) blame(messages []string, list []sender.Item) (explained bool) {
	explained = true
	o := &r.report.Outcome
	for _, m := range messages {
		if isSummary(m) {
			continue
		}
		p, ok := r.named(m, list)
		if !ok {
			explained = false
			continue
		}
		if !slices.Contains(o.Vanished, p) { // that one was spoiled on purpose
			o.Failed[p] = errors.New(tree.Quote(m))
		}
	}
	return explained && len(o.Failed)+len(o.Vanished) > 0
}

// named finds the path that one message is about.
func (r *run) named(message string, list []sender.Item) (tree.Path, bool) {
	for _, name := range candidates(message) {
		if list != nil {
			if p, ok := inList(name, list); ok {
				return p, true
			}
			continue
		}
		if p, ok := r.inSource(name); ok {
			return p, true
		}
	}
	return "", false
}

// candidates are the names in a message, as they are and as what a temporary
// name stands for.
func candidates(message string) []string {
	var names []string
	for _, form := range []*regexp.Regexp{quotedName(), parenName(), unverified()} {
		for _, hit := range form.FindAllStringSubmatch(message, -1) {
			name := unescape(hit[1])
			names = append(names, name)
			dir, base := "", name
			if i := strings.LastIndexByte(name, '/'); i >= 0 {
				dir, base = name[:i+1], name[i+1:]
			}
			if t := tempName().FindStringSubmatch(base); t != nil {
				names = append(names, dir+t[1], dir+"."+t[1])
			}
		}
	}
	return names
}

func unescape(s string) string {
	return octalByte().ReplaceAllStringFunc(s, func(e string) string {
		return string([]byte{(e[2]-'0')<<6 | (e[3]-'0')<<3 | (e[4] - '0')})
	})
}

// inList finds the listed path that name, which is below the peer's root, ends
// with; the longest wins.
func inList(name string, list []sender.Item) (tree.Path, bool) {
	best, ok := tree.Root, false
	for _, it := range list {
		p := string(it.Path)
		below := it.Tree && strings.Contains(name+"/", "/"+p+"/")
		if (name == p || strings.HasSuffix(name, "/"+p) || below) && len(p) >= len(best) {
			best, ok = it.Path, true
		}
	}
	return best, ok
}

// inSource finds the path of the source that name ends with: the longest end
// of name that is there, or whose parent is.
func (r *run) inSource(name string) (tree.Path, bool) {
	rest := strings.Trim(name, "/")
	for rest != "" {
		if p, err := tree.Clean(rest); err == nil && !p.IsRoot() {
			if _, err := r.root.Lstat(p); err == nil {
				return p, true
			}
		}
		_, after, ok := strings.Cut(rest, "/")
		if !ok {
			break
		}
		rest = after
	}
	return "", false
}

// lastWords are the last message that says anything.
func lastWords(messages []string) string {
	text := "the peer does not say why"
	for _, m := range messages {
		if !isSummary(m) {
			text = m
		}
	}
	return tree.Quote(text)
}

// maxStuck bounds the directories that a peer can make us look at again.
const maxStuck = 1000

// notRemoved adds the directory that a peer says it could not remove in a full
// pass, because of what came into it meanwhile: the peer's end of a session
// whose mirror was killed may go on for a moment. It is to be removed again,
// unless the filter rules keep what it holds.
func notRemoved(to []tree.Path, text string) []tree.Path {
	for line := range strings.Lines(text) {
		name, yes := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "cannot delete non-empty directory: ")
		if !yes || len(to) == maxStuck {
			continue
		}
		if p, err := tree.Clean(unescape(name)); err == nil && !p.IsRoot() {
			to = append(to, p)
		}
	}
	return to
}

// blamed is what becomes of an error at the source: a directory that could not
// be listed hides what is below it.
func blamed(err error) error {
	if walk.Unlisted(err) {
		return &change.Unlisted{Err: err}
	}
	return err
}
