package inotify

import (
	"fmt"
	"strings"
)

// option is one row of the table of options.
type option struct {
	long  string
	short byte // 0 for none
	arg   string
	help  string // lines; empty hides the option
	set   func(arg string) error
}

// wrong is a mistake that ends the program at once; its text may be several
// lines, none is nothing.
type wrong string

func (w wrong) Error() string { return string(w) }

// malformed is a mistake in the form of an option.
type malformed string

func (m malformed) Error() string { return string(m) }

// parse reads words as getopt_long(3) does: options and operands may be mixed,
// long names may be cut short, "--" ends the options. The first mistake ends
// it: malformed, which leaves what came before to be checked, or the error of
// an option's set.
func parse(table []option, words []string) (operands []string, err error) {
	for len(words) > 0 && err == nil {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			return append(operands, words...), nil
		case strings.HasPrefix(word, "--"):
			words, err = long(table, word[2:], words)
		case len(word) > 1 && word[0] == '-':
			words, err = cluster(table, word[1:], words)
		default:
			operands = append(operands, word)
		}
	}
	return operands, err
}

// long handles a long option and returns the words left.
func long(table []option, word string, words []string) ([]string, error) {
	text, value, given := strings.Cut(word, "=")
	o, problem := find(table, text)
	switch {
	case o == nil:
		return nil, malformed(fmt.Sprintf(problem, word))
	case o.arg == "" && given:
		return nil, malformed(fmt.Sprintf("option '--%s' doesn't allow an argument", o.long))
	case o.arg != "" && !given && len(words) == 0:
		return nil, malformed(fmt.Sprintf("option '--%s' requires an argument", o.long))
	case o.arg != "" && !given:
		value, words = words[0], words[1:]
	}
	return words, o.set(value)
}

// cluster handles the short options in one word and returns the words left.
func cluster(table []option, letters string, words []string) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		var o *option
		for j := range table {
			if table[j].short == letters[i] {
				o = &table[j]
			}
		}
		value := ""
		switch {
		case o == nil:
			return nil, malformed(fmt.Sprintf("invalid option -- '%c'", letters[i]))
		case o.arg == "":
		case i+1 < len(letters):
			value, i = letters[i+1:], len(letters)
		case len(words) == 0:
			return nil, malformed(fmt.Sprintf("option requires an argument -- '%c'", o.short))
		default:
			value, words = words[0], words[1:]
		}
		if err := o.set(value); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// find is the option whose long name begins with text; problem is a format for
// text if there is not exactly one.
func find(table []option, text string) (o *option, problem string) {
	var like []string
	for i := range table {
		switch {
		case table[i].long == text:
			return &table[i], ""
		case strings.HasPrefix(table[i].long, text):
			o = &table[i]
			like = append(like, "'--"+table[i].long+"'")
		}
	}
	switch len(like) {
	case 0:
		return nil, "unrecognized option '--%s'"
	case 1:
		return o, ""
	}
	return nil, "option '--%s' is ambiguous; possibilities: " + strings.Join(like, " ")
}
