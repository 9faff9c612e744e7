package option

import (
	"fmt"
	"strings"
)

// OptionHelp is what --help says of the options of a table, a line each: those
// that rsync has, or those that it does not have.
func OptionHelp(rows []*Option, own bool) string {
	var b strings.Builder
	line := func(label, text string) { fmt.Fprintf(&b, "%-24s %s\n", label, text) }
	for _, o := range rows {
		if o.Own != own {
			continue
		}
		if o.Help != "" {
			line(o.label(), o.Help)
		}
		for _, more := range o.More {
			line(more.Label, more.Text)
		}
	}
	return b.String()
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
