package importer

import (
	"fmt"
	"strconv"
	"strings"
)

// The subset of Lua that is read: literal tables, assignments, and the loop
// over a list of lsyncd's manual.

// token is one word of Lua.
type token struct {
	kind byte // 'n' name, 's' string, '0' number, 'p' punctuation, 'e' the end
	text string
	line int
}

// field is one field of a table.
type field struct {
	key   string // "" if it is positional
	value any
	line  int
}

// table is a Lua table, in the order of the file.
type table struct {
	fields []field
	line   int
}

// layer is default.rsync and its like.
type layer string

// get is the last value of key.
func (t *table) get(key string) (any, bool) {
	for i := len(t.fields) - 1; i >= 0; i-- {
		if t.fields[i].key == key {
			return t.fields[i].value, true
		}
	}
	return nil, false
}

// luaError is what cannot be read.
func luaError(line int, what string) error {
	return fmt.Errorf("line %d: %s cannot be imported; write it out as plain values", line, what)
}

// lex splits Lua into tokens.
func lex(src string) ([]token, error) {
	var all []token
	line := 1
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(src[i:], "--"):
			n := comment(src[i:])
			line += strings.Count(src[i:i+n], "\n")
			i += n
		case c == '"' || c == '\'':
			text, n, err := shortString(src[i:], line)
			if err != nil {
				return nil, err
			}
			all = append(all, token{'s', text, line})
			line += strings.Count(src[i:i+n], "\n")
			i += n
		case strings.HasPrefix(src[i:], "[[") || strings.HasPrefix(src[i:], "[="):
			text, n, ok := longString(src[i:])
			if !ok {
				return nil, fmt.Errorf("line %d: a string does not end", line)
			}
			all = append(all, token{'s', text, line})
			line += strings.Count(src[i:i+n], "\n")
			i += n
		case c >= '0' && c <= '9':
			n := i
			for n < len(src) && (isWord(src[n]) || src[n] == '.' && !strings.HasPrefix(src[n:], "..")) {
				n++
			}
			all = append(all, token{'0', src[i:n], line})
			i = n
		case isWord(c):
			n := i
			for n < len(src) && isWord(src[n]) {
				n++
			}
			all = append(all, token{'n', src[i:n], line})
			i = n
		case strings.HasPrefix(src[i:], ".."):
			all = append(all, token{'p', "..", line})
			i += 2
		default:
			all = append(all, token{'p', string(c), line})
			i++
		}
	}
	return append(all, token{'e', "the end of the file", line}), nil
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// comment is the length of the comment at the beginning of s.
func comment(s string) int {
	if _, n, ok := longString(s[2:]); ok {
		return n + 2
	}
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// longString reads [[…]] or [=[…]=].
func longString(s string) (text string, n int, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return "", 0, false
	}
	level := len(s[1:]) - len(strings.TrimLeft(s[1:], "="))
	if !strings.HasPrefix(s[1+level:], "[") {
		return "", 0, false
	}
	begin := 2 + level
	end := strings.Index(s[begin:], "]"+strings.Repeat("=", level)+"]")
	if end < 0 {
		return "", 0, false
	}
	return strings.TrimPrefix(s[begin:begin+end], "\n"), begin + end + 2 + level, true
}

// luaEscapes are those of one letter.
var luaEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': 7, 'b': 8, 'f': 12, 'v': 11, '\\': '\\', '"': '"', '\'': '\'', '\n': '\n'}

// shortString reads a string in quotes.
func shortString(s string, line int) (text string, n int, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == s[0]:
			return b.String(), i + 1, nil
		case c == '\n':
			return "", 0, fmt.Errorf("line %d: a string does not end", line)
		case c == '\\' && i+1 < len(s):
			i++
			if e, ok := luaEscapes[s[i]]; ok {
				b.WriteByte(e)
				continue
			}
			digits := 0
			for digits < 3 && i+digits < len(s) && s[i+digits] >= '0' && s[i+digits] <= '9' {
				digits++
			}
			v, err := strconv.ParseUint(s[i:i+digits], 10, 8)
			if err != nil {
				return "", 0, fmt.Errorf("line %d: an unknown escape in a string", line)
			}
			b.WriteByte(byte(v))
			i += digits - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("line %d: a string does not end", line)
}

