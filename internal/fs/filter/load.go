package filter

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// maxDepth is how deep files may merge files, as in rsync.
	maxDepth = 32
	// maxFiles bounds the files that one file may merge, directly or not.
	maxFiles = 1 << 10
	// maxBytes bounds their sizes together, with that of the file itself.
	maxBytes = 16 << 20
	// maxRules bounds the rules that per-directory files bring into force at
	// one place; it is far above any real set and keeps hostile files from
	// costing memory and time.
	maxRules = 1 << 16
	// maxGiven bounds the rules of a command line, which may be generated.
	maxGiven = 1 << 20
	// maxDirMerges bounds the per-directory files looked for in each directory.
	maxDirMerges = 256
)

type style uint8

const (
	styleFilter style = iota // the syntax of --filter
	styleOld                 // that of --exclude-from and --include-from
	styleRaw                 // bare patterns
)

// template is what the rules of one file get from the rule that named it.
type template struct {
	style   style
	include bool // styleOld, styleRaw: what a bare pattern is
	words   bool // rules end at white space
	clears  bool // styleRaw: "!" clears the list
	flags   ruleFlags
	sides   Side
	anchor  anchor
}

// inherited are the modifiers that a merge rule passes on.
const inherited = flagAbsolute | flagPerishable | flagSoftPerish

// templateOf is the template for the files of the merge rule s.
func templateOf(s spec, a anchor) template {
	t := template{flags: s.flags & inherited, sides: s.sides, anchor: a}
	t.words = s.flags&flagWords != 0
	t.clears = s.flags&flagCVS != 0
	if s.flags&flagRaw != 0 {
		t.style = styleRaw
		t.include = s.flags&flagRawInclude != 0
	}
	return t
}

// A loader turns rule texts into a list, opening merged files as it goes.
type loader struct {
	list  []*Rule
	max   int // length of list
	files int // read so far
	bytes int // in those
	from0 bool
	cvs   cvsLists
	// open reads the file of a "." rule; file is how errors call it.
	open func(name string) (data []byte, file string, err error)
	// register takes note of a per-directory rule; false means that its file
	// is looked for already, and that the rule is to be dropped.
	register func(r *Rule) (bool, error)
	cleared  func()
}

// file reads all rules of a file.
func (l *loader) file(data []byte, file string, t template, depth int) error {
	if depth > maxDepth {
		return &Error{Origin: Origin{File: file}, Reason: fmt.Sprintf("files merge files more than %d deep", maxDepth)}
	}
	if l.files++; l.files > maxFiles {
		return &Error{Origin: Origin{File: file}, Reason: fmt.Sprintf("more than %d files merged", maxFiles)}
	}
	if l.bytes += len(data); l.bytes > maxBytes {
		return &Error{Origin: Origin{File: file}, Reason: fmt.Sprintf("more than %d bytes of rules", maxBytes)}
	}
	lines := splitter{data: data, from0: l.from0, words: t.words, line: 1}
	for {
		text, line, ok := lines.next()
		if !ok {
			return nil
		}
		if text == "" || !t.words && (text[0] == '#' || text[0] == ';') {
			continue
		}
		s, err := t.parse(text)
		if errors.Is(err, errNoPattern) && t.words && lines.atSpace() {
			// "- foo" in a word-split file is one rule.
			var arg string
			if arg, _, ok = lines.next(); ok {
				s, err = t.parse(text + " " + arg)
			}
		}
		o := Origin{File: file, Line: line}
		if t.words {
			o.Line = 0
		}
		if err == nil {
			err = l.add(s, o, t, depth)
		}
		if err != nil {
			return inOrigin(err, o)
		}
	}
}

// inOrigin says where err happened, unless it says so itself.
func inOrigin(err error, o Origin) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Origin: o, Reason: err.Error()}
}

func (t *template) parse(text string) (spec, error) {
	switch t.style {
	case styleOld:
		return parseOld(text, t.include)
	case styleRaw:
		if text == "!" && t.clears {
			return spec{op: opClear}, nil
		}
		s := spec{op: opExclude, text: text}
		if t.include {
			s.op = opInclude
		}
		return s.complete()
	}
	return parseRule(text)
}

// add carries one rule out.
func (l *loader) add(s spec, o Origin, t template, depth int) error {
	if s.op == opClear {
		l.list = nil
		l.cleared()
		return nil
	}
	s.flags |= t.flags
	if t.sides != 0 {
		if s.sides != 0 {
			return errors.New(ReasonSided)
		}
		s.sides = t.sides
	}
	if s.flags&flagCVS != 0 && (s.op == opExclude || s.op == opInclude) {
		rules, err := l.cvs.rules(s, o)
		if err != nil {
			return err
		}
		return l.append(rules...)
	}
	if s.flags&flagExcludeSelf != 0 {
		if err := l.excludeSelf(s.text, o); err != nil {
			return err
		}
		s.flags &^= flagExcludeSelf
	}
	if s.op == opMerge {
		data, file, err := l.open(s.text)
		if err != nil {
			return &Error{Origin: o, Reason: "cannot read the file to merge", Err: err}
		}
		return l.file(data, file, templateOf(s, anchor{}), depth+1)
	}
	r, err := newRule(s, o, t.anchor)
	if err != nil {
		return err
	}
	if s.op == opDirMerge {
		if fresh, err := l.register(r); err != nil || !fresh {
			return err
		}
	}
	return l.append(r)
}

// excludeSelf is the modifier "e": it excludes files called as the one to merge,
// on both sides whatever the merge rule says.
func (l *loader) excludeSelf(file string, o Origin) error {
	base := file[strings.LastIndexByte(file, '/')+1:]
	if base == "" {
		return nil
	}
	r, err := newRule(spec{op: opExclude, text: base}, o, anchor{})
	if err != nil {
		return err
	}
	return l.append(r)
}

func (l *loader) append(rules ...*Rule) error {
	if len(l.list)+len(rules) > l.max {
		return fmt.Errorf("more than %d rules", l.max)
	}
	l.list = append(l.list, rules...)
	return nil
}

// splitter cuts a file into rule texts: lines that end in LF, CR or CR LF, or
// at NUL with --from0; or words.
type splitter struct {
	data  []byte
	pos   int
	line  int // number of the line at pos
	from0 bool
	words bool
}

// next is the next line, which may be empty, or the next word. Where NUL does
// not separate, it ends the text all the same, as rsync's strings do.
func (s *splitter) next() (text string, line int, ok bool) {
	if s.words {
		for s.pos < len(s.data) && s.ends(s.data[s.pos]) {
			s.pos++
		}
	}
	if s.pos >= len(s.data) {
		return "", 0, false
	}
	start := s.pos
	for s.pos < len(s.data) && !s.ends(s.data[s.pos]) {
		s.pos++
	}
	text, line = string(s.data[start:s.pos]), s.line
	if !s.words && s.pos < len(s.data) {
		if s.data[s.pos] == '\r' && s.pos+1 < len(s.data) && s.data[s.pos+1] == '\n' {
			s.pos++
		}
		s.pos++
		s.line++
	}
	text, _, _ = strings.Cut(text, "\x00")
	return text, line, true
}

func (s *splitter) ends(c byte) bool {
	switch {
	case s.words:
		return isSpace(c) || s.from0 && c == 0
	case s.from0:
		return c == 0
	}
	return c == '\n' || c == '\r'
}

// atSpace reports whether the word just read ended at a blank, so that the
// next one may belong to it.
func (s *splitter) atSpace() bool { return s.pos < len(s.data) && s.data[s.pos] == ' ' }
