package output

import (
	"strconv"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// Format is an --out-format or --log-file-format, or a daemon's log format,
// taken apart (5.3). It is never changed.
type Format struct {
	parts []part
	has   [256]bool
}

// part is literal text, or an escape.
type part struct {
	literal string // the escape as written, if the part is one
	escape  byte   // 0 is a literal
	left    bool   // justified
	width   int
	quotes  int // apostrophes: how numbers are written
}

// maxWidth bounds the width of an escape; a wider one is cut as in rsync.
const maxWidth = 4095

// known are the letters of the escapes.
const known = "abBcCfGhilLmMnopPtuU%"

// ParseFormat takes a format apart. What is no escape stays literally.
func ParseFormat(text string) *Format {
	f := &Format{}
	for text != "" {
		at := strings.IndexByte(text, '%')
		if at < 0 {
			break
		}
		if at > 0 {
			f.parts = append(f.parts, part{literal: text[:at]})
		}
		text = text[at:]
		p, size := parseEscape(text)
		f.parts = append(f.parts, p)
		f.has[p.escape] = true
		text = text[size:]
	}
	if text != "" {
		f.parts = append(f.parts, part{literal: text})
	}
	return f
}

// parseEscape reads %['…][-][width]['…]LETTER. Without a letter that is known,
// the percent sign alone is a literal.
func parseEscape(text string) (part, int) {
	p := part{escape: 0, literal: "%"}
	rest := strings.TrimLeft(text[1:], "'")
	p.quotes = len(text) - 1 - len(rest)
	if strings.HasPrefix(rest, "-") {
		p.left, rest = true, rest[1:]
	}
	digits := rest
	rest = strings.TrimLeft(rest, "0123456789")
	width, err := strconv.Atoi(digits[:len(digits)-len(rest)])
	if p.width = min(width, maxWidth); err != nil && len(digits) > len(rest) {
		p.width = maxWidth
	}
	after := strings.TrimLeft(rest, "'")
	p.quotes += len(rest) - len(after)
	if after == "" || strings.IndexByte(known, after[0]) < 0 {
		return part{literal: "%"}, 1
	}
	size := len(text) - len(after) + 1
	p.literal, p.escape = text[:size], after[0]
	return p, size
}

// Empty tells if nothing is to be shown.
func (f *Format) Empty() bool { return len(f.parts) == 0 }

// Has tells if a format has an escape.
func (f *Format) Has(escape byte) bool { return f.has[escape] }

// Late tells if a format needs what is known after a transfer only.
func (f *Format) Late() bool { return f.has['b'] || f.has['c'] || f.has['C'] }

// Scene is what a format shows besides the event.
type Scene struct {
	Times  bool // modification times are kept
	Local  bool // both ends are here
	Now    time.Time
	Pid    int
	Daemon *DaemonScene // nil is a client
}

// DaemonScene is what only a daemon knows.
type DaemonScene struct {
	Address, Host, User, Module, Path string
}

// defaultDigits is the length of a digest, in hexadecimal digits, where the
// event does not tell.
const defaultDigits = 32

// Expand appends a line for an event, without a line end. Names are as they are.
// An item that was removed is told in words if the format cannot tell that it
// was.
func (f *Format) Expand(b []byte, e *Event, s *Scene) []byte {
	if e.Flags&wire.ItemDeleted != 0 && !f.Has('i') && !f.Has('o') {
		return append(append(b, "deleting "...), e.name()...)
	}
	for i := range f.parts {
		p := &f.parts[i]
		if p.escape == 0 {
			b = append(b, p.literal...)
			continue
		}
		if p.escape == 'L' {
			b = p.link(b, e)
			continue
		}
		if value, ok := p.value(e, s); ok {
			b = p.pad(b, value, p.width)
		} else {
			b = append(b, p.literal...)
		}
	}
	return b
}

// pad appends a value in its width.
func (p *part) pad(b []byte, value string, width int) []byte {
	blanks := max(width-len(value), 0)
	if p.left {
		return append(append(b, value...), strings.Repeat(" ", blanks)...)
	}
	return append(append(b, strings.Repeat(" ", blanks)...), value...)
}

// link appends what a name stands for; without it there is room for the arrow as
// well.
func (p *part) link(b []byte, e *Event) []byte {
	switch {
	case e.HasXname && e.Leader != "":
		return p.pad(append(b, " => "...), e.Leader, p.width)
	case e.Meta.Kind == tree.Symlink && e.Target != "":
		return p.pad(append(b, " -> "...), e.Target, p.width)
	case p.width > 0:
		return p.pad(b, "", p.width+len(" -> "))
	}
	return b
}

// value is what an escape stands for; ok is false if there is no such thing.
func (p *part) value(e *Event, s *Scene) (text string, ok bool) {
	switch p.escape {
	case 'i':
		return Itemize(e, s.Times, s.Local), true
	case 'n':
		return e.name(), true
	case 'f':
		return e.longName(), true
	case 'l':
		return Human(e.Meta.Size, min(p.quotes, binaryNumbers)), true
	case 'b':
		return Human(e.Bytes, min(p.quotes, binaryNumbers)), true
	case 'c':
		return Human(e.SumBytes, min(p.quotes, binaryNumbers)), true
	case 'C':
		return e.digest(), true
	case 'o':
		return e.operation(), true
	case 'B':
		return modeText(e.Meta.Mode())[1:], true
	case 'M':
		return unixTime(e.Meta.Mtime, s.Now.Location()).Format("2006/01/02-15:04:05"), true
	case 't':
		return s.Now.Format(logTime), true
	case 'U':
		return strconv.FormatUint(uint64(e.Meta.UID), 10), true
	case 'G':
		if e.NoGroup {
			return "DEFAULT", true
		}
		return strconv.FormatUint(uint64(e.Meta.GID), 10), true
	case 'p':
		return strconv.Itoa(s.Pid), true
	case '%':
		return "%", true
	}
	return s.place(p.escape)
}

// place is what tells where a daemon's transfer is.
func (s *Scene) place(escape byte) (text string, ok bool) {
	if s.Daemon == nil {
		return "", escape == 'm'
	}
	switch escape {
	case 'a':
		return s.Daemon.Address, true
	case 'h':
		return s.Daemon.Host, true
	case 'u':
		return s.Daemon.User, true
	case 'm':
		return s.Daemon.Module, true
	}
	return s.Daemon.Path, true
}

// name is the name as lists have it.
func (e *Event) name() string {
	switch {
	case e.Path.IsRoot():
		return "./"
	case e.Meta.IsDir():
		return string(e.Path) + "/"
	}
	return string(e.Path)
}

// longName has the sender's directory in front.
func (e *Event) longName() string {
	name := string(e.Path)
	if name == "" {
		name = "."
	}
	if e.Dir != "" {
		name = strings.TrimRight(e.Dir, "/") + "/" + name
	}
	return strings.TrimLeft(name, "/")
}

func (e *Event) digest() string {
	if e.Digest != "" {
		return e.Digest
	}
	digits := e.Digits
	if digits == 0 {
		digits = defaultDigits
	}
	return strings.Repeat(" ", digits)
}

func (e *Event) operation() string {
	switch {
	case e.Flags&wire.ItemDeleted != 0:
		return "del."
	case e.Sending:
		return "send"
	}
	return "recv"
}

// unixTime is a time of a file in a zone.
func unixTime(t tree.Time, zone *time.Location) time.Time {
	return time.Unix(t.Sec, int64(t.Nsec)).In(zone)
}