// call is settings{…} or sync{…}.
type call struct {
	name string
	arg  *table
	line int
	old  bool // settings = {…}, as before 2.1
}

// reader parses tokens.
type reader struct {
	tokens []token
	at     int
	depth  int
	steps  int
	vars   map[string]any
	calls  []call
}

// What loops unroll to is bounded: calls, and statements of all kinds.
const (
	maxCalls = 1000
	maxSteps = 100_000
)

// parseLua reads a whole file.
func parseLua(src string) ([]call, error) {
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &reader{tokens: tokens, vars: map[string]any{}}
	for p.peek().kind != 'e' {
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
	return p.calls, nil
}

func (p *reader) peek() token { return p.tokens[p.at] }

func (p *reader) next() token {
	t := p.tokens[p.at]
	if t.kind != 'e' {
		p.at++
	}
	return t
}

// accept takes the next token if it is this one, which is no string.
func (p *reader) accept(text string) bool {
	if t := p.peek(); t.text == text && (t.kind == 'p' || t.kind == 'n') {
		p.at++
		return true
	}
	return false
}

func (p *reader) expect(text string) error {
	if p.accept(text) {
		return nil
	}
	return luaError(p.peek().line, fmt.Sprintf("%s, where %s is expected,", quoted(p.peek().text), text))
}

// statement reads a call, an assignment or a loop.
func (p *reader) statement() error {
	if p.accept(";") {
		return nil
	}
	if p.steps++; p.steps > maxSteps {
		return fmt.Errorf("line %d: more than %d statements", p.peek().line, maxSteps)
	}
	local := p.accept("local")
	t := p.next()
	switch {
	case t.kind != 'n':
		return luaError(t.line, quoted(t.text))
	case t.text == "for" && !local:
		return p.loop(t.line)
	case (t.text == "settings" || t.text == "sync") && !local:
		return p.call(t)
	}
	switch t.text {
	case "function", "if", "while", "repeat", "return", "do", "goto", "break":
		return luaError(t.line, t.text)
	}
	if !p.accept("=") {
		return luaError(t.line, quoted(t.text))
	}
	v, err := p.expression()
	p.vars[t.text] = v
	return err
}

// call reads what follows settings or sync.
func (p *reader) call(t token) error {
	old := t.text == "settings" && p.accept("=")
	paren := !old && p.accept("(")
	v, err := p.expression()
	if err != nil {
		return err
	}
	arg, ok := v.(*table)
	if !ok {
		return luaError(t.line, t.text+" without a table")
	}
	if paren {
		if err := p.expect(")"); err != nil {
			return err
		}
	}
	if len(p.calls) >= maxCalls {
		return fmt.Errorf("line %d: more than %d syncs", t.line, maxCalls)
	}
	p.calls = append(p.calls, call{t.text, arg, t.line, old})
	return nil
}

// loop unrolls for _, v in ipairs(list) do … end.
func (p *reader) loop(line int) error {
	index := p.next()
	if err := p.expect(","); err != nil {
		return err
	}
	name := p.next()
	for _, word := range []string{"in", "ipairs", "("} {
		if !p.accept(word) {
			return luaError(line, "a loop that does not go over a list by ipairs")
		}
	}
	v, err := p.expression()
	if err != nil {
		return err
	}
	list, ok := v.(*table)
	if !ok || index.kind != 'n' || name.kind != 'n' {
		return luaError(line, "a loop over something that is no list")
	}
	for _, word := range []string{")", "do"} {
		if err := p.expect(word); err != nil {
			return err
		}
	}
	if p.depth++; p.depth > 4 {
		return luaError(line, "so deep a loop")
	}
	defer func() { p.depth-- }()
	body := p.at
	for i, f := range list.fields {
		p.at = body
		p.vars[index.text], p.vars[name.text] = float64(i+1), f.value
		if err := p.body(); err != nil {
			return err
		}
	}
	if len(list.fields) == 0 {
		return luaError(line, "a loop over an empty list")
	}
	return nil
}

// body reads statements up to end.
func (p *reader) body() error {
	for !p.accept("end") {
		if t := p.peek(); t.kind == 'e' {
			return luaError(t.line, "a loop without end")
		}
		if err := p.statement(); err != nil {
			return err
		}
	}
	return nil
}

// maxString bounds what ".." makes, in bytes.
const maxString = 64 << 10

// expression reads values joined by ".." or multiplied or added.
func (p *reader) expression() (any, error) {
	v, err := p.primary()
	for err == nil {
		op := p.peek()
		if op.kind != 'p' || op.text != ".." && op.text != "*" && op.text != "+" {
			return v, nil
		}
		p.next()
		var w any
		if w, err = p.primary(); err != nil {
			break
		}
		a, aNumber := v.(float64)
		b, bNumber := w.(float64)
		switch {
		case op.text == ".." && len(text(v))+len(text(w)) > maxString:
			err = luaError(op.line, "so long a string")
		case op.text == ".." && text(v) != "" && text(w) != "":
			v = text(v) + text(w)
		case aNumber && bNumber && op.text == "*":
			v = a * b
		case aNumber && bNumber && op.text == "+":
			v = a + b
		default:
			err = luaError(op.line, op.text+" of such values")
		}
	}
	return nil, err
}

// text is a string or a number as Lua writes it, "" for anything else.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', 14, 64)
	}
	return ""
}

