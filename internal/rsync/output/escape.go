package output

// Charset says which bytes a line may show as they are.
type Charset uint8

// The character sets.
const (
	UTF8  Charset = iota // of a terminal whose locale is UTF-8
	ASCII                // of any other
	Bytes                // --8-bit-output: all but control bytes
)

// Escape appends a line as it is shown: control bytes but the tab, and what the
// character set does not have, as \#ooo; the backslash of a name that has such
// an escape itself is escaped likewise (5.1).
func Escape(b []byte, line string, set Charset) []byte {
	return escape(b, line, func(rest string) int { return set.shown(rest) })
}

// escapeLog appends a line as it stands in a log file, where the bytes of the
// second set of control characters are escaped too.
func escapeLog(b []byte, line string) []byte {
	return escape(b, line, func(rest string) int {
		if c := rest[0]; c < ' ' && c != '\t' || c >= 0x80 && c < 0xa0 {
			return 0
		}
		return 1
	})
}

// escape appends a line; shown says how many bytes at the beginning of a text
// stay as they are.
func escape(b []byte, line string, shown func(rest string) int) []byte {
	for i := 0; i < len(line); {
		n := shown(line[i:])
		if line[i] == '\\' && looksEscaped(line[i:]) {
			n = 0
		}
		if n == 0 {
			c := line[i]
			b = append(b, '\\', '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
			i++
			continue
		}
		b = append(b, line[i:i+n]...)
		i += n
	}
	return b
}

// looksEscaped finds a backslash, a hash and three digits.
func looksEscaped(s string) bool {
	return len(s) >= 5 && s[1] == '#' && digit(s[2]) && digit(s[3]) && digit(s[4])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// shown is how many bytes the text's first character has, 0 if it is not shown.
func (set Charset) shown(s string) int {
	c := s[0]
	switch {
	case c < ' ' && c != '\t':
		return 0
	case c < 0x80 || set == Bytes:
		return 1
	case set == ASCII:
		return 0
	}
	return sequence(s)
}

// sequence is the length of the multi-byte character that a text begins with, 0
// if there is none. As in rsync up to six bytes make one, as UTF-8 was before it
// was restricted; overlong forms and surrogates do not.
func sequence(s string) int {
	size, least := 0, uint32(0)
	switch c := s[0]; {
	case c < 0xc0:
		return 0
	case c < 0xe0:
		size, least = 2, 0x80
	case c < 0xf0:
		size, least = 3, 0x800
	case c < 0xf8:
		size, least = 4, 0x10000
	case c < 0xfc:
		size, least = 5, 0x200000
	case c < 0xfe:
		size, least = 6, 0x4000000
	default:
		return 0
	}
	if len(s) < size {
		return 0
	}
	r := uint32(s[0]) & (1<<(7-size) - 1)
	for i := 1; i < size; i++ {
		if s[i]&0xc0 != 0x80 {
			return 0
		}
		r = r<<6 | uint32(s[i]&0x3f)
	}
	if r < least || r >= 0xd800 && r < 0xe000 {
		return 0
	}
	return size
}
