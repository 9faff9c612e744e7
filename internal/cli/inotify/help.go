package inotify

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// version is that of the inotify-tools whose behaviour this is.
const version = "4.23.9.0 (lockstep)"

// Documented is a line of --help.
type Documented struct{ Label, Help string }

// Options are those that --help of the program called name shows.
func Options(name string) []Documented { return newSettings(name).documented() }

// Events are the words that -e takes.
func Events() (all []Documented) {
	for _, e := range events {
		if e.help != "" {
			all = append(all, Documented{e.option, e.help})
		}
	}
	return all
}

func (s *settings) documented() (all []Documented) {
	for _, o := range s.table() {
		if o.help == "" {
			continue
		}
		words := "--" + o.long
		if o.short != 0 {
			words = "-" + string(o.short) + "|" + words
		}
		if o.arg != "" {
			words += " <" + strings.ToLower(o.arg) + ">"
		}
		all = append(all, Documented{words, o.help})
	}
	return append(all, Documented{"@<path>", "with -r, do not go into this directory"})
}

// help prints what the options do, from the tables.
func (s *settings) help(out io.Writer) {
	name := filepath.Base(s.name)
	fmt.Fprintf(out, "%s %s\n", name, version)
	if s.stats {
		fmt.Fprintln(out, "Count what happens to files and directories, and print a table at the end.")
	} else {
		fmt.Fprintln(out, "Wait for something to happen to files or directories.")
	}
	fmt.Fprintf(out, "Usage: %s [ options ] file1 [ file2 ] [ file3 ] [ ... ]\n", name)
	fmt.Fprintln(out, "Options:")
	for _, o := range s.documented() {
		fmt.Fprintf(out, "\t%-28s %s\n", o.Label, o.Help)
	}
	if !s.stats {
		io.WriteString(out, "\nFormat:\n"+
			"\t%w  the watched path as it was given    %f  the name in a watched directory\n"+
			"\t%e  the events, %Xe with X between them  %c  the cookie of a move\n"+
			"\t%T  the time, see --timefmt              %0 NUL  %n newline  %% percent\n")
	}
	fmt.Fprint(out, "\nExit status:\n")
	if s.stats {
		fmt.Fprint(out, "\t0  -  ended as asked\n\t1  -  an error\n")
	} else {
		fmt.Fprint(out, "\t0  -  an event that was asked for arrived\n"+
			"\t1  -  another event ended the wait (the path was removed or unmounted,\n\t      events were lost), or an error\n"+
			"\t2  -  no event within the time given with --timeout\n")
	}
	fmt.Fprint(out, "\nEvents:\n")
	for _, e := range Events() {
		fmt.Fprintf(out, "\t%-15s %s\n", e.Label, e.Help)
	}
	fmt.Fprintf(out, "\nExamples:\n")
	if s.stats {
		fmt.Fprintf(out, "\t%s -v -r -t 60 /srv/www\n\t%s -e modify,create -d modify /var/log\n", name, name)
		return
	}
	fmt.Fprintf(out, "\t%s -mrq --format '%%T %%w%%f %%e' --timefmt '%%F %%T' -e close_write,delete /srv/www\n"+
		"\twhile %s -qq -e close_write config.toml; do ./reload; done\n", name, name)
}