// primary reads one value.
func (p *reader) primary() (any, error) {
	t := p.next()
	switch {
	case t.kind == 's':
		return t.text, nil
	case t.kind == '0':
		v, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, luaError(t.line, "the number "+quoted(t.text))
		}
		return v, nil
	case t.kind == 'p' && t.text == "-" && p.peek().kind == '0':
		v, err := p.primary()
		if n, ok := v.(float64); ok {
			v = -n
		}
		return v, err
	case t.kind == 'p' && t.text == "{":
		return p.table(t.line)
	case t.kind != 'n':
		return nil, luaError(t.line, quoted(t.text))
	}
	switch t.text {
	case "true", "false":
		return t.text == "true", nil
	case "nil":
		return nil, nil
	case "default":
		if err := p.expect("."); err != nil {
			return nil, err
		}
		return layer(p.next().text), nil
	}
	return p.variable(t)
}

// variable reads a name and the fields behind it.
func (p *reader) variable(t token) (any, error) {
	v, known := p.vars[t.text]
	if !known {
		return nil, luaError(t.line, quoted(t.text))
	}
	for p.accept(".") {
		key := p.next()
		of, ok := v.(*table)
		if !ok {
			return nil, luaError(key.line, quoted(key.text))
		}
		if v, ok = of.get(key.text); !ok {
			return nil, luaError(key.line, quoted(key.text))
		}
	}
	if next := p.peek(); next.kind == 'p' && (next.text == "(" || next.text == "[" || next.text == ":") || next.kind == 's' {
		return nil, luaError(t.line, "the call or index of "+quoted(t.text))
	}
	return v, nil
}

// table reads the fields of a table up to its brace.
func (p *reader) table(line int) (any, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, luaError(line, "so deep a table")
	}
	defer func() { p.depth-- }()
	t := &table{line: line}
	for !p.accept("}") {
		f := field{line: p.peek().line}
		after := p.tokens[min(p.at+1, len(p.tokens)-1)]
		switch first := p.peek(); {
		case first.kind == 'p' && first.text == "[":
			p.next()
			key, err := p.expression()
			if err != nil {
				return nil, err
			}
			f.key = text(key)
			for _, w := range []string{"]", "="} {
				if err := p.expect(w); err != nil {
					return nil, err
				}
			}
		case first.kind == 'n' && after.kind == 'p' && after.text == "=":
			p.next()
			p.next()
			f.key = first.text
		}
		var err error
		if f.value, err = p.expression(); err != nil {
			return nil, err
		}
		t.fields = append(t.fields, f)
		if !p.accept(",") && !p.accept(";") {
			return t, p.expect("}")
		}
	}
	return t, nil
}
