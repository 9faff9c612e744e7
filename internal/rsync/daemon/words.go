package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
)

// Bounds of a client's words (rsync-session 2.5).
const (
	maxWords     = 16_000
	maxWordBytes = 8 << 20 // of all together
	maxRequest   = 1023    // of what the log repeats
	nulProtocol  = 30      // the first in which words end in NUL
	maxGlobbed   = 1 << 20 // names that wildcards may become
)

var errWords = errors.New("too many arguments")

// readWords reads the words of a round: each ends in NUL, or in a line end from
// old clients, and an empty one ends them.
func readWords(r *bufio.Reader, nul bool) ([]string, error) {
	var words []string
	var word []byte
	for total := 0; ; total++ {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return nil, err
		case total >= maxWordBytes:
			return nil, errWords
		case b == 0 || !nul && (b == '\n' || b == '\r'):
			if len(word) == 0 {
				return words, nil
			}
			if len(words) >= maxWords {
				return nil, errWords
			}
			words = append(words, string(word))
			word = word[:0]
		case len(word) < maxReply:
			word = append(word, b)
		}
	}
}

// request is what a client asks for.
type request struct {
	words []string // options, ".", paths; as they are parsed
	text  string   // the paths as the client gave them, for the log
}

// split is the place of the lone "." that ends the options; without one it is
// the end.
func split(words []string) int {
	for i, word := range words {
		if word == "." {
			return i
		}
	}
	return len(words)
}

// readRequest reads the words of a client, the second round included.
func readRequest(r *bufio.Reader, protocol int) (q request, secluded bool, err error) {
	first, err := readWords(r, protocol >= nulProtocol)
	if err != nil {
		return q, false, err
	}
	dot := split(first)
	for i := range first[:dot] {
		first[i] = unescape(first[i])
	}
	if !asksForMore(first[:dot]) {
		q.words = first
		return q, false, nil
	}
	second, err := readWords(r, true)
	if err != nil {
		return q, true, err
	}
	if len(second) > 0 {
		second = second[1:] // the program's name
	}
	q.words = append(leading(first[:dot]), second...)
	return q, true, nil
}

// asksForMore reports whether the words hide others (-s).
func asksForMore(words []string) bool {
	for _, word := range words {
		switch {
		case word == "--secluded-args", word == "--protect-args":
			return true
		case strings.HasPrefix(word, "--") || !strings.HasPrefix(word, "-"):
			continue
		}
		letters, _, _ := strings.Cut(word[1:], "e") // its argument is the rest
		if strings.ContainsRune(letters, 's') && !strings.ContainsAny(letters[:strings.IndexByte(letters, 's')], "@BMTf") {
			return true
		}
	}
	return false
}

// leading are the words of the first of two rounds that count.
func leading(words []string) []string {
	var kept []string
	for _, word := range words {
		if word == "--server" || word == "--sender" || strings.HasPrefix(word, "--iconv=") ||
			strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") {
			kept = append(kept, word)
		}
	}
	return kept
}

