package inotify

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"sync"
)

// pattern is a compiled --exclude or --include.
type pattern struct{ re *regexp.Regexp }

// compile reads a POSIX extended expression with the additions of the GNU C
// library, byte by byte: a byte beyond ASCII is one character. References to
// groups are refused, since matching them takes exponential time.
func compile(text string, fold bool) (*pattern, error) {
	t := translation{text: text, atom: noAtom}
	for t.at < len(text) {
		if err := t.step(); err != nil {
			return nil, err
		}
	}
	flags := "(?s)"
	if fold {
		flags = "(?is)"
	}
	re, err := regexp.Compile(flags + string(t.out))
	if err != nil {
		return nil, err
	}
	return &pattern{re}, nil
}

// translation turns an expression into RE2's form.
type translation struct {
	text  string
	at    int // what is next in text
	out   []byte
	atom  int   // where in out that begins which a repetition repeats, or one of those below
	open  []int // where in out the groups begin that are not closed
	twice bool  // atom is repeated already
}

const (
	noAtom = -1 // the beginning of an expression or of a branch
	anchor = -2 // cannot be repeated
)

var errRepeat = errors.New("a repetition of nothing")

// step translates what is next.
func (t *translation) step() error {
	rest := t.text[t.at:]
	switch c := rest[0]; c {
	case '\\':
		if len(rest) == 1 {
			return errors.New("trailing backslash")
		}
		s, err := escape(rest[1])
		if err != nil {
			return err
		}
		t.put(s, 2)
		if strings.IndexByte("bB<>`'", rest[1]) >= 0 {
			t.atom = anchor
		}
	case '[':
		end := bracket(t.text, t.at)
		if end < 0 {
			return errors.New("unmatched [")
		}
		t.put(class(t.text[t.at:end]), end-t.at)
	case '(':
		t.open = append(t.open, len(t.out))
		t.put("(?:", 1)
		t.atom = noAtom
	case ')':
		n := len(t.open)
		if n == 0 { // an ordinary character
			t.put(`\)`, 1)
			break
		}
		start := t.open[n-1]
		t.put(")", 1)
		t.open, t.atom = t.open[:n-1], start
	case '|':
		t.put("|", 1)
		t.atom = noAtom
	case '^', '$':
		t.put(rest[:1], 1)
		t.atom = anchor
	case '*', '+', '?':
		return t.repeat(rest[:1], 1)
	case '{':
		bound := boundForm().FindStringSubmatch(rest)
		if bound == nil {
			return errors.New("a { that begins no repetition such as {2,3}")
		}
		return t.repeat("{"+cmp.Or(bound[1], "0")+bound[2]+bound[3]+"}", len(bound[0]))
	default:
		s := latin(rest[:1])
		if c == '}' || c == ']' {
			s = `\` + s
		}
		t.put(s, 1)
	}
	return nil
}

// put adds s for the next n bytes, something that can be repeated.
func (t *translation) put(s string, n int) {
	t.atom, t.twice = len(t.out), false
	t.out = append(t.out, s...)
	t.at += n
}

// repeat adds the repetition op for the next n bytes. RE2 takes an operator
// after another for something else, so what is repeated twice becomes a group.
func (t *translation) repeat(op string, n int) error {
	if t.atom < 0 {
		return errRepeat
	}
	if t.twice {
		inner := "(?:" + string(t.out[t.atom:]) + ")"
		t.out = append(t.out[:t.atom], inner...)
	}
	t.out = append(t.out, op...)
	t.at += n
	t.twice = true
	return nil
}

// escape is what a backslash makes of c.
func escape(c byte) (string, error) {
	switch c {
	case 'w', 'W', 's', 'S', 'b', 'B':
		return `\` + string(c), nil
	case '<', '>':
		return `\b`, nil
	case '`':
		return `\A`, nil
	case '\'':
		return `\z`, nil
	}
	if c >= '1' && c <= '9' {
		return "", errors.New("references to groups are not supported")
	}
	return regexp.QuoteMeta(latin(string(c))), nil
}

// bracket is the end of the bracket expression that begins at text[i], -1 if
// there is none.
func bracket(text string, i int) int {
	i++
	if i < len(text) && text[i] == '^' {
		i++
	}
	if i < len(text) && text[i] == ']' {
		i++
	}
	for ; i < len(text); i++ {
		if text[i] == ']' {
			return i + 1
		}
		if text[i] != '[' || i+1 == len(text) || strings.IndexByte(":.=", text[i+1]) < 0 {
			continue
		}
		end := strings.Index(text[i+2:], string(text[i+1])+"]")
		if end < 0 {
			return -1
		}
		i += 2 + end + 1
	}
	return -1
}

// class turns a bracket expression into RE2's form, where backslashes escape.
func class(s string) string {
	s = s[1 : len(s)-1]
	var b strings.Builder
	b.WriteByte('[')
	if strings.HasPrefix(s, "^") {
		b.WriteByte('^')
		s = s[1:]
	}
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "[:"):
			end := i + 2 + strings.Index(s[i+2:], ":]") + 2
			b.WriteString(s[i:end])
			i = end - 1
		case strings.HasPrefix(s[i:], "[.") || strings.HasPrefix(s[i:], "[="):
			end := i + 2 + strings.Index(s[i+2:], s[i+1:i+2]+"]")
			b.WriteString(regexp.QuoteMeta(latin(s[i+2 : end])))
			i = end + 1
		case s[i] == '\\' || s[i] == '[' || s[i] == ']':
			b.WriteString(`\` + s[i:i+1])
		default:
			b.WriteString(latin(s[i : i+1]))
		}
	}
	b.WriteByte(']')
	return b.String()
}

// boundForm is a bound such as {2}, {2,}, {,3} or {2,3}.
var boundForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\{(?:([0-9]+)(,[0-9]*)?|(,[0-9]*))\}`) })

// match reports whether the expression matches anywhere in path.
func (p *pattern) match(path string) bool { return p.re.MatchString(latin(path)) }

// latin makes a character of each byte.
func latin(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return s
	}
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}
