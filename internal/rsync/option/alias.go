package option

import "strings"

// Alias stands for words: where its name is an option, the words are read. In
// them the name means what it means without the alias.
type Alias struct {
	Name  string // "-x" or "--name"
	Words []string
}

// ParseAliases reads the aliases for a program out of a file such as ~/.popt:
// lines "PROGRAM alias NAME WORDS…". Other lines are for others.
func ParseAliases(text, program string) []Alias {
	var all []Alias
	for line := range strings.Lines(text) {
		words := splitWords(line)
		if len(words) < 4 || words[0] != program || words[1] != "alias" || !strings.HasPrefix(words[2], "-") {
			continue
		}
		all = append(all, Alias{Name: words[2], Words: words[3:]})
	}
	return all
}

// splitWords splits at blanks, but not within quotes or after a backslash.
func splitWords(line string) []string {
	var words []string
	var word []byte
	var quote byte
	begun := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line) && (quote == 0 || line[i+1] == quote):
			i++
			word, begun = append(word, line[i]), true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word = append(word, c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if begun {
				words = append(words, string(word))
			}
			word, begun = nil, false
		default:
			word, begun = append(word, c), true
		}
	}
	if begun {
		words = append(words, string(word))
	}
	return words
}

// expansion is an alias whose words are being read, until so many are left.
type expansion struct {
	name string
	left int
}

// expand puts an alias's words in front of the others, if there is one of that
// name that is not being read already. before are words that come right after
// the alias's own.
func (st *state) expand(name string, before ...string) bool {
	for len(st.expanding) > 0 && len(st.words) < st.expanding[len(st.expanding)-1].left {
		st.expanding = st.expanding[:len(st.expanding)-1]
	}
	for _, e := range st.expanding {
		if e.name == name {
			return false
		}
	}
	for i := len(st.in.Aliases) - 1; i >= 0; i-- {
		if a := st.in.Aliases[i]; a.Name == name {
			rest := append(before, st.words...)
			st.expanding = append(st.expanding, expansion{name, len(rest)})
			st.words = append(append([]string{}, a.Words...), rest...)
			return true
		}
	}
	return false
}
