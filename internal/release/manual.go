package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"lockstep/internal/cli/inotify"
	"lockstep/internal/cli/lockstep"
	"lockstep/internal/rsync/option"
)

// manuals are the manual pages of section 1, by file name.
func manuals(at time.Time) (map[string][]byte, error) {
	pages := map[string][]byte{}
	if err := commandPages(lockstep.Root(), at, pages); err != nil {
		return nil, err
	}
	for _, name := range faces[1:] {
		pages["lockstep-"+name+".1"] = facePage(name, at, "tell what happens to files and directories",
			fmt.Sprintf("**lockstep %s** [*option*]... [*path*]...\n\n**%s** [*option*]... [*path*]...", name, name), inotifyOptions(name))
	}
	pages["lockstep-rsync.1"] = facePage("rsync", at, "copy files, also to and from other machines",
		"**lockstep rsync** [*option*]... *source*... [*destination*]\n\n**lockstep rsync --daemon** [*option*]...", rsyncOptions())
	return pages, nil
}

// commandPages are those of a command and the ones below it.
func commandPages(cmd *cobra.Command, at time.Time, pages map[string][]byte) error {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			if err := commandPages(sub, at, pages); err != nil {
				return err
			}
		}
	}
	cmd.DisableAutoGenTag = true
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Date: &at, Source: "lockstep", Manual: "lockstep"}
	var b bytes.Buffer
	if err := doc.GenMan(cmd, header, &b); err != nil {
		return err
	}
	pages[name+".1"] = b.Bytes()
	return nil
}

// section is one of a page, a list of entries.
type section struct {
	title   string
	entries []entry
}

// entry is an option on a page.
type entry struct{ label, text string }

// facePage is the page of a program that lockstep stands in for.
func facePage(name string, at time.Time, what, synopsis string, sections []section) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%% \"LOCKSTEP-%s\" \"1\" %q \"lockstep\" \"lockstep\"\n", strings.ToUpper(name), at.Format("Jan 2006"))
	fmt.Fprintf(&b, "# NAME\nlockstep-%s - %s\n\n# SYNOPSIS\n%s\n\n# DESCRIPTION\n", name, what, synopsis)
	fmt.Fprintf(&b, "lockstep in the place of %s(1): the same options, output and exit codes. Called by that name, or with it as the "+
		"first word, the binary is that program; %s holds it under that name.\n\n", name, faceDir)
	for _, s := range sections {
		fmt.Fprintf(&b, "# %s\n", s.title)
		for _, e := range s.entries {
			fmt.Fprintf(&b, "**%s**\n: %s\n\n", escaped(e.label), escaped(e.text))
		}
	}
	fmt.Fprintf(&b, "# SEE ALSO\n**lockstep(1)**, **%s(1)**, /usr/share/doc/lockstep/divergence.md\n", name)
	return md2man.Render([]byte(b.String()))
}

// escaped takes their meaning from the characters that Markdown gives one.
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "`", "\\`", "[", `\[`, "]", `\]`, "|", `\|`).Replace(s)
}

func inotifyOptions(name string) []section {
	options, events := section{title: "OPTIONS"}, section{title: "EVENTS"}
	for _, o := range inotify.Options(name) {
		options.entries = append(options.entries, entry{o.Label, o.Help})
	}
	for _, e := range inotify.Events() {
		events.entries = append(events.entries, entry{e.Label, e.Help})
	}
	return []section{options, events}
}

func rsyncOptions() []section {
	options := func(title string, table []*option.Option) section {
		s := section{title: title}
		for _, l := range append(option.HelpLines(table, false), option.HelpLines(table, true)...) {
			s.entries = append(s.entries, entry{l.Label, l.Text})
		}
		return s
	}
	return []section{options("OPTIONS", option.Table()), options("OPTIONS OF THE DAEMON", option.DaemonTable())}
}
