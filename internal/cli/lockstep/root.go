package lockstep

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is one run of the command line.
type app struct {
	in      io.Reader
	console *console
	json    bool // the command prints objects, its errors too
}

// Main runs lockstep with the words after the program's name and returns the
// exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, console: newConsole(out, errs)}
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // nil would be the process's own
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	return a.report(root.Execute())
}

// report shows the error that ends the command, if any, and gives its code.
func (a *app) report(err error) int {
	code := codeOf(err)
	if err == nil {
		return code
	}
	text, hint := plain(err.Error()), hintOf(err)
	if a.json {
		a.console.object(errorRecord{newHead("error"), text, hint, code})
	}
	a.console.errorf("%s", text)
	if hint != "" {
		a.console.hintf("%s", hint)
	}
	return code
}

// Root is the tree of commands, for manual pages: what is run prints nothing.
func Root() *cobra.Command { return (&app{console: newConsole(io.Discard, io.Discard)}).root() }

// root is the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lockstep",
		Short: "Keep directory trees in step, in real time",
		Long: `lockstep keeps directory trees on other machines in step with a source tree, in
real time: into directories, into the rsync daemons that already run, and over
ssh. Every change is on its way as soon as its file is closed.`,
		Example: `  lockstep demo
  lockstep mirror /web/www /srv/copy
  lockstep mirror --password-file=/etc/web1.pass /web/www liang@192.168.1.32::web1`,
		Args:              a.noArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(flagError)
	cobra.AddTemplateFunc("wrapped", func(f *pflag.FlagSet) string { return f.FlagUsagesWrapped(a.console.width()) })
	root.SetUsageTemplate(strings.NewReplacer(".LocalFlags.FlagUsages", "wrapped .LocalFlags").Replace(root.UsageTemplate()))
	cobra.EnableCommandSorting = false
	root.AddCommand(a.mirror(), a.demo(), a.daemonCommand())
	root.AddCommand(a.opsCommands()...)
	root.AddCommand(a.versionCommand(), a.completion(), exitTopic(), jsonTopic(), formatTopic())
	root.SetHelpCommand(a.help(root))
	return root
}

// alwaysOn are rsync's options for what a mirror does anyway: people's fingers
// know them.
var alwaysOn = []string{"a", "archive", "r", "recursive", "l", "links", "p", "perms", "t", "times", "g", "group",
	"o", "owner", "D", "devices", "specials", "delete"}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && cmd.Name() == "mirror" && slices.Contains(alwaysOn, unknown.GetSpecifiedName()) {
		err = fmt.Errorf("%w; leave it out: a mirror always does that", err)
	}
	return usageError{hintedError{err, cmd.CommandPath() + " --help"}}
}

// help is cobra's help command with an error for a topic that isn't there.
func (a *app) help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND | TOPIC]",
		Short:   "Help on a command or a topic",
		Example: "  lockstep help mirror\n  lockstep help exit-codes",
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil || len(rest) > 0 {
				return usageError{hintedError{fmt.Errorf("there is no help on %q", strings.Join(words, " ")), "lockstep help"}}
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// noArgs refuses words that a command doesn't take.
func (a *app) noArgs(cmd *cobra.Command, words []string) error {
	if len(words) == 0 {
		return nil
	}
	if !cmd.HasParent() {
		return usageError{hintedError{fmt.Errorf("there is no command %q", words[0]), "lockstep help"}}
	}
	return usageError{hintedError{fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), words[0]), cmd.CommandPath() + " --help"}}
}

func exitTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long:  "The exit codes. Numbers from 1 to 25 mean what they mean to rsync.\n\n" + strings.TrimRight(exitHelp(), "\n"),
	}
}

func jsonTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("With --json every line of standard output is one object. All have\n\n")
	for _, k := range headKeys() {
		fmt.Fprintf(&b, "  %-12s %s\n", k.name, k.meaning)
	}
	for _, e := range jsonEvents {
		fmt.Fprintf(&b, "\n%s: %s\n", e.event, e.meaning)
		for _, k := range jsonKeys(e.object) {
			fmt.Fprintf(&b, "  %-18s %s\n", k.name, k.meaning)
		}
	}
	return &cobra.Command{Use: "json", Short: "The objects that --json prints", Long: strings.TrimRight(b.String(), "\n")}
}

// conversions is the table of --format.
var conversions = []struct{ conversion, meaning string }{
	{"%w", "the directory of the change, as the source was typed, with a final slash"},
	{"%f", "the name in that directory; empty for the source itself"},
	{"%e", "the events, in capitals, separated by commas: CLOSE_WRITE,CLOSE"},
	{"%Xe", "the same separated by X, any one character"},
	{"%T", "the time, in the format of --timefmt (strftime)"},
	{"%c", "the cookie that pairs MOVED_FROM with MOVED_TO, in hex; 0 if there is none"},
	{"%0", "a NUL byte; names are then written as they are"},
	{"%n", "a line end"},
	{"%%", "a percent sign"},
}

func formatTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("What --format of the log file may contain, as with inotifywait:\n\n")
	for _, c := range conversions {
		fmt.Fprintf(&b, "  %-4s %s\n", c.conversion, c.meaning)
	}
	b.WriteString(`
Anything else is copied. A line end is added unless the format ends with %n or
%0. Without %0, bytes of a name that would break the line, and those that are
not UTF-8, are written as \# and three octal digits.`)
	return &cobra.Command{Use: "format", Short: "The conversions of --format", Long: b.String()}
}
