package option

import (
	"fmt"
	"strings"
)

// OptionHelp is what --help says of the options of a table, a line each: those
// that rsync has, or those that it does not have.
func OptionHelp(rows []*Option, own bool) string {
	var b strings.Builder
	for _, l := range HelpLines(rows, own) {
		fmt.Fprintf(&b, "%-24s %s\n", l.Label, l.Text)
	}
	return b.String()
}

// HelpLines are the lines of OptionHelp.
func HelpLines(rows []*Option, own bool) (lines []HelpLine) {
	for _, o := range rows {
		if o.Own != own {
			continue
		}
		if o.Help != "" {
			lines = append(lines, HelpLine{o.label(), o.Help})
		}
		lines = append(lines, o.More...)
	}
	return lines
}

// label is what stands in front of an option's help.
func (o *Option) label() string {
	switch {
	case o.Label != "":
		return o.Label
	case o.Long == "":
		return "-" + string(rune(o.Short))
	}
	label := "--" + o.Long
	if o.Arg != "" {
		label += "=" + o.Arg
	}
	if o.Short != 0 {
		label += ", -" + string(rune(o.Short))
	}
	return label
}
