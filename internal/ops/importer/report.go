// Package importer turns configurations of lsyncd and sersync into one of
// lockstep. Nothing in the files is executed: of lsyncd's Lua only literal
// tables, assignments and the loop over a list are read.
//
// Every setting is reported with its line, as mapped, dropped (it has no
// meaning here), warned of, or refused (what is copied or deleted would change
// otherwise). If anything is refused there is no result.
//
// Input is bounded to 1 MiB and may be anything. The functions share no state.
package importer

import (
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/config"
)

// maxInput bounds a configuration, in bytes.
const maxInput = 1 << 20

// Verdict is what became of a setting.
type Verdict string

// The verdicts.
const (
	Mapped  Verdict = "mapped"
	Dropped Verdict = "dropped"
	Warned  Verdict = "warning"
	Refused Verdict = "refused"
)

// Note is what became of one setting.
type Note struct {
	Line    int
	Setting string
	Verdict Verdict
	Text    string // why, or to what
}

func (n Note) String() string {
	s := fmt.Sprintf("line %d: %s: %s", n.Line, n.Setting, n.Verdict)
	if n.Text != "" {
		s += ", " + n.Text
	}
	return s
}

// Result is an imported configuration.
type Result struct {
	Notes   []Note // in the order of their lines
	Mirrors []config.Entry
}

// Refused reports whether something could not be imported.
func (r *Result) Refused() bool {
	return slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Verdict == Refused })
}

// Text is the configuration, checked as lockstep check would, as far as that
// is possible without looking at sources and targets.
func (r *Result) Text() (string, error) {
	text := config.Write(r.Mirrors)
	if _, err := config.Decode([]byte(text), config.ReadRules); err != nil {
		return "", fmt.Errorf("the imported configuration: %w", err)
	}
	return text, nil
}

func (r *Result) note(line int, setting string, v Verdict, format string, args ...any) {
	r.Notes = append(r.Notes, Note{line, setting, v, fmt.Sprintf(format, args...)})
}

func (r *Result) sort() {
	slices.SortStableFunc(r.Notes, func(a, b Note) int { return a.Line - b.Line })
}

// mirrorName makes a name of a source that no other mirror has.
func (r *Result) mirrorName(source string) string {
	var b strings.Builder
	for _, c := range source[strings.LastIndexByte(strings.TrimRight(source, "/"), '/')+1:] {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' && b.Len() > 0:
			b.WriteRune(c)
		}
	}
	base := b.String()
	if base == "" {
		base = "mirror"
	}
	name := base[:min(len(base), 50)]
	for i := 2; slices.ContainsFunc(r.Mirrors, func(e config.Entry) bool { return e.Name == name }); i++ {
		name = fmt.Sprintf("%s-%d", base[:min(len(base), 50)], i)
	}
	return name
}

// literalGlob makes a pattern that matches s and nothing else.
func literalGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

func quoted(s string) string { return tree.Quote(s) }
