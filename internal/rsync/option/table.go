package option

// Option is one row of the table: what an option is called, what it takes and
// what it does.
type Option struct {
	Long  string   // without dashes; "" if it has a letter only
	Short byte     // 0 is none
	Alias []string // further long names
	Off   []string // long names that take it back
	Arg   string   // its argument, as --help calls it; "" is none
	Int   bool     // the argument is an integer

	Help  string     // its line of --help; "" is not listed
	Label string     // replaces what stands in front of Help
	Own   bool       // rsync has no such option
	More  []HelpLine // further lines of --help

	// Implies are options that are turned on with it; with Both they are also
	// turned off with it.
	Implies []string
	Both    bool

	set setter
}

// HelpLine is a line of --help: what stands left and right.
type HelpLine struct{ Label, Text string }

// value is what an option was given.
type value struct {
	text string
	n    int  // of an integer
	on   bool // not by one of the names that take it back
}

// setter does what an option does at once; what depends on others is done by the
// rules when all words were read.
type setter func(st *state, v value) error

// The setters of options that just set something. They are given the place by a
// function, so that the table is the same for every Set.
type (
	boolOf   func(s *state) *bool
	intOf    func(s *state) *int
	stringOf func(s *state) *string
	listOf   func(s *state) *[]string
)

func flag(place boolOf) setter {
	return func(st *state, v value) error { *place(st) = v.on; return nil }
}

// inverse is of options that are on without being named.
func inverse(place boolOf) setter {
	return func(st *state, v value) error { *place(st) = !v.on; return nil }
}

// count is of options that may be repeated.
func count(place intOf) setter {
	return func(st *state, v value) error {
		if v.on {
			*place(st)++
		} else {
			*place(st) = 0
		}
		return nil
	}
}

// choose is of options that set a number to one of several.
func choose(place intOf, on, off int) setter {
	return func(st *state, v value) error {
		if *place(st) = off; v.on {
			*place(st) = on
		}
		return nil
	}
}

func number(place intOf) setter {
	return func(st *state, v value) error { *place(st) = v.n; return nil }
}

func text(place stringOf) setter {
	return func(st *state, v value) error { *place(st) = v.text; return nil }
}

// filter is of options that add a rule, or a file of them; a file without a name
// is none.
func filter(kind FilterKind) setter {
	return func(st *state, v value) error {
		if v.text == "" && (kind == ExcludeFrom || kind == IncludeFrom) {
			return nil
		}
		st.Filters = append(st.Filters, Filter{Kind: kind, Value: v.text, From0: st.From0})
		return nil
	}
}

// nothing is of options that only imply others.
func nothing(*state, value) error { return nil }

// no lists the names that take an option back.
func no(names ...string) []string {
	for i, n := range names {
		names[i] = "no-" + n
	}
	return names
}

// table has every option of a client and a server, in the order of --help.
var table = concat(optionsShown, optionsKept, optionsUpdated, optionsConnected, optionsHidden, optionsOwn)

func concat(parts ...[]*Option) []*Option {
	var all []*Option
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Table returns every option of a client and a server, in the order of --help.
func Table() []*Option { return table }

// DaemonTable returns every option of `rsync --daemon`, in the order of its
// --help.
func DaemonTable() []*Option { return daemonTable }

// Name is what an option is called in a sentence.
func (o *Option) Name() string {
	if o.Long == "" {
		return "-" + string(rune(o.Short))
	}
	return "--" + o.Long
}

// Names lists everything that an option, or its taking back, is called.
func (o *Option) Names() []string {
	var all []string
	if o.Long != "" {
		all = append(all, "--"+o.Long)
	}
	if o.Short != 0 {
		all = append(all, "-"+string(rune(o.Short)))
	}
	for _, n := range append(o.Alias, o.Off...) {
		all = append(all, "--"+n)
	}
	return all
}

// index finds the options of a table by name.
type index struct {
	long  map[string]named
	short map[byte]*Option
}

// named is an option under one of its names.
type named struct {
	*Option
	on bool
}

func newIndex(rows []*Option) index {
	ix := index{map[string]named{}, map[byte]*Option{}}
	for _, o := range rows {
		if o.Long != "" {
			ix.long[o.Long] = named{o, true}
		}
		for _, n := range o.Alias {
			ix.long[n] = named{o, true}
		}
		for _, n := range o.Off {
			ix.long[n] = named{o, false}
		}
		if o.Short != 0 {
			ix.short[o.Short] = o
		}
	}
	return ix
}

var (
	mainIndex   = newIndex(table)
	daemonIndex = newIndex(daemonTable)
)
