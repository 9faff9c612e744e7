package filter

import (
	"strconv"
	"strings"

	"lockstep/internal/fs/tree"
)

// Side says which end of a transfer a rule is for. As a set, 0 means that the
// rule does not say, which is both unless excluded files are deleted too.
type Side uint8

// The sides.
const (
	Sender   Side = 1 << iota // hides from the file list
	Receiver                  // protects from deletion
)

type ruleFlags uint16

const (
	flagInclude     ruleFlags = 1 << iota
	flagNegate                // "!": acts where the pattern does not match
	flagAbsolute              // "/": matched against the path from the file system's root
	flagDirOnly               // the pattern ended in '/'
	flagPerishable            // "p"
	flagSoftPerish            // perishable, silently not so for a peer that cannot be told
	flagXattr                 // "x": for names of extended attributes
	flagDirMerge              // ":"
	flagNoInherit             // "n"
	flagWords                 // "w"
	flagRawExclude            // "-" of a merge rule
	flagRawInclude            // "+" of a merge rule
	flagCVS                   // "C"
	flagImplied               // per-directory rule that an old peer adds by itself
	flagExcludeSelf           // "e", only while parsing
	flagOption                // of the option -C, which the other side may have been given as well
)

// flagRaw marks per-directory rules whose files hold bare patterns.
const flagRaw = flagRawExclude | flagRawInclude

// Origin is where a rule was given.
type Origin struct {
	File string // "" for the command line; raw bytes
	Line int    // from 1; 0 where lines do not count
}

func (o Origin) String() string {
	switch {
	case o.File == "":
		return "command line"
	case o.Line == 0:
		return tree.Quote(o.File)
	}
	return tree.Quote(o.File) + ":" + strconv.Itoa(o.Line)
}

// A Rule is one compiled rule.
type Rule struct {
	pattern string // as given, less the '/' of a directory-only rule; for ":" the file name
	flags   ruleFlags
	sides   Side
	origin  Origin
	list    string // what Shown puts behind it: the sort of list it is in
	match   matcher
}

// Origin is where r was given.
func (r *Rule) Origin() Origin { return r.origin }

// Shown is r as rsync names it when it says which rule decided: the pattern, but
// never the contents of a file, and the list that it is in, "[per-dir FILE]" or
// "[global CVS]", unless that is the one of the command line.
func (r *Rule) Shown() string {
	text := r.pattern
	switch {
	case r.origin.File != "":
		text = "<rule from a file read earlier>"
	case r.has(flagDirOnly):
		text += "/"
	}
	return text + r.list
}

// Include reports whether r includes what it matches.
func (r *Rule) Include() bool { return r.has(flagInclude) }

func (r *Rule) has(f ruleFlags) bool { return r.flags&f != 0 }

// String is r in the form that goes over the wire, and that --filter takes:
// "- *.o", "+s keep/", ":n .rules".
func (r *Rule) String() string { return r.text(r.has(flagPerishable | flagSoftPerish)) }

// text renders r, rsync-filelist 7.2: prefix, modifiers in a fixed order, a
// space, the pattern, the '/' of a directory-only rule.
func (r *Rule) text(perishable bool) string {
	var b strings.Builder
	switch {
	case r.has(flagDirMerge):
		b.WriteByte(':')
	case r.Include():
		b.WriteByte('+')
	default:
		b.WriteByte('-')
	}
	letter := func(on bool, c byte) {
		if on {
			b.WriteByte(c)
		}
	}
	letter(r.has(flagAbsolute), '/')
	letter(r.has(flagNegate), '!')
	if r.has(flagCVS) {
		b.WriteByte('C')
	} else {
		letter(r.has(flagNoInherit), 'n')
		letter(r.has(flagWords), 'w')
		letter(r.has(flagRawExclude), '-')
		letter(r.has(flagRawInclude), '+')
	}
	letter(r.has(flagXattr), 'x')
	letter(r.sides&Sender != 0, 's')
	letter(r.sides&Receiver != 0, 'r')
	letter(perishable, 'p')
	b.WriteByte(' ')
	b.WriteString(r.pattern)
	letter(r.has(flagDirOnly), '/')
	return b.String()
}

// on reports whether r has a say on side: a rule without sides has on both,
// unless excluded files are to be deleted. A per-directory rule of the full
// syntax then still counts for both, and its contents get their sides when
// they are read (rsync-filelist 7.1).
func (r *Rule) on(side Side, deleteExcluded bool) bool {
	switch {
	case r.sides != 0:
		return r.sides&side != 0
	case !deleteExcluded, r.has(flagDirMerge) && !r.has(flagRaw):
		return true
	}
	return side == Sender
}

// mergeName is the file that a per-directory rule looks for in each
// directory: the path before it only says where to begin.
func (r *Rule) mergeName() string { return r.pattern[strings.LastIndexByte(r.pattern, '/')+1:] }

// applies reports whether r decides about n.
func (r *Rule) applies(n *name) bool { return r.match.matches(n) != r.has(flagNegate) }
