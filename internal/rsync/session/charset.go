package session

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"

	"golang.org/x/text/encoding"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
)

// charset turns names of this side into those on the wire, which are UTF-8, and
// back (--iconv). A nil charset leaves them.
type charset struct {
	decode [256]rune // utf8.RuneError for bytes without a meaning
	encode map[rune]byte
	wide   bool              // UTF-8 itself: only what is none is refused
	multi  encoding.Encoding // in place of decode and encode; nil usually
}

// errCharset says that a name has characters that the other charset lacks.
var errCharset = errors.New(output.Sentence(syscall.EILSEQ))

// charsetAliases are further names, in their plain form.
var charsetAliases = map[string]string{
	"ascii": "ascii", "usascii": "ascii", "ansix341968": "ascii", "646": "ascii", "c": "ascii", "posix": "ascii",
	"latin1": "iso88591", "l1": "iso88591", "latin2": "iso88592", "l2": "iso88592", "latin3": "iso88593", "latin4": "iso88594",
	"cyrillic": "iso88595", "arabic": "iso88596", "greek": "iso88597", "hebrew": "iso88598", "latin5": "iso88599", "l5": "iso88599",
	"latin6": "iso885910", "latin7": "iso885913", "latin8": "iso885914", "latin9": "iso885915", "latin0": "iso885915",
	"latin10": "iso885916", "mac": "macintosh", "macroman": "macintosh", "tis620": "cp874",
}

// plainCharset is a name without what does not tell charsets apart.
func plainCharset(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), "//") // as in //TRANSLIT
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
	for _, prefix := range []string{"windows", "ibm", "cs"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			name = map[string]string{"windows": "cp", "ibm": "cp", "cs": ""}[prefix] + rest
		}
	}
	if other, ok := charsetAliases[name]; ok {
		return other
	}
	return name
}

var charsets sync.Map // of *charset by plain name

// findCharset makes the charset of that name.
func findCharset(name string) (*charset, bool) {
	plain := plainCharset(name)
	if known, ok := charsets.Load(plain); ok {
		return known.(*charset), true
	}
	c := &charset{encode: map[rune]byte{}}
	upper := upperHalves[plain]
	c.multi = multiByte[plain]
	switch {
	case plain == "utf8":
		c.wide = true
	case c.multi != nil:
	case plain != "ascii" && upper == "":
		return nil, false
	}
	for i := range c.decode {
		c.decode[i] = utf8.RuneError
		if i < 0x80 {
			c.decode[i] = rune(i)
		}
	}
	at := 0x80
	for _, r := range upper {
		c.decode[at] = r
		at++
	}
	for b, r := range c.decode {
		if r != utf8.RuneError {
			c.encode[r] = byte(b)
		}
	}
	charsets.Store(plain, c)
	return c, true
}

// iconvOf is the charset of this side, nil without --iconv.
func iconvOf(opt *option.Set, server bool, env func(string) string) (*charset, error) {
	if opt.Iconv == "" || opt.Iconv == "-" {
		return nil, nil
	}
	local, remote, two := strings.Cut(opt.Iconv, ",")
	if server && two {
		local = remote
	}
	if local == "" || local == "." {
		local = localeCharset(env)
	}
	c, ok := findCharset(local)
	if !ok {
		return nil, unsupported("iconv_open(\"UTF-8\", \"%s\") failed", local)
	}
	return c, nil
}

// localeCharset is what the environment says about the charset of names.
func localeCharset(env func(string) string) string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		value := env(name)
		if value == "" {
			continue
		}
		if _, set, ok := strings.Cut(value, "."); ok {
			set, _, _ = strings.Cut(set, "@")
			return set
		}
		return "ascii"
	}
	return "ascii"
}

// KnownCharset reports whether names can be converted from a charset.
func KnownCharset(name string) bool {
	_, ok := findCharset(name)
	return ok
}

// LocalText is a text of a client that uses --iconv in a charset of this side, as
// well as it can be had there.
func LocalText(charset, text string) string {
	c, ok := findCharset(charset)
	if !ok {
		return text
	}
	return c.textFromWire(text)
}

// toWire converts a name of this side.
func (c *charset) toWire(name []byte) ([]byte, error) {
	if c == nil || isASCII(name) {
		return name, nil
	}
	if c.wide {
		if !utf8.Valid(name) {
			return nil, errCharset
		}
		return name, nil
	}
	if c.multi != nil {
		return decodeMulti(c.multi, name)
	}
	out := make([]byte, 0, 2*len(name))
	for _, b := range name {
		r := c.decode[b]
		if r == utf8.RuneError {
			return nil, errCharset
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

// fromWire converts a name from the other side.
func (c *charset) fromWire(name []byte) ([]byte, error) {
	if c == nil || isASCII(name) {
		return name, nil
	}
	if !utf8.Valid(name) {
		return nil, errCharset
	}
	if c.wide {
		return name, nil
	}
	if c.multi != nil {
		return encodeMulti(c.multi, name)
	}
	out := make([]byte, 0, len(name))
	for _, r := range string(name) {
		b, ok := c.encode[r]
		if !ok {
			return nil, errCharset
		}
		out = append(out, b)
	}
	return out, nil
}

// textFromWire is a text from the other side, as well as it can be shown here.
func (c *charset) textFromWire(text string) string {
	if out, err := c.fromWire([]byte(text)); err == nil {
		return string(out)
	}
	return text
}

func (c *charset) textToWire(text string) string {
	if out, err := c.toWire([]byte(text)); err == nil {
		return string(out)
	}
	return text
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
