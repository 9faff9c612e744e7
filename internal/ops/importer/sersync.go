package importer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"lockstep/internal/ops/config"
)

// element is an XML element with its place.
type element struct {
	name  string
	attrs map[string]string
	line  int
	kids  []*element
}

// maxDepth bounds how deep elements may lie in each other.
const maxDepth = 32

// parseXML reads the elements; text between them is ignored.
func parseXML(data []byte) (*element, error) {
	if !utf8.Valid(data) { // then it is what it usually declares
		var b []byte
		for _, c := range data {
			b = utf8.AppendRune(b, rune(c))
		}
		data = b
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	top := &element{}
	open := []*element{top}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return top, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			line, _ := d.InputPos()
			e := &element{name: t.Name.Local, attrs: map[string]string{}, line: line}
			for _, a := range t.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			up := open[len(open)-1]
			up.kids = append(up.kids, e)
			if open = append(open, e); len(open) > maxDepth {
				return nil, fmt.Errorf("line %d: elements are more than %d deep", line, maxDepth)
			}
		case xml.EndElement:
			if len(open) > 1 {
				open = open[:len(open)-1]
			}
		}
	}
}

// kid is the first element called name in e; an empty one if there is none.
func (e *element) kid(name string) *element {
	for _, k := range e.kids {
		if k.name == name {
			return k
		}
	}
	return &element{attrs: map[string]string{}, line: e.line}
}

func (e *element) on() bool { return e.attrs["start"] == "true" }

// there reports whether e is in the file.
func (e *element) there() bool { return e.name != "" }

// Sersync imports a confxml.xml.
func Sersync(data []byte) (*Result, error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("larger than %d KiB", maxInput>>10)
	}
	top, err := parseXML(data)
	if err != nil {
		return nil, err
	}
	head := top.kid("head")
	if !head.there() {
		return nil, errors.New("there is no element head: this is no configuration of sersync")
	}
	r := &Result{}
	for _, k := range head.kids {
		switch k.name {
		case "host", "fileSystem", "debug":
			r.note(k.line, k.name, Dropped, "")
		case "filter", "inotify", "sersync":
		case "plugin":
			r.note(k.line, "plugin "+quoted(k.attrs["name"]), Dropped, "it is used only where a plugin is switched on")
		default:
			r.note(k.line, quoted(k.name), Warned, "sersync does not know it either")
		}
	}
	r.sersync(head)
	r.sort()
	return r, nil
}

// sersync makes the mirror.
func (r *Result) sersync(head *element) {
	s := head.kid("sersync")
	local, rsync := s.kid("localpath"), s.kid("rsync")
	settings := map[string]any{"source": local.attrs["watch"]}
	if local.attrs["watch"] == "" {
		r.note(s.line, "localpath", Refused, "no directory to watch is named")
		return
	}
	paths := 0
	for _, k := range s.kids {
		if k.name == "localpath" {
			if paths++; paths > 1 {
				r.note(k.line, "localpath "+quoted(k.attrs["watch"]), Dropped, "sersync uses only the first")
			}
		}
	}
	r.note(local.line, "localpath", Mapped, "source = %s", quoted(local.attrs["watch"]))
	params := rsync.kid("commonParams")
	r.words(params.line, "commonParams", strings.Fields(params.attrs["params"]), settings)
	settings["delete"] = false // only what inotify says counts
	var exclude []string
	if f := head.kid("filter"); f.on() {
		for _, k := range f.kids {
			exclude = append(exclude, r.expression(k)...)
		}
	}
	r.inotify(head.kid("inotify"), settings)
	if cron := s.kid("crontab"); cron.on() {
		when, exact := everyMinutes(cron.attrs["schedule"])
		settings["verify"] = when
		if exact {
			r.note(cron.line, "crontab", Mapped, "verify = %s; lockstep service install makes the timer. It compares, and copies nothing", quoted(when))
		} else {
			r.note(cron.line, "crontab", Warned, "verify = %s stands for every %s min; lockstep service install makes the timer. It compares, and copies nothing", quoted(when), quoted(cron.attrs["schedule"]))
		}
		if f := cron.kid("crontabfilter"); f.on() {
			for _, k := range f.kids {
				exclude = append(exclude, k.attrs["expression"])
				r.note(k.line, "crontabfilter", Mapped, "exclude %s", quoted(k.attrs["expression"]))
			}
		}
	}
	if p := s.kid("plugin"); p.on() {
		r.note(p.line, "plugin", Refused, "there are no plugins")
	}
	if f := s.kid("failLog"); f.there() {
		r.note(f.line, "failLog", Dropped, "what failed is tried again until it works")
	}
	if t := rsync.kid("timeout"); t.on() {
		r.note(t.line, "timeout", Dropped, "%s", rsyncOptions["timeout"].text)
	}
	if len(exclude) > 0 {
		settings["exclude"] = exclude
	}
	settings["targets"] = r.remotes(local, rsync, settings)
	r.note(local.line, "localpath", Warned, "names such as .x, x~ and 4913, whose events sersync ignores, are mirrored: exclude them if you want that")
	r.Mirrors = append(r.Mirrors, config.Entry{Name: r.mirrorName(local.attrs["watch"]), Settings: settings})
}

