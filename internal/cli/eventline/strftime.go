package eventline

import (
	"strconv"
	"strings"
	"time"
)

// Strftime formats t as Strftime(3) does in the C locale, glibc's flags
// (`_-0^#`), field widths and the E and O modifiers included. What it doesn't
// know is copied as it stands, as glibc does.
func Strftime(format string, t time.Time) string {
	out := make([]byte, 0, 2*len(format)+16)
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out = append(out, format[i])
			continue
		}
		spec, n := parseTimeSpec(format[i:])
		text, ok := spec.expand(t)
		if !ok {
			text = format[i : i+n]
		}
		out = append(out, text...)
		i += n - 1
	}
	return string(out)
}

// maxTimeWidth bounds a field width: nobody reads more, and a width is memory.
const maxTimeWidth = 1024

// timeSpec is one conversion: %[flags][width][E|O]conv.
type timeSpec struct {
	pad   byte // '_', '-', '0', or 0 for the conversion's own
	upper bool // ^
	swap  bool // #
	width int  // -1: the conversion's own
	conv  byte // 0: not a conversion
}

// modifiedTimes says which conversions take the modifiers E and O; in the C
// locale neither changes anything.
var modifiedTimes = map[byte]string{'E': "cCxXyY", 'O': "bBhdeHImMSuUVwWy"}

// parseTimeSpec reads the conversion at the start of s, which begins with '%',
// and says how many bytes it takes.
func parseTimeSpec(s string) (spec timeSpec, n int) {
	spec.width = -1
	i := 1
flags:
	for ; i < len(s); i++ {
		switch s[i] {
		case '_', '-', '0':
			spec.pad = s[i]
		case '^':
			spec.upper = true
		case '#':
			spec.swap = true
		default:
			break flags
		}
	}
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		spec.width = min(max(spec.width, 0)*10+int(s[i]-'0'), maxTimeWidth)
	}
	known := ""
	if i < len(s) && (s[i] == 'E' || s[i] == 'O') {
		known = modifiedTimes[s[i]]
		i++
	}
	if i == len(s) {
		return spec, i
	}
	if known == "" || strings.IndexByte(known, s[i]) >= 0 {
		spec.conv = s[i]
	}
	return spec, i + 1
}

// composedTimes are the conversions that stand for others.
var composedTimes = map[byte]string{
	'c': "%a %b %e %H:%M:%S %Y",
	'D': "%m/%d/%y",
	'F': "%Y-%m-%d",
	'r': "%I:%M:%S %p",
	'R': "%H:%M",
	'T': "%H:%M:%S",
	'x': "%m/%d/%y",
	'X': "%H:%M:%S",
}

func (s timeSpec) expand(t time.Time) (string, bool) {
	if format, ok := composedTimes[s.conv]; ok {
		return s.text(Strftime(format, t)), true
	}
	if text, ok := s.names(t); ok {
		return text, true
	}
	return s.numbers(t)
}

// names expands the conversions that give text.
func (s timeSpec) names(t time.Time) (string, bool) {
	switch s.conv {
	case 'a':
		return s.name(t.Weekday().String()[:3]), true
	case 'A':
		return s.name(t.Weekday().String()), true
	case 'b', 'h':
		return s.name(t.Month().String()[:3]), true
	case 'B':
		return s.name(t.Month().String()), true
	case 'p':
		if s.swap {
			s.upper = false
			return s.text(t.Format("pm")), true
		}
		return s.text(t.Format("PM")), true
	case 'P':
		s.upper = false
		return s.text(t.Format("pm")), true
	case 'Z':
		zone, _ := t.Zone()
		if s.swap {
			zone = strings.ToLower(zone)
		}
		return s.text(zone), true
	case 'z':
		return s.zone(t), true
	case 'n':
		return s.text("\n"), true
	case 't':
		return s.text("\t"), true
	case '%':
		return s.text("%"), true
	}
	return "", false
}

// numbers expands the conversions that give a number.
func (s timeSpec) numbers(t time.Time) (string, bool) {
	isoYear, isoWeek := t.ISOWeek()
	day, weekday := t.YearDay()-1, int(t.Weekday())
	switch s.conv {
	case 'C':
		return s.number(floorDiv(t.Year(), 100), 2, '0'), true
	case 'd':
		return s.number(t.Day(), 2, '0'), true
	case 'e':
		return s.number(t.Day(), 2, '_'), true
	case 'g':
		return s.number(isoYear-100*floorDiv(isoYear, 100), 2, '0'), true
	case 'G':
		return s.number(isoYear, 4, '0'), true
	case 'H':
		return s.number(t.Hour(), 2, '0'), true
	case 'I':
		return s.number((t.Hour()+11)%12+1, 2, '0'), true
	case 'j':
		return s.number(day+1, 3, '0'), true
	case 'k':
		return s.number(t.Hour(), 2, '_'), true
	case 'l':
		return s.number((t.Hour()+11)%12+1, 2, '_'), true
	case 'm':
		return s.number(int(t.Month()), 2, '0'), true
	case 'M':
		return s.number(t.Minute(), 2, '0'), true
	case 's':
		return s.number(int(t.Unix()), 1, '0'), true
	case 'S':
		return s.number(t.Second(), 2, '0'), true
	case 'u':
		return s.number((weekday+6)%7+1, 1, '0'), true
	case 'U':
		return s.number((day+7-weekday)/7, 2, '0'), true
	case 'V':
		return s.number(isoWeek, 2, '0'), true
	case 'w':
		return s.number(weekday, 1, '0'), true
	case 'W':
		return s.number((day+7-(weekday+6)%7)/7, 2, '0'), true
	case 'y':
		return s.number(t.Year()-100*floorDiv(t.Year(), 100), 2, '0'), true
	case 'Y':
		return s.number(t.Year(), 4, '0'), true
	}
	return "", false
}

// name is text whose case both ^ and # raise.
func (s timeSpec) name(text string) string {
	s.upper = s.upper || s.swap
	return s.text(text)
}

func (s timeSpec) text(text string) string {
	if s.upper {
		text = strings.ToUpper(text)
	}
	fill := " "
	if s.pad == '0' {
		fill = "0"
	}
	if len(text) < s.width {
		text = strings.Repeat(fill, s.width-len(text)) + text
	}
	return text
}

// number pads n to digits columns, or to the width that was asked for. The flag
// '-' takes the conversion's own padding away.
func (s timeSpec) number(n, digits int, pad byte) string {
	if s.pad != 0 {
		pad = s.pad
	}
	if pad == '-' {
		digits = 0
	}
	digits = max(digits, s.width)
	sign, text := "", strconv.Itoa(n)
	if n < 0 {
		sign, text = "-", text[1:]
	}
	missing := max(0, digits-len(sign)-len(text))
	if pad == '0' {
		return sign + strings.Repeat("0", missing) + text
	}
	return strings.Repeat(" ", missing) + sign + text
}

// zone is the offset from UTC as +hhmm.
func (s timeSpec) zone(t time.Time) string {
	_, seconds := t.Zone()
	sign := "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	hhmm := seconds/3600*100 + seconds/60%60
	digits := max(4, s.width-1)
	return sign + timeSpec{pad: s.pad, width: -1}.number(hhmm, digits, '0')
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
