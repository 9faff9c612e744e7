package inotify

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lockstep/internal/cli/eventline"
)

// printer writes events.
type printer struct {
	out    *bufio.Writer
	set    *settings
	format *eventline.Format // nil without --format
	end    byte
	line   []byte
	names  map[uint32]named
}

const maxFormat = 4096 // bytes

func newPrinter(set *settings, out *bufio.Writer) (*printer, error) {
	p := &printer{out: out, set: set, end: '\n'}
	if set.null {
		p.end = 0
	}
	if set.format == nil {
		return p, nil
	}
	timefmt := ""
	if set.timefmt != nil {
		timefmt = *set.timefmt
	}
	f, err := eventline.Compile(*set.format, timefmt)
	if err != nil || len(*set.format) > maxFormat {
		return nil, wrong("Something is wrong with your format string.")
	}
	p.format = f
	return p, nil
}

// seen is an event as it is printed.
type seen struct {
	in            *object // fanotify: nil
	watched, name string
	from          string // of a move, the old path if it is known
	mask          uint32
	cookie        uint32
}

// renames are the old paths of moves whose second half has not come, by cookie.
type renames map[uint32]string

// maxRenames bounds those that are remembered: of a move that leads out of what
// is watched no second half will come.
const maxRenames = 256

// pair remembers the first half of a move and fills in the second.
func (r *renames) pair(ev *seen) {
	switch {
	case ev.cookie == 0:
	case ev.mask&unix.IN_MOVED_FROM != 0:
		if *r == nil || len(*r) >= maxRenames {
			*r = renames{}
		}
		(*r)[ev.cookie] = ev.watched + ev.name
	case ev.mask&unix.IN_MOVED_TO != 0:
		ev.from = (*r)[ev.cookie]
		delete(*r, ev.cookie)
	}
}

// named are the names of the bits of an event.
type named struct {
	list   []string
	joined string // with commas
}

// maxMasks bounds the masks whose names are kept. There are a few dozen.
const maxMasks = 1024

func (p *printer) namesOf(mask uint32) named {
	n, known := p.names[mask]
	if !known {
		list := printedNames(mask)
		n = named{list, strings.Join(list, ",")}
		if p.names == nil || len(p.names) >= maxMasks {
			p.names = map[uint32]named{}
		}
		p.names[mask] = n
	}
	return n
}

// wholeLines is how much is written at once, which pipe(7) and files opened for
// appending do not mix with what others write there. Only a longer line goes in
// more.
const wholeLines = 4096

// print writes one event; it may stay in the buffer.
func (p *printer) print(ev seen) {
	names := p.namesOf(ev.mask)
	b := p.line[:0]
	switch {
	case p.set.json:
		b = append(appendJSON(b, ev, names.list, p.set.timefmt), p.end)
	case p.format != nil:
		b = p.format.AppendPlain(b, eventline.Event{Watched: ev.watched, Name: ev.name, Names: names.list, Cookie: ev.cookie, At: time.Now()})
		if !p.set.noNewline {
			b = append(b, p.end)
		}
	case p.set.csv:
		if ev.watched != "" {
			b = append(appendCSV(b, ev.watched), ',')
		}
		b = append(appendCSV(b, names.joined), ',')
		b = append(appendCSV(b, ev.name), p.end)
	default:
		b = append(append(b, ev.watched...), ' ')
		b = append(append(b, names.joined...), ' ')
		b = append(append(b, ev.name...), p.end)
	}
	if p.out.Buffered()+len(b) > wholeLines {
		_ = p.out.Flush() // the error shows with the next one
	}
	_, _ = p.out.Write(b)
	p.line = b
}

// appendCSV quotes a field if it needs it.
func appendCSV(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "\",\n") && !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " ") {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

// jsonEvent is an event as --json has it. A name that is not UTF-8 goes as base64
// under the key with "_bytes" instead.
type jsonEvent struct {
	Time         string   `json:"time"`
	Watched      *string  `json:"watched,omitempty"`
	WatchedBytes string   `json:"watched_bytes,omitempty"`
	Name         *string  `json:"name,omitempty"`
	NameBytes    string   `json:"name_bytes,omitempty"`
	Path         *string  `json:"path,omitempty"`
	PathBytes    string   `json:"path_bytes,omitempty"`
	From         *string  `json:"from,omitempty"`
	FromBytes    string   `json:"from_bytes,omitempty"`
	Events       []string `json:"events"`
	Cookie       uint32   `json:"cookie,omitempty"`
}

func appendJSON(b []byte, ev seen, names []string, timefmt *string) []byte {
	now := time.Now()
	e := jsonEvent{Time: now.Format(time.RFC3339Nano), Events: names, Cookie: ev.cookie}
	if timefmt != nil {
		e.Time = eventline.Strftime(*timefmt, now)
	}
	put := func(s string, text **string, raw *string) {
		if utf8.ValidString(s) {
			*text = &s
		} else {
			*raw = base64.StdEncoding.EncodeToString([]byte(s))
		}
	}
	put(ev.watched, &e.Watched, &e.WatchedBytes)
	put(ev.name, &e.Name, &e.NameBytes)
	put(ev.watched+ev.name, &e.Path, &e.PathBytes)
	if ev.from != "" {
		put(ev.from, &e.From, &e.FromBytes)
	}
	text, _ := json.Marshal(e) // plain strings and numbers cannot fail
	return append(b, text...)
}
