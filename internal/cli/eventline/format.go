package eventline

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxFormat is the longest format string, in bytes, as with inotifywait
// (inotify-tools 3); maxLogLine is where a line is cut: every name fits.
const (
	maxFormat  = 4096
	maxLogLine = 64 << 10
)

// Format is a compiled --format: inotifywait's conversions (inotify-tools
// 5), with one difference: names are escaped where they would break a line,
// unless the format has a %0, which says that a program reads it.
type Format struct {
	parts   []formatPart
	timefmt string
	raw     bool // names as they are
}

// formatPart is literal text or one conversion.
type formatPart struct {
	literal string
	conv    byte // 0 for a literal; 'w', 'f', 'e', 'T' or 'c'
	between string
}

// Event is what one line tells.
type Event struct {
	Watched string   // %w: the directory, with a final slash, or what is watched as it was named
	Name    string   // %f: the name in it, empty for the directory itself
	Names   []string // %e
	Cookie  uint32   // %c
	At      time.Time
}

// Compile reads a format string.
func Compile(format, timefmt string) (*Format, error) {
	switch {
	case format == "":
		return nil, errors.New("format: empty, every line would be")
	case len(format) > maxFormat:
		return nil, fmt.Errorf("format: %d bytes long, the most is %d", len(format), maxFormat)
	}
	f := &Format{timefmt: timefmt}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			f.literal(format[i : i+1])
			continue
		}
		i++
		switch c := format[i]; c {
		case 'w', 'f', 'T', 'c':
			f.parts = append(f.parts, formatPart{conv: c})
		case 'e':
			f.parts = append(f.parts, formatPart{conv: 'e', between: ","})
		case '0':
			f.raw = true
			f.literal("\x00")
		case 'n':
			f.literal("\n")
		case '%':
			f.literal("%")
		default:
			if i+1 < len(format) && format[i+1] == 'e' {
				f.parts = append(f.parts, formatPart{conv: 'e', between: string(c)})
				i++
				continue
			}
			f.literal(format[i-1 : i+1])
		}
	}
	return f, nil
}

func (f *Format) literal(s string) {
	if n := len(f.parts); n > 0 && f.parts[n-1].conv == 0 {
		f.parts[n-1].literal += s
		return
	}
	f.parts = append(f.parts, formatPart{literal: s})
}

// Append appends the line for ev to b. A newline ends it, unless the format
// ends its lines itself, with %0 or %n.
func (f *Format) Append(b []byte, ev Event) []byte {
	start := len(b)
	b = f.append(b, ev)
	if len(b)-start > maxLogLine {
		b = b[:start+maxLogLine]
	}
	if len(b) > start && (b[len(b)-1] == '\n' || b[len(b)-1] == 0) {
		return b
	}
	return append(b, '\n')
}

func (f *Format) append(b []byte, ev Event) []byte {
	for _, p := range f.parts {
		switch p.conv {
		case 0:
			b = append(b, p.literal...)
		case 'w':
			b = f.appendName(b, ev.Watched)
		case 'f':
			b = f.appendName(b, ev.Name)
		case 'e':
			b = append(b, strings.Join(ev.Names, p.between)...)
		case 'T':
			b = append(b, Strftime(f.timefmt, ev.At)...)
		case 'c':
			b = strconv.AppendUint(b, uint64(ev.Cookie), 16)
		}
	}
	return b
}

// appendName appends a name. As in rsync's messages, a byte that would break
// the line is written as \# and three octal digits.
func (f *Format) appendName(b []byte, name string) []byte {
	if f.raw {
		return append(b, name...)
	}
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		broken := r == utf8.RuneError && n == 1
		backslash := strings.HasPrefix(name[i:], `\#`)
		if broken || backslash || r < ' ' || r == 0x7f {
			b = fmt.Appendf(b, `\#%03o`, name[i])
		} else {
			b = append(b, name[i:i+n]...)
		}
		i += n
	}
	return b
}

// AppendPlain appends the line for ev as inotifywait has it: names as they are,
// no newline at the end, and nothing past maxFormat bytes.
func (f *Format) AppendPlain(b []byte, ev Event) []byte {
	plain, start := *f, len(b)
	plain.raw = true
	b = plain.append(b, ev)
	return b[:min(len(b), start+maxFormat)]
}
