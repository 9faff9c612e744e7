package web

import (
	"fmt"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/ops/report"
)

// view is everything that the page shows.
type view struct {
	Tone    report.Tone
	Verdict string
	Summary string
	Mirrors []mirrorView
	Changes []changeView
	Foot    string
}

type mirrorView struct {
	ID, Name, Source string
	Facts            []string
	Trouble          *report.Trouble
	Error            string
	Targets          []targetView
}

type targetView struct {
	ID, Name    string
	Tone        report.Tone
	State, For  string
	Lag, Behind string
	Rate, Sent  string
	Spark       spark
	Pass        *passView
	Trouble     *report.Trouble
	Error       string // the failure's own words
}

type passView struct {
	Percent int // -1 if not known
	Text    string
}

type changeView struct {
	ID       string
	Mirror   string
	At, Ago  string
	Paths    []string
	More     string
	Arrivals []arrivalView
}

type arrivalView struct{ Target, Lag string }

// newView makes what the page shows of a snapshot.
func newView(s report.Status, history map[key]*series, changes []report.Change, now time.Time) view {
	v := view{Foot: s.Version}
	if !s.Started.IsZero() {
		v.Foot += ", up " + since(now.Sub(s.Started))
	}
	if s.File != "" {
		v.Foot += ", " + tree.Quote(s.File)
	}
	targets := 0
	for i := range s.Mirrors {
		v.Mirrors = append(v.Mirrors, newMirrorView(i, &s.Mirrors[i], history, now))
		targets += len(s.Mirrors[i].Targets)
	}
	v.Tone, v.Verdict = s.Verdict()
	v.Summary = fmt.Sprintf("%s of %s", counted(targets, "target"), counted(len(s.Mirrors), "mirror"))
	if len(changes) > 0 {
		v.Summary += ", the last change arrived " + ago(now.Sub(changes[0].At))
	}
	for _, c := range changes {
		v.Changes = append(v.Changes, newChangeView(c, now))
	}
	return v
}

func newMirrorView(i int, m *report.Mirror, history map[key]*series, now time.Time) mirrorView {
	v := mirrorView{ID: fmt.Sprintf("m%d", i), Name: m.Name, Source: tree.Quote(m.Source)}
	if m.State != report.Running {
		v.Facts = append(v.Facts, m.State+" for "+since(now.Sub(m.Since)))
	}
	if m.Error != "" && m.State != report.Running {
		t := report.Explain(m.Error, m.Hint)
		v.Trouble, v.Error = &t, m.Error
		if m.Next != nil {
			v.Facts = append(v.Facts, "starts again in "+since(m.Next.Sub(now)))
		}
	}
	if m.Backend != "" {
		v.Facts = append(v.Facts, counted(m.Entries, "entry"), "watched by "+m.Backend)
	}
	for _, f := range []struct {
		n    int64
		what string
	}{{m.Polled, "polled directory"}, {m.InKernel, "kernel overflow"},
		{m.InMemory, "memory overflow"}, {m.Overflows - m.InKernel - m.InMemory, "lost place"}, {int64(m.Rescans), "rescan"}, {int64(m.Holding), "file being written"}} {
		if f.n > 0 {
			v.Facts = append(v.Facts, counted(int(f.n), f.what))
		}
	}
	if m.Verified != nil {
		text := "compared in full " + ago(now.Sub(*m.Verified))
		if m.Differences > 0 {
			text = counted(m.Differences, "difference") + " found " + ago(now.Sub(*m.Verified))
		}
		v.Facts = append(v.Facts, text)
	}
	for j, t := range m.Targets {
		v.Targets = append(v.Targets, newTargetView(fmt.Sprintf("%st%d", v.ID, j), m, t, history[key{m.Name, t.Target}], now))
	}
	return v
}

func newTargetView(id string, m *report.Mirror, t report.Target, h *series, now time.Time) targetView {
	v := targetView{ID: id, Name: tree.Quote(t.Target), State: t.State, For: since(now.Sub(t.Since)), Tone: t.Tone(),
		Lag: "none", Sent: size(float64(t.Bytes))}
	if t.Oldest != nil {
		v.Lag = span(time.Duration(t.LagSeconds * float64(time.Second)))
	}
	if t.Behind > 0 {
		v.Behind = counted(t.Behind, "path") + " behind"
	}
	v.Rate = "idle"
	if t.PerMinute > 0 {
		v.Rate = counted(t.PerMinute, "batch") + "/min"
	}
	if h != nil {
		v.Spark = newSpark(h.lag)
		if v.Behind == "" && v.Spark.Most != "" {
			v.Behind = "up to " + v.Spark.Most + " lately"
		}
		if r := h.rate(); r >= 1 {
			v.Rate = size(r) + "/s"
		}
	}
	if t.State == mirror.FirstPass.String() {
		v.Pass = newPassView(t.Pass)
	}
	if (v.Tone == report.Bad || t.Failing > 0) && t.Error != "" && m.State == report.Running {
		e := report.Explain(t.Error, t.Hint)
		v.Trouble, v.Error = &e, t.Error
	}
	return v
}

func newPassView(p report.Pass) *passView {
	v := &passView{Percent: -1, Text: p.Words(span)}
	if p.Total > 0 {
		v.Percent = p.Percent()
	}
	return v
}

func newChangeView(c report.Change, now time.Time) changeView {
	v := changeView{ID: fmt.Sprintf("c%d", c.Serial), Mirror: c.Mirror, At: c.At.Format("15:04:05"), Ago: ago(now.Sub(c.At)), Paths: c.Paths}
	if c.More > 0 {
		v.More = "and " + counted(c.More, "more path")
		if len(c.Paths) == 0 {
			v.More = counted(c.More, "path")
		}
	}
	for _, a := range c.Arrived {
		v.Arrivals = append(v.Arrivals, arrivalView{tree.Quote(a.Target), span(a.Lag)})
	}
	return v
}

// counted is a number of things.
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	switch {
	case strings.HasPrefix(one, "file being"):
		return report.Grouped(int64(n)) + " files being written"
	case strings.HasSuffix(one, "ry"):
		return report.Grouped(int64(n)) + " " + strings.TrimSuffix(one, "y") + "ies"
	case strings.HasSuffix(one, "ch"):
		return report.Grouped(int64(n)) + " " + one + "es"
	}
	return report.Grouped(int64(n)) + " " + one + "s"
}
