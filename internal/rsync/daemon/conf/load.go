package conf

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	maxFile  = 16 << 20 // bytes of a file
	maxTotal = 64 << 20 // bytes of all
	maxDepth = 20       // of files that name files
	maxFiles = 10_000
)

// Files is where the configuration lies.
type Files interface {
	// ReadFile reads a file; it may refuse one that is larger than limit bytes.
	ReadFile(name string, limit int64) ([]byte, error)
	// ReadDir lists a directory; an error that wraps ErrNotDirectory says that
	// name is a file.
	ReadDir(name string) ([]string, error)
}

// ErrNotDirectory is wrapped by the error of ReadDir for a file.
var ErrNotDirectory = errors.New("not a directory")

// Options are what a configuration is read with.
type Options struct {
	Files Files
	// Overrides are the values of --dparam: they go before the global
	// parameters of the file.
	Overrides []string
	// Env is the environment of the daemon.
	Env Env
}

// Error is why a configuration cannot be used.
type Error struct {
	Where Place
	Text  string
	Err   error // the cause, or nil
}

func (e *Error) Error() string {
	s := e.Where.String() + ": " + e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Load reads a configuration. The error is an *Error; the Config holds what was
// read until then.
func Load(name string, o Options) (*Config, error) {
	l := &loader{options: o, config: &Config{Global: &Section{Where: Place{File: name}}}}
	l.defaults = &l.config.Global.values
	l.section, l.global = l.config.Global, l.config.Global
	for _, word := range o.Overrides {
		if err := l.override(word); err != nil {
			return l.config, err
		}
	}
	err := l.file(name)
	return l.config, err
}

// loader is a Load under way.
type loader struct {
	options  Options
	config   *Config
	defaults *[params]setting // of modules that begin here
	section  *Section         // that is being filled
	global   *Section         // of this file
	forced   [params]bool     // by overrides
	total    int64
	files    int
	depth    int
}

// override takes a value of --dparam.
func (l *loader) override(word string) error {
	where := Place{File: "--dparam"}
	name, value, ok := strings.Cut(word, "=")
	if !ok {
		return &Error{Where: where, Text: fmt.Sprintf("%q has no equals sign", word)}
	}
	p, known := byName[fold(name)]
	if !known {
		return &Error{Where: where, Text: fmt.Sprintf("Unknown Parameter encountered: %q", strings.TrimSpace(name))}
	}
	l.assign(p, trim(value), where)
	l.forced[p] = true
	return nil
}

// file reads one file.
func (l *loader) file(name string) error {
	where := Place{File: name}
	if l.files++; l.files > maxFiles {
		return &Error{Where: where, Text: fmt.Sprintf("more than %d files", maxFiles)}
	}
	data, err := l.options.Files.ReadFile(name, maxFile)
	if err != nil {
		return &Error{Where: where, Text: "cannot be read", Err: err}
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return &Error{Where: where, Text: "it holds a NUL byte"}
	}
	if l.total += int64(len(data)); l.total > maxTotal {
		return &Error{Where: where, Text: fmt.Sprintf("more than %d bytes of configuration", maxTotal)}
	}
	lines := lines{rest: string(data), file: name}
	for {
		line, where, ok := lines.next()
		if !ok {
			return nil
		}
		if err := l.line(line, where); err != nil {
			return err
		}
	}
}

// lines cuts a file into lines, those that end in a backslash joined with what
// follows.
type lines struct {
	rest, file string
	line       int
}

func (s *lines) next() (line string, where Place, ok bool) {
	if s.rest == "" {
		return "", Place{}, false
	}
	where = Place{File: s.file, Line: s.line + 1}
	for {
		part, rest, more := strings.Cut(s.rest, "\n")
		s.rest = rest
		s.line++
		part = strings.TrimRightFunc(part, isSpace)
		comment := line == "" && strings.HasPrefix(strings.TrimLeftFunc(part, isSpace), "#")
		if comment || !strings.HasSuffix(part, `\`) || !more {
			return line + part, where, true
		}
		line += strings.TrimSuffix(part, `\`)
	}
}

func trim(s string) string { return strings.TrimFunc(s, isSpace) }

// line carries out one line.
func (l *loader) line(line string, where Place) error {
	line = trim(line)
	switch {
	case line == "" || line[0] == '#' || line[0] == ';':
		return nil
	case line[0] == '[':
		return l.begin(line[1:], where)
	case line[0] == '&':
		return l.directive(line[1:], where)
	}
	name, value, ok := strings.Cut(line, "=")
	switch {
	case !ok:
		l.problem(where, meant(line), "params.c:Parameter() - Ignoring badly formed line in config file: "+line)
		return nil
	case trim(name) == "":
		return &Error{Where: where, Text: "Invalid parameter name in config file."}
	}
	l.parameter(strings.Join(strings.FieldsFunc(name, isSpace), " "), trim(value), where)
	return nil
}

// meant is what a line without an equals sign may have been to say, "" if that
// is not known.
func meant(line string) string {
	words := strings.FieldsFunc(line, isSpace)
	for n := len(words); n > 0; n-- {
		p, known := byName[fold(strings.Join(words[:n], ""))]
		switch value := strings.Join(words[n:], " "); {
		case !known:
		case value == "" && (table[p].kind == boolean || table[p].kind == tri):
			return fmt.Sprintf("write \"%s = yes\" if that is meant", p)
		case value == "":
			return fmt.Sprintf("write \"%s = VALUE\"", p)
		default:
			return fmt.Sprintf("write \"%s = %s\" if that is meant", p, value)
		}
	}
	return ""
}

func (l *loader) problem(where Place, hint string, lines ...string) {
	l.config.Problems = append(l.config.Problems, Problem{Where: where, Lines: lines, Hint: hint})
}

// begin starts a section; text is what follows the bracket.
func (l *loader) begin(text string, where Place) error {
	name, _, closed := strings.Cut(text, "]")
	name = strings.Join(strings.FieldsFunc(name, isSpace), " ")
	switch {
	case !closed:
		return &Error{Where: where, Text: fmt.Sprintf("Badly formed line in config file: %s (the name of a module ends with a bracket: [%[1]s])", trim(text))}
	case name == "":
		return &Error{Where: where, Text: "Empty section name in config file."}
	case strings.EqualFold(name, "global"):
		l.section = l.global
		return nil
	case strings.Contains(name, "/"):
		return &Error{Where: where, Text: "invalid section name in configuration file: " + name}
	}
	if m := l.config.moduleLike(name); m != nil {
		m.Again = append(m.Again, where)
		l.section = m
		return nil
	}
	l.section = &Section{Name: name, Where: where, values: *l.defaults}
	l.config.Modules = append(l.config.Modules, l.section)
	return nil
}

// moduleLike finds the module that a further section of that name continues.
func (c *Config) moduleLike(name string) *Section {
	for _, m := range c.Modules {
		if strings.EqualFold(m.Name, name) {
			return m
		}
	}
	return nil
}

// parameter sets a parameter of the section.
func (l *loader) parameter(name, value string, where Place) {
	p, known := byName[fold(name)]
	if !known {
		hint := ""
		if meant := Suggest(name); meant != "" {
			hint = fmt.Sprintf("did you mean %q?", meant)
		}
		l.problem(where, hint, fmt.Sprintf("Unknown Parameter encountered: %q", name), fmt.Sprintf("IGNORING unknown parameter %q", name))
		return
	}
	if p.Global() && l.section.Name != "" {
		l.problem(where, "move it before the first module", fmt.Sprintf("Global parameter %s found in module section!", p))
		return
	}
	if l.forced[p] && l.section.Name == "" {
		return
	}
	l.assign(p, value, where)
}

// assign gives a parameter its value. Values that are not text have their
// references followed at once.
func (l *loader) assign(p Param, value string, where Place) {
	switch table[p].kind {
	case boolean, tri:
		value = Expand(value, l.options.Env)
		t, ok := truth(value)
		if !ok || t == Unset && table[p].kind == boolean {
			l.problem(where, "say yes or no", fmt.Sprintf("Badly formed boolean in configuration file: %q.", value))
			return
		}
	case integer:
		value = Expand(value, l.options.Env)
		if n := atoi(value); value != fmt.Sprint(n) {
			l.problem(where, "", fmt.Sprintf("Badly formed number in configuration file: %q counts as %d.", value, n))
		}
	}
	v := setting{set: true, text: value, where: where}
	l.section.values[p] = v
	if l.section.Name == "" {
		l.defaults[p] = v
	}
}

// directive carries out &include and &merge.
func (l *loader) directive(text string, where Place) error {
	word, name := text, ""
	if i := strings.IndexFunc(text, func(r rune) bool { return isSpace(r) || r == '=' }); i >= 0 {
		word, name = text[:i], trim(strings.TrimPrefix(trim(text[i:]), "="))
	}
	suffix := ""
	switch strings.ToLower(word) {
	case "include":
		suffix = ".conf"
	case "merge":
		suffix = ".inc"
	default:
		return &Error{Where: where, Text: fmt.Sprintf("Unknown directive: &%s.", word)}
	}
	if l.depth++; l.depth > maxDepth {
		return &Error{Where: where, Text: fmt.Sprintf("files include files more than %d deep", maxDepth)}
	}
	defer func() { l.depth-- }()
	files, err := l.named(Expand(name, l.options.Env), suffix)
	if err != nil {
		return &Error{Where: where, Text: fmt.Sprintf("unable to stat config file %q", name), Err: err}
	}
	for _, file := range files {
		if suffix == ".inc" {
			err = l.file(file)
		} else {
			err = l.apart(file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// named lists the files that a directive names.
func (l *loader) named(name, suffix string) ([]string, error) {
	name = trimSlashes(name)
	entries, err := l.options.Files.ReadDir(name)
	switch {
	case errors.Is(err, ErrNotDirectory):
		return []string{name}, nil
	case err != nil:
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if strings.HasSuffix(entry, suffix) {
			files = append(files, path.Join(name, entry))
		}
	}
	slices.Sort(files)
	return files, nil
}

// apart reads a file whose global parameters hold for it alone.
func (l *loader) apart(file string) error {
	section, global, defaults := l.section, l.global, l.defaults
	inner := *defaults
	l.defaults = &inner
	l.global = &Section{Where: Place{File: file}, values: inner}
	l.section = l.global
	err := l.file(file)
	l.section, l.global, l.defaults = section, global, defaults
	return err
}
