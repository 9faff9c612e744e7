package lockstep

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lockstep/internal/fs/tree"
)

// voice is how a message is said.
type voice uint8

const (
	said    voice = iota // what happens
	warning              // something is not as it should be
	failure              // something failed
	answer               // to a question: said even when quiet
)

// message is one thing to tell, as text and as an object of --json.
type message struct {
	voice  voice
	text   string
	hint   string // a command that helps, or ""
	object any
}

// plain makes text that may hold a peer's words safe to print as one line:
// control characters and bytes that are not UTF-8 are escaped.
func plain(s string) string {
	clean := true
	for _, r := range s {
		clean = clean && r != utf8.RuneError && unicode.IsPrint(r)
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		i += n
	}
	return strings.TrimSpace(b.String())
}

// causeOf is the innermost reason of err: failures with the same cause are
// alike, whatever path or address they happened at.
func causeOf(err error) string {
	for range 100 {
		next := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
			next = several.Unwrap()[0]
		}
		if next == nil {
			break
		}
		err = next
	}
	return plain(err.Error())
}

// span is a duration for people, with three digits that count.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
	case d < 2*time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return d.Round(time.Second).String()
}

// milliseconds is d for --json, to the microsecond.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// clock is a time of day for people.
func clock(t time.Time) string { return t.Format("15:04:05") }

// showPath is p for people: quoted where it has to be, the root as ".".
func showPath(p tree.Path) string { return p.String() }
