package inotify

import (
	"errors"
	"regexp"
	"strings"
)

// pattern is a compiled --exclude or --include.
type pattern struct{ re *regexp.Regexp }

// compile reads a POSIX extended expression with the additions of the GNU C
// library, byte by byte: a byte beyond ASCII is one character. References to
// groups are refused, since matching them takes exponential time.
func compile(text string, fold bool) (*pattern, error) {
	var b strings.Builder
	if fold {
		b.WriteString("(?i)")
	}
	b.WriteString("(?s)")
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 == len(text):
			return nil, errors.New("trailing backslash")
		case c == '\\':
			i++
			s, err := escape(text[i])
			if err != nil {
				return nil, err
			}
			b.WriteString(s)
		case c == '[':
			end := bracket(text, i)
			if end < 0 {
				return nil, errors.New("unmatched [")
			}
			b.WriteString(class(text[i:end]))
			i = end - 1
		case c == '{' && !interval(text[i:]):
			b.WriteString(`\{`)
		case c == '(' && strings.HasPrefix(text[i:], "(?"):
			b.WriteString(`(?:`) // a group that begins with nothing to repeat
			i++
		case strings.IndexByte("*+?", c) >= 0 && i > 0 && strings.IndexByte("*+?", text[i-1]) >= 0 && repeated(text, i-1):
			// A repetition of a repetition is the wider of the two; RE2 would
			// take it for a modifier.
		default:
			b.WriteString(latin(text[i : i+1]))
		}
	}
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, err
	}
	return &pattern{re}, nil
}

// repeated reports whether the byte at i is an operator and not escaped.
func repeated(text string, i int) bool {
	n := 0
	for i--; i >= 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 0
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

// interval reports whether s begins with a bound such as {2,3}.
func interval(s string) bool {
	return boundForm.MatchString(s)
}

var boundForm = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

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
