package lockstep

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/control"
)

func (a *app) backlog() *cobra.Command {
	o, limit := &askOptions{}, 100
	cmd := &cobra.Command{
		Use:     "backlog [flags] [MIRROR]",
		Short:   "List what targets have not acknowledged",
		Long:    "The oldest changes of each target come first. A path of class tree stands for\neverything below it.",
		Example: "  lockstep backlog\n  lockstep backlog www --target /srv/copy --limit 1000",
		Args:    a.mirrorArg,
		RunE: func(_ *cobra.Command, words []string) error {
			reply, err := a.ask(o, control.Request{Op: control.OpBacklog, Mirror: first(words), Target: o.target, Limit: limit})
			if err != nil {
				return err
			}
			a.tellPending(o.json, reply.Pending)
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	o.addTarget(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", limit, "list at most `N` paths for each target")
	return cmd
}

func (a *app) tellPending(jsonLines bool, pending []control.Pending) {
	if jsonLines {
		for _, p := range pending {
			a.console.object(pendingRecord{newHead("pending"), p})
		}
		return
	}
	if len(pending) == 0 {
		a.console.printf("nothing is pending")
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MIRROR\tTARGET\tAGE\tCLASS\tSTATE\tPATH")
	now := time.Now()
	for _, p := range pending {
		state, path := "waits", plain(p.Path)
		switch {
		case p.Held:
			state = "is being written"
		case p.Out:
			state = "on its way"
		case p.Tries > 0:
			state = fmt.Sprintf("failed %s", count(p.Tries, "time"))
		}
		if p.Path == "." {
			path = "everything, in a full pass"
		}
		if p.From != "" {
			path = plain(p.From) + " -> " + path
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Mirror, tree.Quote(p.Target), span(now.Sub(p.Since)), p.Class, state, path)
	}
	_ = w.Flush() // a strings.Builder takes everything
	a.console.printf("%s", strings.TrimRight(b.String(), "\n"))
}

func (a *app) explain() *cobra.Command {
	o := &askOptions{}
	cmd := &cobra.Command{
		Use:     "explain [flags] PATH",
		Short:   "Say why a path is mirrored or not",
		Long:    "The rule that decided is named, with its file and line, and the targets that have not\nacknowledged the path yet. PATH lies in a source; it need not exist.",
		Example: "  lockstep explain /web/www/cache/a.tmp",
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) != 1 {
				return usageError{hintedError{fmt.Errorf("explain: want one PATH"), cmd.CommandPath() + " --help"}}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, words []string) error {
			path, err := filepath.Abs(words[0])
			if err != nil {
				return usageError{err}
			}
			reply, err := a.ask(o, control.Request{Op: control.OpExplain, Path: []byte(path)})
			if err != nil {
				return err
			}
			for _, x := range reply.Explain {
				if o.json {
					a.console.object(explainedRecord{newHead("explained"), x})
					continue
				}
				a.console.printf("%s", explainText(x))
			}
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// explainText is an explanation for people.
func explainText(x control.Explain) string {
	verdict := "not mirrored"
	if x.Mirrored {
		verdict = "mirrored"
	}
	text := fmt.Sprintf("%s: %s: %s, %s", x.Mirror, plain(x.Path), verdict, plain(x.Why))
	if x.Rule != "" {
		text += fmt.Sprintf("\n  rule \"%s\" (%s)", plain(x.Rule), plain(x.Origin))
		if x.Decided != "" {
			text += " matches " + plain(x.Decided)
		}
	}
	for _, t := range x.Pending {
		text += "\n  pending for " + tree.Quote(t)
	}
	return text
}

// laggingText says why a target is not in step.
func laggingText(l control.Lagging, now time.Time) string {
	text := fmt.Sprintf("%s of %s is %s", tree.Quote(l.Target), l.Mirror, l.State)
	if l.Behind > 0 {
		text += ", " + count(l.Behind, "path") + " to go"
	}
	if l.Oldest != nil {
		text += ", the oldest of " + span(now.Sub(*l.Oldest)) + " ago"
	}
	if l.Error != "" {
		text += ": " + plain(l.Error)
	}
	return text
}
