package inotify

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are what a command line asks for.
type settings struct {
	name  string // the program's, as typed
	stats bool   // inotifywatch

	recursive, noFollow    bool
	fan, fileSystem        bool
	timeout                int64 // seconds, 0 for ever
	mask                   uint32
	fromFile               string
	exclude, excludei      []string
	include, includei      []string
	monitor, daemon        bool
	syslog, csv, noNewline bool
	json, null             bool
	outfile                string
	quiet                  int
	format, timefmt        *string

	verbose   int
	zero      bool
	key       string // to sort by; "total" is all
	ascending bool
	sortGiven bool
	warnings  []string
	operands  []string
}

// newSettings are the defaults of the program called name.
func newSettings(name string) *settings {
	base := filepath.Base(name)
	return &settings{name: name, stats: strings.HasSuffix(base, "watch"), fan: strings.HasPrefix(base, "fsnotify")}
}

// errHelp ends parsing for --help.
var errHelp = errors.New("help")

// table is the options in the order in which ambiguous ones are named.
func (s *settings) table() []option {
	flag := func(f func()) func(string) error {
		return func(string) error { f(); return nil }
	}
	common := []option{
		{"event", 'e', "EVENTS", "report these only, a comma list; may be repeated", s.addEvents},
		{"help", 'h', "", "show this text", func(string) error { return errHelp }},
		{"timeout", 't', "SECONDS", s.timeoutHelp(), s.setTimeout},
	}
	var own []option
	if s.stats {
		own = s.statsTable(flag)
	} else {
		common = append(common, option{"filename", 'f', "", "", func(string) error { return errFilename }})
		own = s.waitTable(flag)
	}
	return slices.Concat(common, []option{
		{"inotify", 'I', "", "watch with inotify", flag(func() { s.fan, s.fileSystem = false, false })},
		{"fanotify", 'F', "", "watch with fanotify, which needs privileges", flag(func() { s.fan, s.fileSystem = true, false })},
		{"filesystem", 'S', "", "watch whole file systems with fanotify", flag(func() { s.fan, s.fileSystem = true, true })},
		{"recursive", 'r', "", "watch what is below directories too", flag(func() { s.recursive = true })},
		{"no-dereference", 'P', "", "watch symlinks themselves", flag(func() { s.noFollow = true })},
	}, own, []option{
		{"fromfile", 0, "FILE", "read paths from FILE too, one a line; - is the standard input", s.setFromFile},
		{"exclude", 0, "PATTERN", "leave out paths that match this extended regular expression", list(&s.exclude)},
		{"excludei", 0, "PATTERN", "the same in any case", list(&s.excludei)},
		{"include", 0, "PATTERN", "leave out paths that do not match", list(&s.include)},
		{"includei", 0, "PATTERN", "the same in any case", list(&s.includei)},
	})
}

func (s *settings) statsTable(flag func(func()) func(string) error) []option {
	return []option{
		{"verbose", 'v', "", "say more; may be repeated", flag(func() { s.verbose++ })},
		{"zero", 'z', "", "show rows and columns that are all zero", flag(func() { s.zero = true })},
		{"ascending", 'a', "KEY", "sort by an event or by total, smallest first", func(k string) error { return s.setKey(k, true) }},
		{"descending", 'd', "KEY", "the same, largest first", func(k string) error { return s.setKey(k, false) }},
	}
}

func (s *settings) waitTable(flag func(func()) func(string) error) []option {
	return []option{
		{"monitor", 'm', "", "go on after the first event", flag(func() { s.monitor = true })},
		{"daemon", 'd', "", "as --monitor, in the background; needs --outfile, implies --syslog", flag(func() { s.daemon, s.monitor, s.syslog = true, true, true })},
		{"outfile", 'o', "FILE", "append events to FILE", s.setOutfile},
		{"syslog", 's', "", "messages go to syslog", flag(func() { s.syslog = true })},
		{"quiet", 'q', "", "no messages but errors; twice: no events either", flag(func() { s.quiet++ })},
		{"csv", 'c', "", "print events as CSV", flag(func() { s.csv = true })},
		{"format", 0, "FORMAT", "print events like this, see Format", func(f string) error { s.format = &f; return nil }},
		{"no-newline", 0, "", "no newline after --format", flag(func() { s.noNewline = true })},
		{"timefmt", 0, "FORMAT", "strftime format for %T", func(f string) error { s.timefmt = &f; return nil }},
		{"json", 0, "", "print each event as a JSON object on a line (addition)", flag(func() { s.json = true })},
		{"null", 0, "", "end each event with NUL instead of a newline (addition)", flag(func() { s.null = true })},
	}
}

func list(to *[]string) func(string) error {
	return func(arg string) error { *to = append(*to, arg); return nil }
}

const errFilename = wrong("The '--filename' option no longer exists.  The option it enabled in earlier\n" +
	"versions of inotifywait is now turned on by default.")

