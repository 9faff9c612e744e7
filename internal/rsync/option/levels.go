package option

import (
	"fmt"
	"strings"
)

// wordKind tells --info from --debug.
type wordKind struct {
	name  string
	words []word
	show  Show
}

var (
	infoKind  = wordKind{"info", infoWords, ShowInfo}
	debugKind = wordKind{"debug", debugWords, ShowDebug}
)

// levels are the levels that words were given: level+1, 0 is not given.
type levels [words]uint8

// read takes one --info or --debug. help reports that it asks for the list.
func (k wordKind) read(list string, into *levels, server bool) (help bool, err error) {
	for item := range strings.SplitSeq(list, ",") {
		if item == "" {
			continue
		}
		name := item
		if c := item[0]; c < '0' || c > '9' { // else it is no word with a level
			name = strings.TrimRight(item, "0123456789")
		}
		level := uint8(1)
		if digits := item[len(name):]; digits != "" {
			level = uint8(min(leading(digits), maxLevel))
		}
		switch strings.ToUpper(name) {
		case "HELP":
			return true, nil
		case "NONE":
			into.all(len(k.words), 0)
			continue
		case "ALL":
			into.all(len(k.words), level)
			continue
		}
		if !k.give(name, level, into) && !server {
			return false, &Error{Code: codeSyntax, Text: fmt.Sprintf("Unknown --%s item: \"%s\"", k.name, name)}
		}
	}
	return false, nil
}

func (l *levels) all(n int, level uint8) {
	for i := range n {
		l[i] = level + 1
	}
}

// give sets the level of the word with a name, in either case.
func (k wordKind) give(name string, level uint8, into *levels) bool {
	for i, w := range k.words {
		if strings.EqualFold(w.name, name) {
			into[i] = level + 1
			return true
		}
	}
	return false
}

// setLevels makes the effective levels of all words: those of -v, raised by what
// other options imply, replaced by what the user gave.
func (s *Set) setLevels() {
	for i, w := range infoWords {
		s.Info[i] = w.at(s.Verbose)
	}
	for i, w := range debugWords {
		s.Debug[i] = w.at(s.Verbose)
	}
}

// imply raises a word that the user gave no level.
func (s *Set) imply(word Info, level uint8) {
	if s.said.info[word] == 0 {
		s.Info[word] = max(s.Info[word], level)
	}
}

// minShared is how many words must share a level for it to be sent as ALL or
// NONE.
const minShared = 5

// infoArg is the --info that tells the other side what the user gave, as far as
// that side prints it; "" is none.
func (s *Set) infoArg(there sides) string {
	var given []string
	var count [maxLevel + 1]int
	base, complete := -1, true
	for i, w := range infoWords {
		if w.where&there == 0 {
			continue
		}
		if s.said.info[i] == 0 {
			complete = false
			continue
		}
		level := s.said.info[i] - 1
		if count[level]++; count[level] == minShared && base < 0 {
			base = int(level)
		}
		given = append(given, levelName(w.name, level))
	}
	if !complete || base < 0 {
		base = -1
	}
	var list []string
	switch {
	case base == 0:
		list = append(list, "NONE")
	case base > 0:
		list = append(list, levelName("ALL", uint8(base)))
	}
	for _, g := range given {
		if base >= 0 && g == levelName(strings.TrimRight(g, "01234"), uint8(base)) {
			continue
		}
		list = append(list, g)
	}
	if len(list) == 0 {
		return ""
	}
	return "--info=" + strings.Join(list, ",")
}

// levelName writes a word with its level, which is left out if it is 1.
func levelName(name string, level uint8) string {
	if level == 1 {
		return name
	}
	return name + string('0'+rune(level))
}

// WordHelp is what --info=help or --debug=help prints.
func WordHelp(show Show) string {
	k := infoKind
	if show == ShowDebug {
		k = debugKind
	}
	var b strings.Builder
	b.WriteString("Use OPT or OPT1 for level 1 output, OPT2 for level 2, etc.; OPT0 silences.\n\n")
	line := func(name, help string) { fmt.Fprintf(&b, "%-10s %s\n", name, help) }
	for _, w := range k.words {
		line(w.name, w.help)
	}
	b.WriteByte('\n')
	line("ALL", "Set all --"+k.name+" options (e.g. all4)")
	line("NONE", "Silence all --"+k.name+" options (same as all0)")
	line("HELP", "Output this help message")
	b.WriteString("\nOptions added at each level of verbosity:\n")
	for verbose := range maxVerbose {
		if added := k.added(verbose); len(added) > 0 {
			fmt.Fprintf(&b, "%d) %s\n", verbose, strings.Join(added, ","))
		}
	}
	return b.String()
}

// maxVerbose is the number of -v that still add something, and one.
const maxVerbose = 6

// added lists the words that a level of verbosity brings.
func (k wordKind) added(verbose int) []string {
	var list []string
	for _, w := range k.words {
		before := uint8(0)
		if verbose > 0 {
			before = w.at(verbose - 1)
		}
		if level := w.at(verbose); level > before {
			list = append(list, levelName(w.name, level))
		}
	}
	return list
}