// unescape takes one level of backslashes away.
func unescape(word string) string {
	if !strings.Contains(word, `\`) {
		return word
	}
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] == '\\' && i+1 < len(word) {
			i++
		}
		b.WriteByte(word[i])
	}
	return b.String()
}

// resolve makes the paths of a request names within the module. Wildcards stand
// for what place has, but for what guard hides.
func (q *request) resolve(module string, secluded bool, place *walk.Place, guard *filter.Scope) {
	dot := split(q.words)
	if dot >= len(q.words) {
		return
	}
	paths := q.words[dot+1:]
	q.text = strings.Join(paths, " ")
	q.text = q.text[:min(len(q.text), maxRequest)]
	g := globber{place: place, guard: guard}
	resolved := q.words[: dot+1 : dot+1]
	for _, p := range paths {
		parts := []string{p}
		if !secluded {
			parts = strings.Split(p, " "+module+"/")
		}
		for i, part := range parts {
			if i == 0 {
				part = inModule(part, module)
			}
			resolved = append(resolved, g.expand(clean(part))...)
		}
	}
	q.words = resolved
}

// converted reports whether the client converts names (--iconv).
func (q *request) converted() bool {
	for _, word := range q.words[:split(q.words)] {
		if strings.HasPrefix(word, "--iconv=") {
			return true
		}
	}
	return false
}

// inModule cuts the module's name off a path.
func inModule(path, module string) string {
	rest, ok := strings.CutPrefix(path, module)
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	return strings.TrimPrefix(rest, "/")
}

// clean takes "..", and slashes that do nothing, out of a path; "." and a final
// slash mean something and stay.
func clean(path string) string {
	var kept []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "":
		case "..":
			for len(kept) > 0 && kept[len(kept)-1] == "." {
				kept = kept[:len(kept)-1]
			}
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, part)
		}
	}
	out := strings.Join(kept, "/")
	switch {
	case out == "":
		return "."
	case strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.."):
		return out + "/"
	}
	return out
}

// globber looks for names that match wildcards.
type globber struct {
	place *walk.Place
	guard *filter.Scope
	found int
}

// expand is the names that a path stands for, itself if there are none.
func (g *globber) expand(path string) []string {
	if !strings.ContainsAny(path, "*?[") || g.place == nil {
		return []string{path}
	}
	names := g.match("", path)
	if len(names) == 0 {
		return []string{path}
	}
	return names
}

// match are the names that a pattern stands for behind dir.
func (g *globber) match(dir, pattern string) []string {
	component, rest, more := strings.Cut(pattern, "/")
	if !strings.ContainsAny(component, "*?[") {
		name := dir + component
		if more && rest != "" {
			return g.match(name+"/", rest)
		}
		if !g.exists(name) {
			return nil
		}
		if more {
			name += "/"
		}
		return []string{name}
	}
	root, err := g.place.Root(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return nil
	}
	entries, err := root.ReadDir(tree.Root)
	_ = root.Close()
	if err != nil && len(entries) == 0 {
		return nil
	}
	var names []string
	for _, e := range entries { // sorted by name
		hidden := strings.HasPrefix(e.Name, ".") && !strings.HasPrefix(component, ".")
		isDir := e.Meta.Kind == tree.Dir
		if hidden || !wildMatch(component, e.Name) || g.hides(dir+e.Name, isDir) {
			continue
		}
		if g.found++; g.found > maxGlobbed {
			break
		}
		switch name := dir + e.Name; {
		case !more:
			names = append(names, name)
		case rest == "":
			names = append(names, name+"/")
		default:
			names = append(names, g.match(name+"/", rest)...)
		}
	}
	return names
}

func (g *globber) hides(name string, isDir bool) bool {
	return g.guard.Hidden(tree.Path(strings.Trim(name, "/")), isDir)
}

func (g *globber) exists(name string) bool {
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i], name[i+1:]
	}
	root, err := g.place.Root(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	_, err = root.Lstat(tree.Path(base))
	return err == nil
}

// parse reads the words of a request as options of a server. With an error the
// Set still tells enough for the handshake, after which the client hears of it.
func (q *request) parse(m *Module, env func(string) string) (*option.Set, error) {
	opt, err := option.Parse(option.Input{Words: q.words, Getenv: env, Tame: m.Dir != "/"})
	switch {
	case err == nil && opt.DaemonWords != nil:
		err = failure{exitUnsupported, "rsync: Attempt to hack rsync thwarted!"}
	case err == nil && !opt.Server:
		err = failure{exitSyntax, "the words of a client have no --server"}
	case err == nil && opt.Show != option.ShowNothing:
		err = failure{exitSyntax, "rsync: nothing was asked for"}
	case err != nil:
		err = failure{exitUnsupported, err.Error()}
	}
	if err != nil {
		opt = bare(q.words)
	}
	return opt, err
}

// bare is what the handshake needs of words that cannot be taken.
func bare(words []string) *option.Set {
	opt := option.New()
	opt.Server = true
	for _, word := range words[:split(words)] {
		if word == "--sender" {
			opt.Sender = true
		}
		if name, ok := strings.CutPrefix(word, "--files-from="); ok {
			opt.FilesFrom = name
		}
		if letters, info, ok := strings.Cut(word, "e."); ok && strings.HasPrefix(letters, "-") && !strings.HasPrefix(letters, "--") {
			opt.ClientInfo = "." + info
		}
	}
	opt.IncRecurse = false
	return opt
}

// failure is an end in rsync's words, with its exit code.
type failure struct {
	code int
	text string
}

func (f failure) Error() string { return f.text }

// ExitCode is rsync's exit code.
func (f failure) ExitCode() int { return f.code }

// Exit codes of rsync (rsync-session 6.3).
const (
	exitSyntax      = 1
	exitUnsupported = 4
	exitStart       = 5
	exitSocket      = 10
	exitTimeout     = 30
)

func failuref(code int, format string, args ...any) error {
	return failure{code, fmt.Sprintf(format, args...)}
}