func (s *settings) timeoutHelp() string {
	if s.stats {
		return "end after SECONDS; 0 is never"
	}
	return "end after SECONDS without an event; 0 is never"
}

func (s *settings) addEvents(arg string) (err error) {
	s.mask, err = addEvents(s.mask, arg)
	return err
}

func (s *settings) setTimeout(arg string) error {
	const hint = "\nPlease specify a long int value."
	text := strings.TrimLeft(arg, " \t\n\v\f\r")
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "+"), 10, 64)
	switch {
	case arg == "":
		return wrong("The provided value is not a valid timeout value." + hint)
	case errors.Is(err, strconv.ErrRange):
		return wrong("Something went wrong with the timeout value you provided.\nNumerical result out of range")
	case err != nil || strings.HasPrefix(text, "+-"):
		return wrong("'" + arg + "' is not a valid timeout value." + hint)
	}
	s.timeout = n
	return nil
}

func (s *settings) setFromFile(arg string) error {
	if s.fromFile != "" {
		return wrong("Multiple --fromfile options given.")
	}
	s.fromFile = arg
	return nil
}

func (s *settings) setOutfile(arg string) error {
	if s.outfile != "" {
		return wrong("Multiple --outfile options given.")
	}
	s.outfile = arg
	return nil
}

func (s *settings) setKey(arg string, ascending bool) error {
	key := strings.ToLower(arg)
	switch {
	case s.sortGiven:
		return wrong("Please specify -a or -d once only!")
	case key == "" || key == "total":
		key = "total"
	case key == "move":
		return wrong("Cannot sort by `move' event; please use `moved_from' or `moved_to'.")
	case key == "close":
		return wrong("Cannot sort by `close' event; please use `close_write' or `close_nowrite'.")
	case !isColumn(key):
		return wrong("'" + arg + "' is not a valid key for sorting!")
	}
	s.key, s.ascending, s.sortGiven = key, ascending, true
	return nil
}

// check reports the first combination of options that makes no sense.
func (s *settings) check() error {
	all := s.mask
	if all == 0 {
		all = allEvents
	}
	given := func(name string, patterns []string) {
		if len(patterns) > 1 && !s.stats {
			s.warnings = append(s.warnings, "--"+name+": only the last option will be taken into consideration.")
		}
	}
	given("exclude", s.exclude)
	given("excludei", s.excludei)
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{s.stats && s.key != "" && s.key != "total" && all&maskOf(s.key) == 0, "Can't sort by an event which isn't being watched for!"},
		{s.exclude != nil && s.excludei != nil, "--exclude and --excludei cannot both be specified."},
		{s.include != nil && s.includei != nil, "--include and --includei cannot both be specified."},
		{(s.exclude != nil || s.excludei != nil) && (s.include != nil || s.includei != nil), "include and exclude regexp cannot both be specified."},
		{s.csv && s.format != nil, "-c and --format cannot both be specified."},
		{s.noNewline && s.format == nil, "--no-newline cannot be specified without --format."},
		{s.timefmt != nil && s.format == nil && !s.json, "--timefmt cannot be specified without --format."},
		{s.format != nil && strings.Contains(*s.format, "%T") && s.timefmt == nil, "%T is in --format string, but --timefmt was not specified."},
		{s.json && (s.csv || s.format != nil), "--json cannot be specified with -c or --format."},
		{s.daemon && s.outfile == "", "-o must be specified with -d."},
	} {
		if c.wrong {
			return wrong(c.text)
		}
	}
	return nil
}

// maxSeconds is as long as a timer can wait.
const maxSeconds = int64(math.MaxInt64 / time.Second)

// seconds is the time limit, 0 for none.
func (s *settings) seconds() int64 { return min(s.timeout, maxSeconds) }

// last is the last of some patterns.
func last(patterns []string) (string, bool) {
	if len(patterns) == 0 {
		return "", false
	}
	return patterns[len(patterns)-1], true
}

// selection decides by path which events count.
type selection struct {
	re      *pattern // nil lets everything through
	include bool
}

func (s *settings) selection() (sel selection, err error) {
	for _, c := range []struct {
		patterns      []string
		include, fold bool
	}{{s.exclude, false, false}, {s.excludei, false, true}, {s.include, true, false}, {s.includei, true, true}} {
		text, ok := last(c.patterns)
		if !ok || text == "" {
			continue
		}
		sel.include = c.include
		if sel.re, err = compile(text, c.fold); err != nil {
			what := "exclude"
			if c.include {
				what = "include"
			}
			return sel, wrong(fmt.Sprintf("Error in `%s' regular expression.\n%v", what, err))
		}
	}
	return sel, nil
}

// drops reports whether events of path are left out.
func (sel selection) drops(path string) bool {
	return sel.re != nil && sel.re.match(path) != sel.include
}
