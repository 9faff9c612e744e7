package option

import (
	"strings"
	"time"
)

// Input is a command line and what its meaning depends on besides.
type Input struct {
	Words  []string                 // after the name of the program
	Getenv func(name string) string // nil is an empty environment
	Now    time.Time                // the zero value is the time of the call
	// Aliases are read in place of their names. Of several with one name the
	// last counts.
	Aliases []Alias
	// Tame keeps relative names of --backup-dir and --temp-dir below the
	// destination, as daemons do whose module is not the root of what they see.
	Tame bool
}

func (in Input) getenv(name string) string {
	if in.Getenv == nil {
		return ""
	}
	return in.Getenv(name)
}

func (in Input) now() time.Time {
	if in.Now.IsZero() {
		return time.Now()
	}
	return in.Now
}

// state is a command line while it is read.
type state struct {
	*Set
	in    Input
	index index
	words []string // that are still to be read
	// last is the word that was read last, which errors name.
	last      string
	expanding []expansion

	// What was said about options whose effect depends on others; the zero value
	// is "nothing", or what newState puts there.
	recurse         int // 1 from -a, 2 by itself
	dirs            int // 1 asked for, 2 in the old form, -1 asked not to
	relative        int // +1, -1
	compress        int // -z
	choice          string
	useIconv        int // +1, -1
	oldArgs         int // -1 is not said
	secluded        int // -1 is not said
	suffix          bool
	backupDir       bool
	partialDir      bool
	filesFrom       bool
	maxDelete       bool
	maxAlloc        bool
	logFormat       bool
	version         int
	helpLetter      bool
	daemonOption    bool
	userBy, groupBy string // the options that made the maps
	altDest         string // the option that named alternate directories
	batchName       string
	buffered        bool // outbuf was given
	outbuf          string
	info, debug     levels
}

// Parse reads the words of a client, a server or a daemon: which of them it is,
// the words say. The error is an *Error.
func Parse(in Input) (*Set, error) {
	set, err := newState(in, mainIndex).parse()
	if e, ok := err.(*Error); ok && e.Role == "" {
		if e.Role = "client"; set.Server {
			e.Role = "server"
		}
	}
	return set, err
}

func newState(in Input, ix index) *state {
	st := &state{Set: New(), in: in, index: ix, words: in.Words, oldArgs: -1, secluded: -1}
	st.Itemize = 0
	st.said.blank = map[string]bool{}
	return st
}

func (st *state) parse() (*Set, error) {
	err := st.readAll()
	switch {
	case err == errDaemon:
		return st.parseDaemon()
	case err != nil || st.Show != ShowNothing:
		return st.Set, err
	}
	return st.Set, st.finish()
}

// readAll takes the words one after the other, until one asks for help.
func (st *state) readAll() error {
	for len(st.words) > 0 && st.Show == ShowNothing {
		word := st.word()
		switch {
		case word == "--":
			st.Args = append(st.Args, st.words...)
			return nil
		case len(word) < 2 || word[0] != '-':
			st.Args = append(st.Args, word)
		case word[1] == '-':
			if err := st.long(word); err != nil {
				return err
			}
		default:
			if err := st.short(word); err != nil {
				return err
			}
		}
	}
	return nil
}

// word takes the next word.
func (st *state) word() string {
	st.last, st.words = st.words[0], st.words[1:]
	return st.last
}

// long reads "--name", "--name=value" or "--name value".
func (st *state) long(word string) error {
	name, text, has := strings.Cut(word[2:], "=")
	if has && st.expand("--"+name, text) || !has && st.expand("--"+name) {
		return nil
	}
	o, ok := st.index.long[name]
	switch {
	case !ok:
		return st.bad("unknown option")
	case !o.takes() && has:
		return st.bad("option does not take an argument")
	case o.takes() && !has:
		if len(st.words) == 0 {
			return st.bad("missing argument")
		}
		text = st.word()
	}
	return st.apply(o.Option, text, o.on)
}

// takes tells if an option under this name has an argument.
func (n named) takes() bool { return n.Arg != "" && n.on }

// short reads a bundle of letters. The argument of the last one is what follows
// it, after a "=" if one likes, or the next word.
func (st *state) short(word string) error {
	for i := 1; i < len(word); i++ {
		if st.expand("-"+word[i:i+1], bundleOf(word[i+1:])...) {
			return nil
		}
		o := st.index.short[word[i]]
		if o == nil {
			return st.bad("unknown option")
		}
		text, rest := "", word[i+1:]
		switch {
		case o.Arg == "" && strings.HasPrefix(rest, "="):
			return st.bad("option does not take an argument")
		case o.Arg == "":
		case rest != "":
			text = strings.TrimPrefix(rest, "=")
		case len(st.words) == 0:
			return st.bad("missing argument")
		default:
			text = st.word()
		}
		if err := st.apply(o, text, true); err != nil || o.Arg != "" || st.Show != ShowNothing {
			return err
		}
	}
	return nil
}

// bundleOf is the word for the letters of a bundle that are left.
func bundleOf(letters string) []string {
	if letters == "" {
		return nil
	}
	return []string{"-" + letters}
}

// bad is an error about the last word.
func (st *state) bad(what string) error {
	where := ""
	if st.Server && st.DaemonWords == nil {
		where = "on remote machine: "
	}
	return usage("%s%s: %s", where, st.last, what)
}

// apply does what an option does, and what it implies.
func (st *state) apply(o *Option, text string, on bool) error {
	v := value{text: text, on: on}
	if o.Int && on {
		var wrong string
		if v.n, wrong = integer(text); wrong != "" {
			return st.bad(wrong)
		}
	}
	if on || o.Both {
		for _, name := range o.Implies {
			implied := st.index.long[name]
			if err := implied.set(st, value{on: on}); err != nil {
				return err
			}
		}
	}
	if err := o.set(st, v); err != nil {
		return err
	}
	if on && o.Arg != "" {
		st.said.blank[o.Long] = text == ""
	}
	if st.daemonOption {
		return errDaemon
	}
	return nil
}

// errDaemon tells that the words are those of a daemon.
var errDaemon = &Error{Code: codeSyntax, Text: "these are the words of a daemon"}

// parseDaemon reads all words again, as those of `rsync --daemon`.
func (st *state) parseDaemon() (*Set, error) {
	d := newState(st.in, daemonIndex)
	d.Server = st.Server
	d.DaemonWords = &DaemonSet{}
	err := d.readAll()
	e, failed := err.(*Error)
	switch {
	case failed && strings.HasPrefix(e.Text, "rsync: "):
		e.Text += " (in daemon mode)"
	case failed:
	case d.Show == ShowNothing && !d.Daemon:
		e = &Error{Code: codeSyntax, Text: "Daemon option(s) used without --daemon."}
	default:
		return d.Set, nil
	}
	e.Text += "\n(Type \"rsync --daemon --help\" for assistance with daemon mode.)"
	return d.Set, e
}
