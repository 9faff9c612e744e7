package lockstep

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/report"
)

func (a *app) status() *cobra.Command {
	o, watch, every := &askOptions{}, false, time.Second
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show how every mirror and every target does",
		Long: `For each target: its state and since when, how many paths it has not acknowledged
and the age of the oldest (LAG), batches in all and in the last minute, files and
bytes sent, and failures with the last one's reason.`,
		Example: "  lockstep status\n  lockstep status --watch\n  lockstep status --json",
		Args:    a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.json = o.json
			if watch {
				return a.watchStatus(o, every)
			}
			reply, err := a.ask(o, control.Request{Op: control.OpStatus})
			if err != nil {
				return err
			}
			a.tellStatus(o.json, *reply.Status)
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again and again; on a terminal, over the whole screen until q is pressed")
	cmd.Flags().Var(durationFlag{&every}, "every", "with --watch: how often")
	return cmd
}

func (a *app) tellStatus(jsonLines bool, s report.Status) {
	if jsonLines {
		a.console.object(statusRecord{newHead("status"), s})
		return
	}
	a.console.printf("%s", statusText(s, time.Now()))
}

// statusText is a status for people.
func statusText(s report.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, pid %d, up %s, %s", plain(s.Version), s.PID, span(now.Sub(s.Started)), tree.Quote(s.File))
	for i := range s.Mirrors {
		mirrorText(&b, &s.Mirrors[i], now)
	}
	return strings.TrimRight(b.String(), "\n")
}

func mirrorText(b *strings.Builder, m *report.Mirror, now time.Time) {
	fmt.Fprintf(b, "\n\n%s  %s  %s for %s", m.Name, tree.Quote(m.Source), m.State, span(now.Sub(m.Since)))
	if m.State != report.Running && m.Error != "" {
		fmt.Fprintf(b, ": %s", plain(m.Error))
		if m.Next != nil {
			fmt.Fprintf(b, "; it starts again at %s", clock(*m.Next))
		}
		if m.Hint != "" {
			fmt.Fprintf(b, " (%s)", plain(m.Hint))
		}
	}
	if m.Backend != "" {
		fmt.Fprintf(b, "\n%s; watched by %s (%s), %s", count(m.Entries, "entry"), m.Backend, plain(m.Reason), count(m.Events, "event"))
		for _, n := range []struct {
			n    int64
			what string
		}{
			{m.Watches, "watch"}, {m.Polled, "polled directory"},
			{m.InKernel, "kernel overflow"}, {m.InMemory, "memory overflow"},
			{m.Overflows - m.InKernel - m.InMemory, "lost place"}, {int64(m.Rescans), "rescan"}, {int64(m.Holding), "held file"},
		} {
			if n.n > 0 {
				fmt.Fprintf(b, ", %s", count(n.n, n.what))
			}
		}
	}
	switch {
	case m.Verified != nil && m.Differences > 0:
		fmt.Fprintf(b, "; %s found %s ago", count(m.Differences, "difference"), span(now.Sub(*m.Verified)))
	case m.Verified != nil:
		fmt.Fprintf(b, "; compared in full %s ago", span(now.Sub(*m.Verified)))
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  TARGET\tSTATE\tFOR\tBEHIND\tLAG\tBATCHES\t/MIN\tFILES\tCONTENT\tON THE WIRE\tERRORS")
	for _, t := range m.Targets {
		lag := "-"
		if t.Oldest != nil {
			lag = span(time.Duration(t.LagSeconds * float64(time.Second)))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\t%s\t%d\n", tree.Quote(t.Target), t.State, span(now.Sub(t.Since)),
			t.Behind, lag, t.Batches, t.PerMinute, t.Files, byteCount(t.Bytes), byteCount(t.Wire), t.Errors)
	}
	_ = w.Flush() // a strings.Builder takes everything
	for _, t := range m.Targets {
		if t.State == mirror.FirstPass.String() {
			fmt.Fprintf(b, "  %s: %s\n", tree.Quote(t.Target), t.Pass.Words(span))
		}
		if t.Error != "" && t.ErrorAt != nil {
			fmt.Fprintf(b, "  %s: last failure %s ago: %s\n", tree.Quote(t.Target), span(now.Sub(*t.ErrorAt)), plain(t.Error))
		}
	}
}
