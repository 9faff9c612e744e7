package inotify

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/internal/cli/eventline"
)

// printer writes events.
type printer struct {
	out    *bufio.Writer
	set    *settings
	format *eventline.Format // nil without --format
	end    byte
	line   []byte
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
	watched, name string
	from          string // of a move, the old path if it is known
	mask          uint32
	cookie        uint32
}

// print writes one event; it may stay in the buffer.
func (p *printer) print(ev seen) {
	names := printedNames(ev.mask)
	b := p.line[:0]
	switch {
	case p.set.json:
		b = append(appendJSON(b, ev, names, p.set.timefmt), p.end)
	case p.format != nil:
		b = p.format.AppendPlain(b, eventline.Event{Watched: ev.watched, Name: ev.name, Names: names, Cookie: ev.cookie, At: time.Now()})
		if !p.set.noNewline {
			b = append(b, p.end)
		}
	case p.set.csv:
		if ev.watched != "" {
			b = append(appendCSV(b, ev.watched), ',')
		}
		b = append(appendCSV(b, strings.Join(names, ",")), ',')
		b = append(appendCSV(b, ev.name), p.end)
	default:
		b = append(append(b, ev.watched...), ' ')
		b = append(append(b, strings.Join(names, ",")...), ' ')
		b = append(append(b, ev.name...), p.end)
	}
	_, _ = p.out.Write(b) // the error shows when the buffer is written
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

// object is an event as --json has it. A name that is not UTF-8 goes as base64
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
