package lockstep

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep/internal/rsync/daemon"
	"lockstep/internal/rsync/daemon/conf"
)

// daemonCommand holds what there is about rsync daemons besides running one.
func (a *app) daemonCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Judge the configuration of an rsync daemon",
		Long: `Judge the configuration of an rsync daemon. The daemon itself is started with
rsync's own words:

  lockstep rsync --daemon --config=/etc/rsyncd.conf`,
		Example: "  lockstep daemon check /etc/rsyncd.conf",
		Args:    a.noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.daemonCheck())
	return cmd
}

func (a *app) daemonCheck() *cobra.Command {
	var params []string
	var jsonLines bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Tell what each module of an rsyncd.conf does, and what is wrong with it",
		Long: `Tell what each module of an rsyncd.conf does, and what is wrong with it: unknown
parameters, modules that cannot be served, secrets that others may read, modules
that anybody may write to. Without FILE it is ` + daemon.DefaultConfig + `.

The exit code is 0 if every module can be served, with or without warnings, and 1
if not.`,
		Example: "  lockstep daemon check\n  lockstep daemon check ./rsyncd.conf\n  lockstep daemon check --json ./rsyncd.conf",
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) > 1 {
				return usageError{hintedError{fmt.Errorf("daemon check takes one file, but got %q", words), cmd.CommandPath() + " --help"}}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, words []string) error {
			file := daemon.DefaultConfig
			if len(words) > 0 {
				file = words[0]
			}
			a.json = jsonLines
			return a.checkDaemon(file, params)
		},
	}
	cmd.Flags().StringArrayVarP(&params, "dparam", "M", nil, "set a global parameter, as for the daemon (`NAME=VALUE`)")
	cmd.Flags().BoolVar(&jsonLines, "json", false, "print one object a line, see help json")
	return cmd
}

// checkDaemon prints a judgement.
func (a *app) checkDaemon(file string, params []string) error {
	modules, findings, err := daemon.Check(file, params)
	var whole *conf.Error
	if errors.As(err, &whole) && a.json {
		findings = append(findings, daemon.Finding{Where: whole.Where, Error: true, Text: strings.TrimPrefix(whole.Error(), whole.Where.String()+": ")})
	}
	wrong := 0
	for _, f := range findings {
		if f.Error {
			wrong++
		}
	}
	if a.json {
		a.judgement(modules, findings)
		a.console.object(judgedRecord{newHead("judged"), file, wrong, len(findings) - wrong})
	} else {
		a.tellModules(modules, findings)
	}
	switch {
	case err != nil:
		return usageError{err}
	case wrong == 1:
		return usageError{fmt.Errorf("%s has an error", file)}
	case wrong > 1:
		return usageError{fmt.Errorf("%s has %d errors", file, wrong)}
	}
	return a.console.failure()
}

// judgement prints objects.
func (a *app) judgement(modules []daemon.Description, findings []daemon.Finding) {
	for _, m := range modules {
		a.console.object(moduleRecord{newHead("module"), m.Name, m.Where.File, m.Where.Line, m.Lines})
	}
	for _, f := range findings {
		level := "warning"
		if f.Error {
			level = "error"
		}
		a.console.object(remarkRecord{newHead("remark"), level, f.Where.File, f.Where.Line, f.Text, f.Hint})
	}
}

// tellModules prints for people.
func (a *app) tellModules(modules []daemon.Description, findings []daemon.Finding) {
	for i, m := range modules {
		if i > 0 {
			a.console.printf("")
		}
		a.console.printf("%s", plain(cmp.Or(m.Name, "?")))
		for _, line := range m.Lines {
			a.console.printf("  %s", plain(line))
		}
	}
	for _, f := range findings {
		text := plain(f.Where.String() + ": " + f.Text)
		if f.Error {
			a.console.errorf("%s", text)
		} else {
			a.console.warnf("%s", text)
		}
		if f.Hint != "" {
			a.console.hintf("%s", plain(f.Hint))
		}
	}
}
