package filter

import "strings"

// parseSet reads the "[...]" at the start of p. n is its length in bytes; ok
// is false if it is not terminated or names an unknown class.
func parseSet(p string) (set byteSet, n int, ok bool) {
	i := 1
	negated := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negated {
		i++
	}
	prev := -1 // what a '-' would start a range from
	for first := true; ; first = false {
		if i >= len(p) {
			return set, 0, false
		}
		c := p[i]
		switch {
		case c == ']' && !first:
			return finishSet(set, negated), i + 1, true
		case c == '-' && prev >= 0 && i+1 < len(p) && p[i+1] != ']':
			end, width, ok := setByte(p[i+1:])
			if !ok {
				return set, 0, false
			}
			for b := prev; b <= int(end); b++ {
				set.add(byte(b))
			}
			i, prev = i+1+width, -1
		case c == '[' && i+1 < len(p) && p[i+1] == ':':
			name, found, ok := className(p[i+2:])
			if !ok {
				return set, 0, false
			}
			if !found {
				set.add('[')
				i, prev = i+1, '['
				break
			}
			class, known := classes[name]
			if !known {
				return set, 0, false
			}
			for b := range 256 {
				if class(byte(b)) {
					set.add(byte(b))
				}
			}
			i, prev = i+2+len(name)+2, -1
		default:
			b, width, ok := setByte(p[i:])
			if !ok {
				return set, 0, false
			}
			set.add(b)
			i, prev = i+width, int(b)
		}
	}
}

// finishSet applies the negation; no set matches a '/'.
func finishSet(set byteSet, negated bool) byteSet {
	if negated {
		for i := range set {
			set[i] = ^set[i]
		}
	}
	set['/'>>6] &^= 1 << ('/' & 63)
	return set
}

// setByte reads one byte of a set, which a backslash may quote.
func setByte(p string) (b byte, width int, ok bool) {
	if p == "" || p == `\` {
		return 0, 0, false
	}
	if p[0] == '\\' {
		return p[1], 2, true
	}
	return p[0], 1, true
}

// className reads "name:]" after "[:". found is false if the next ']' is not
// preceded by a ':', and then the "[:" are ordinary bytes; ok is false if
// there is no ']' at all.
func className(p string) (name string, found, ok bool) {
	end := strings.IndexByte(p, ']')
	if end < 0 {
		return "", false, false
	}
	if end == 0 || p[end-1] != ':' {
		return "", false, true
	}
	return p[:end-1], true, true
}

func between(c, lo, hi byte) bool { return lo <= c && c <= hi }

func isLower(c byte) bool { return between(c, 'a', 'z') }
func isUpper(c byte) bool { return between(c, 'A', 'Z') }
func isAlpha(c byte) bool { return isLower(c) || isUpper(c) }
func isDigit(c byte) bool { return between(c, '0', '9') }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
func isGraph(c byte) bool { return between(c, '!', '~') }
func isSpace(c byte) bool { return c == ' ' || between(c, '\t', '\r') }

// classes are those of the POSIX locale: no byte above 127 is in any.
var classes = map[string]func(byte) bool{
	"alnum":  isAlnum,
	"alpha":  isAlpha,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 127 },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  isLower,
	"print":  func(c byte) bool { return between(c, ' ', '~') },
	"punct":  func(c byte) bool { return isGraph(c) && !isAlnum(c) },
	"space":  isSpace,
	"upper":  isUpper,
	"xdigit": func(c byte) bool { return isDigit(c) || between(c, 'a', 'f') || between(c, 'A', 'F') },
}
