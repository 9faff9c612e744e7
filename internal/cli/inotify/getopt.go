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

// parse reads words as getopt_long(3) does: options and operands may be mixed,
// long names may be cut short, "--" ends the options. Mistakes in the form of
// an option are told and do not stop parsing; bad says that there were some.
// An error of an option's set does stop it.
func parse(name string, table []option, words []string, tell func(string)) (operands []string, bad bool, err error) {
	complain := func(format string, args ...any) {
		bad = true
		tell(name + ": " + fmt.Sprintf(format, args...))
	}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			return append(operands, words...), bad, nil
		case strings.HasPrefix(word, "--"):
			text, value, given := strings.Cut(word[2:], "=")
			o, problem := find(table, text)
			switch {
			case o == nil:
				complain(problem, text)
				continue
			case o.arg == "" && given:
				complain("option '--%s' doesn't allow an argument", o.long)
				continue
			case o.arg != "" && !given && len(words) == 0:
				complain("option '--%s' requires an argument", o.long)
				continue
			case o.arg != "" && !given:
				value, words = words[0], words[1:]
			}
			if err := o.set(value); err != nil {
				return nil, bad, err
			}
		case len(word) > 1 && word[0] == '-':
			if words, err = cluster(table, word[1:], words, complain); err != nil {
				return nil, bad, err
			}
		default:
			operands = append(operands, word)
		}
	}
	return operands, bad, nil
}

// cluster handles the short options in one word and returns the words left.
func cluster(table []option, letters string, words []string, complain func(string, ...any)) ([]string, error) {
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
			complain("invalid option -- '%c'", letters[i])
			continue
		case o.arg == "":
		case i+1 < len(letters):
			value, i = letters[i+1:], len(letters)
		case len(words) == 0:
			complain("option requires an argument -- '%c'", o.short)
			continue
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
