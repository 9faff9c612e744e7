package filter

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
)

// maxPattern is the longest pattern or file name of a rule in bytes: what rsync
// takes, and no more than fits a path.
const maxPattern = tree.MaxPath

// An Error is a rule that cannot be used, or a file of rules that cannot be
// read.
type Error struct {
	Origin Origin
	Rule   string // as given; "" if it came from a file: contents are not repeated
	Reason string
	Err    error // cause, may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("filter rule")
	if e.Rule != "" {
		b.WriteString(" " + tree.Quote(e.Rule))
	}
	if e.Origin.File != "" {
		b.WriteString(" at " + e.Origin.String())
	}
	b.WriteString(": " + e.Reason)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// What Error.Reason says of the usual mistakes.
const (
	ReasonUnknown  = "unknown rule"
	ReasonShort    = "the rule ends where a pattern or file name must follow"
	ReasonSided    = "the rule names a side, but so does the rule that merges the file"
	ReasonTrailing = "a list-clearing rule takes neither modifiers nor a pattern"
)

// Operations a rule can ask for. Hide, show, protect and risk become opExclude
// and opInclude with a side.
const (
	opExclude  = '-'
	opInclude  = '+'
	opMerge    = '.'
	opDirMerge = ':'
	opClear    = '!'
)

// spec is a rule as written.
type spec struct {
	op    byte
	flags ruleFlags
	sides Side
	text  string // pattern or file name
}

var longNames = map[string]byte{
	"exclude": '-', "include": '+', "merge": '.', "dir-merge": ':',
	"hide": 'H', "show": 'S', "protect": 'P', "risk": 'R', "clear": '!',
}

var (
	errUnknownRule = errors.New(ReasonUnknown)
	errNoPattern   = errors.New(ReasonShort)
	errClearText   = errors.New(ReasonTrailing)
)

// parseRule reads a rule in the syntax of --filter (rsync-filelist 7.4): a
// name or letter, modifiers, one space or underscore, and the pattern.
func parseRule(text string) (spec, error) {
	op, rest, ok := cutOperation(text)
	if !ok {
		return spec{}, errUnknownRule
	}
	rest = strings.TrimPrefix(rest, ",")
	s := spec{op: op}
	sided := false
	switch op {
	case 'H', 'P':
		s.op, sided = opExclude, true
	case 'S', 'R':
		s.op, sided = opInclude, true
	case opClear:
		if rest != "" {
			return spec{}, errClearText
		}
		return s, nil
	}
	switch op {
	case 'H', 'S':
		s.sides = Sender
	case 'P', 'R':
		s.sides = Receiver
	}
	i := 0
	for ; i < len(rest) && rest[i] != ' ' && rest[i] != '_'; i++ {
		if !s.modify(rest[i], sided) {
			return spec{}, fmt.Errorf("invalid modifier '%c' at position %d", rest[i], len(text)-len(rest)+i)
		}
	}
	if i < len(rest) {
		s.text = rest[i+1:]
	}
	return s.complete()
}

// cutOperation takes the name or letter off a rule; a name must be followed
// by a separator.
func cutOperation(text string) (op byte, rest string, ok bool) {
	word := text
	if i := strings.IndexAny(text, " _,"); i >= 0 {
		word = text[:i]
	}
	if op, ok := longNames[word]; ok {
		return op, text[len(word):], true
	}
	if text == "" || !strings.Contains("-+.:HSPR!", text[:1]) {
		return 0, "", false
	}
	return text[0], text[1:], true
}

// modify applies one modifier letter; false means that the rule cannot have it.
func (s *spec) modify(c byte, sided bool) bool {
	merge := s.op == opMerge || s.op == opDirMerge
	var f ruleFlags
	switch c {
	case '/':
		f = flagAbsolute
	case '!':
		f = flagNegate
		if merge {
			return false
		}
	case 'p':
		f = flagPerishable
	case 'x':
		f = flagXattr
	case 's', 'r':
		if sided {
			return false
		}
		if c == 's' {
			s.sides |= Sender
		} else {
			s.sides |= Receiver
		}
	case 'C':
		if sided || s.flags&(flagRaw|flagCVS) != 0 {
			return false
		}
		f = flagCVS
		if merge {
			f |= flagNoInherit | flagWords | flagRawExclude
		}
	case '-', '+':
		if !merge || s.flags&flagRaw != 0 {
			return false
		}
		f = flagRawExclude
		if c == '+' {
			f = flagRawInclude
		}
	case 'e', 'n', 'w':
		if !merge {
			return false
		}
		f = map[byte]ruleFlags{'e': flagExcludeSelf, 'n': flagNoInherit, 'w': flagWords}[c]
	default:
		return false
	}
	s.flags |= f
	return true
}

// complete checks the text of s and supplies the one that "C" implies.
func (s spec) complete() (spec, error) {
	merge := s.op == opMerge || s.op == opDirMerge
	cvs := s.flags&flagCVS != 0
	switch {
	case cvs && !merge:
		s.text = "" // the list stands for itself; rsync ignores a text, too
		return s, nil
	case cvs && s.text == "":
		s.text = cvsFile
	case s.text == "":
		return spec{}, errNoPattern
	}
	if s.op == opInclude {
		s.flags |= flagInclude
	}
	return s, nil
}

// parseOld reads the value of --exclude or --include, or a line of a file of
// theirs: a pattern, which may begin with "- " or "+ ", or a lone "!".
func parseOld(text string, include bool) (spec, error) {
	s := spec{op: opExclude, text: text}
	if include {
		s.op = opInclude
	}
	switch {
	case text == "!":
		return spec{op: opClear}, nil
	case strings.HasPrefix(text, "- "):
		s.op, s.text = opExclude, text[2:]
	case strings.HasPrefix(text, "+ "):
		s.op, s.text = opInclude, text[2:]
	}
	return s.complete()
}

// newRule compiles s. A pattern that begins with '/' is anchored at a, unless
// it is absolute anyway.
func newRule(s spec, o Origin, a anchor) (*Rule, error) {
	if strings.IndexByte(s.text, 0) >= 0 {
		return nil, errors.New("NUL byte")
	}
	if len(s.text) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	r := &Rule{pattern: s.text, flags: s.flags, sides: s.sides, origin: o}
	if s.op == opDirMerge {
		r.flags |= flagDirMerge
		if name := r.mergeName(); name == "" || name == "." || name == ".." {
			return nil, errors.New("a per-directory rule must name a file")
		}
		return r, nil
	}
	if len(s.text) > 1 && strings.HasSuffix(s.text, "/") {
		r.flags |= flagDirOnly
		r.pattern = s.text[:len(s.text)-1]
	}
	pattern, flags := r.pattern, r.flags
	if pattern[0] == '/' && !r.has(flagAbsolute) {
		switch {
		case a.above:
			pattern, flags = a.dir+pattern, flags|flagAbsolute
		case a.dir != "":
			pattern = "/" + a.dir + pattern
		}
	}
	r.match = compileMatcher(pattern, flags)
	return r, nil
}

// anchor is the directory at which patterns with a leading '/' are anchored:
// a path below the tree's root, or if above is set an absolute one ("" is "/").
type anchor struct {
	dir   string
	above bool
}