// inotify says which events counted.
func (r *Result) inotify(e *element, settings map[string]any) {
	for _, k := range e.kids {
		switch {
		case k.name == "delete":
			settings["delete"] = k.on()
			r.note(k.line, "inotify delete", Mapped, "delete = %v", k.on())
		case k.name == "createFolder" && !k.on():
			r.note(k.line, "inotify createFolder", Refused, "new directories are always followed")
		case (k.name == "closeWrite" || k.name == "moveTo" || k.name == "moveFrom") && !k.on():
			r.note(k.line, "inotify "+k.name, Warned, "it is off, but every change counts here")
		default:
			r.note(k.line, "inotify "+quoted(k.name), Dropped, "every change counts")
		}
	}
}

// remotes are the targets.
func (r *Result) remotes(local, rsync *element, settings map[string]any) (targets []string) {
	user := ""
	if auth := rsync.kid("auth"); auth.on() {
		if u := auth.attrs["users"]; u != "" {
			user = u + "@"
		}
		if f := auth.attrs["passwordfile"]; f != "" {
			settings["password_file"] = f
		}
		r.note(auth.line, "auth", Mapped, "user %s, password_file = %s", quoted(auth.attrs["users"]), quoted(auth.attrs["passwordfile"]))
	}
	port := ""
	if p := rsync.kid("userDefinedPort"); p.on() {
		port = p.attrs["port"]
	}
	ssh := rsync.kid("ssh").on()
	for _, k := range local.kids {
		if k.name != "remote" {
			continue
		}
		t := user + k.attrs["ip"] + "::" + k.attrs["name"]
		switch {
		case ssh:
			t = user + k.attrs["ip"] + ":" + k.attrs["name"]
		case port != "":
			t = "rsync://" + user + k.attrs["ip"] + ":" + port + "/" + k.attrs["name"]
		}
		targets = append(targets, t)
		r.note(k.line, "remote", Mapped, "target %s", quoted(t))
	}
	if len(targets) == 0 {
		r.note(local.line, "remote", Refused, "no target is named")
	}
	return targets
}

// simple is the regular expressions that have the form of a pattern: an anchor
// or "anything", characters that stand for themselves, and slashes at the end.
const simple = `^(\^|\(\.\*\)|\.\*)?((?:[\w\-~ #@,=%&!:]|\\\.|/[\w\-])+)(/\*|/)?(\$)?$`

// expression turns an exclude of filter into patterns. The expression has to
// match the whole of "name" at the top, or "/sub/name" below it.
func (r *Result) expression(k *element) []string {
	text := k.attrs["expression"]
	m := regexp.MustCompile(simple).FindStringSubmatch(text)
	if m == nil {
		r.note(k.line, "filter exclude "+quoted(text), Refused, "write this regular expression as a pattern of rsync, in crontabfilter or later in exclude")
		return nil
	}
	literal := literalGlob(strings.ReplaceAll(m[2], `\.`, "."))
	pattern := "/" + strings.TrimPrefix(literal, "/")
	if m[1] != "" && m[1] != "^" {
		if strings.Contains(literal, "/") {
			r.note(k.line, "filter exclude "+quoted(text), Refused, "write this regular expression as a pattern of rsync, in crontabfilter or later in exclude")
			return nil
		}
		pattern = "*" + literal
	}
	if m[3] == "/" {
		pattern += "/"
	}
	r.note(k.line, "filter exclude "+quoted(text), Mapped, "exclude %s", quoted(pattern))
	return []string{pattern}
}

// everyMinutes is a time of systemd for every so many minutes, which sersync
// takes as 600 if they are none. It is not exact where a day has no whole number
// of them.
func everyMinutes(text string) (when string, exact bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n <= 0 {
		n = 600
	}
	switch {
	case n < 60 && 60%n == 0:
		return fmt.Sprintf("*:00/%d", n), true
	case n == 60:
		return "hourly", true
	case n < 1440 && n%60 == 0 && 24%(n/60) == 0:
		return fmt.Sprintf("*-*-* 00/%d:00", n/60), true
	case n < 60:
		return "hourly", false
	}
	return "daily", n == 1440
}
