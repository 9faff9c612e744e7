package report_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
	"lockstep/internal/ops/report"
)

var start = time.Unix(1_700_000_000, 0)

// status is one of a mirror whose targets are in the given states.
func status(state string, targets ...mirror.Status) report.Status {
	m := report.Mirror{Name: "www", Source: "/web", State: state, Since: start}
	s := mirror.State{Source: "/web", Watch: watch.Choice{Backend: watch.Inotify, Reason: "why"}, Entries: 7, Rescans: 2}
	s.Watcher.Watches = 3
	for i, t := range targets {
		s.Targets = append(s.Targets, mirror.TargetState{Name: fmt.Sprint("t", i), Status: t, Since: start, Behind: 5,
			Oldest: start.Add(7 * time.Second), LastErr: "no\nroute", LastAt: start, Batches: 4, Wire: 99})
	}
	m.Fill(s, start.Add(10*time.Second), func(string) int { return 6 }, func(string) target.Progress {
		return target.Progress{Files: 1, Bytes: 20, Checked: 50, Total: 200}
	})
	return report.Status{Version: "v1\xff", Started: start, Loaded: start, Mirrors: []report.Mirror{m}}
}

func get(t *testing.T, s report.Status, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	report.Handler(func() report.Status { return s }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// parses holds what /metrics says against Prometheus' own reader, and against
// the number of our metrics that it must find.
func parses(t *testing.T, text string, ours int) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		if strings.HasPrefix(name, "lockstep_") {
			ours--
			if family.GetHelp() == "" {
				t.Errorf("%s has no help", name)
			}
			if counts := strings.HasSuffix(name, "_total"); counts != (family.GetType() == dto.MetricType_COUNTER) {
				t.Errorf("%s is a %s", name, family.GetType())
			}
		}
	}
	if ours != 0 {
		t.Errorf("%d metrics are missing", ours)
	}
}

// A name that ends a line or a label would let whoever may name a target say
// what he likes to the monitoring.
func TestLabelsAreEscaped(t *testing.T) {
	s := status(report.Running, mirror.InStep)
	s.Mirrors[0].Targets[0].Target = "a\"} 1\n\\b"
	_, text := get(t, s, "/metrics")
	if want := `lockstep_target_in_step{mirror="www",target="a\"} 1\n\\b"} 1` + "\n"; !strings.Contains(text, want) {
		t.Errorf("there is no line %s", want)
	}
	parses(t, text, len(report.Metrics)+1)
}

func TestMetricsSayWhatTheStatusSays(t *testing.T) {
	code, text := get(t, status(report.Running, mirror.InStep, mirror.Failing), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("got %d: %s", code, text)
	}
	for _, line := range []string{
		`lockstep_info{version="v1�"} 1`,
		`lockstep_start_time_seconds 1.7e+09`,
		`lockstep_mirror_up{mirror="www"} 1`,
		`lockstep_mirror_healthy{mirror="www"} 0`,
		`lockstep_mirror_entries{mirror="www"} 7`,
		`lockstep_watch_watches{mirror="www"} 3`,
		`lockstep_watch_rescans_total{mirror="www"} 2`,
		`lockstep_target_in_step{mirror="www",target="t0"} 1`,
		`lockstep_target_failing{mirror="www",target="t1"} 1`,
		`lockstep_target_lag_seconds{mirror="www",target="t1"} 3`,
		`lockstep_target_wire_bytes_total{mirror="www",target="t1"} 99`,
		"\ngo_goroutines ", "\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ", "\nprocess_open_fds ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	parses(t, text, len(report.Metrics)+1)
}

func TestHealthAndReadiness(t *testing.T) {
	for name, c := range map[string]struct {
		status        report.Status
		health, ready int
		says          string
	}{
		"all in step":           {status(report.Running, mirror.InStep, mirror.Behind), 200, 200, "ok"},
		"a first pass":          {status(report.Running, mirror.InStep, mirror.FirstPass), 200, 503, "ok"},
		"a target that fails":   {status(report.Running, mirror.Failing), 503, 503, `t0 is failing: "no\nroute"`},
		"a paused target":       {status(report.Running, mirror.Paused), 200, 200, "ok"},
		"a mirror that failed":  {status(report.Failed, mirror.InStep), 503, 503, "mirror www is failed"},
		"a mirror that started": {status(report.Running), 200, 503, "ok"},
		"nothing":               {report.Status{}, 200, 200, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			code, text := get(t, c.status, "/healthz")
			if code != c.health || !strings.Contains(text, c.says) {
				t.Errorf("/healthz: %d %q, want %d %q", code, text, c.health, c.says)
			}
			if code, text := get(t, c.status, "/readyz"); code != c.ready {
				t.Errorf("/readyz: %d %q, want %d", code, text, c.ready)
			}
		})
	}
}

func TestTheServerListensAndCloses(t *testing.T) {
	s, err := report.Serve("127.0.0.1:0", func() report.Status { return report.Status{} })
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.Addr().String() + "/healthz"
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if string(body) != "ok\n" {
		t.Errorf("got %q", body)
	}
	if _, err := report.Serve(s.Addr().String(), nil); err == nil {
		t.Error("an address that is taken is no error")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("it still answers")
	}
}

func TestTheMeterForgetsAfterAMinute(t *testing.T) {
	var m report.Meter
	if n := m.LastMinute("x", start); n != 0 {
		t.Errorf("nothing counts %d", n)
	}
	for i := range 100 {
		m.Add("x", start.Add(time.Duration(i)*time.Second))
	}
	if n := m.LastMinute("x", start.Add(99*time.Second)); n != 60 {
		t.Errorf("after 99 s: %d, want 60", n)
	}
	if n := m.LastMinute("x", start.Add(129*time.Second)); n != 30 {
		t.Errorf("after 129 s: %d, want 30", n)
	}
	if n := m.LastMinute("x", start.Add(time.Hour)); n != 0 {
		t.Errorf("after an hour: %d", n)
	}
}

// TestTheMetricsAreDocumented holds docs/metrics.md against the table.
func TestTheMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `lockstep_") && !strings.HasPrefix(line, "| `lockstep_rsyncd_") {
			rows++
		}
	}
	if rows != len(report.Metrics)+1 {
		t.Errorf("docs/metrics.md has %d metrics, want %d", rows, len(report.Metrics)+1)
	}
	for _, m := range report.Metrics {
		kind := "gauge"
		if m.Counter {
			kind = "counter"
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.Name, kind, strings.Join(m.Labels, ", "), m.Help)
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/metrics.md lacks\n%s", row)
		}
	}
}

func TestAFullPassSaysHowLongItWillTake(t *testing.T) {
	got := status(report.Running, mirror.FirstPass, mirror.InStep).Mirrors[0].Targets
	if want := (report.Pass{Checked: 50, Total: 200, Sent: 20, Rate: 5, Left: 30}); got[0].Pass != want {
		t.Errorf("got %+v, want %+v", got[0].Pass, want)
	}
	if got[1].Pass != (report.Pass{}) {
		t.Errorf("a target in step has a pass: %+v", got[1].Pass)
	}
	for name, c := range map[string]struct {
		p       target.Progress
		running time.Duration
		want    report.Pass
	}{
		"too early to say":           {target.Progress{Checked: 5, Total: 10}, 10 * time.Millisecond, report.Pass{Checked: 5, Total: 10}},
		"the total is not known":     {target.Progress{Checked: 10}, 2 * time.Second, report.Pass{Checked: 10, Rate: 5}},
		"more came meanwhile":        {target.Progress{Checked: 12, Total: 10}, 2 * time.Second, report.Pass{Checked: 10, Total: 10, Rate: 5}},
		"nothing has been done with": {target.Progress{Total: 10}, time.Hour, report.Pass{Total: 10}},
	} {
		if got := report.NewPass(c.p, c.running); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTheJournalJoinsWhatReachesSeveralTargets(t *testing.T) {
	var j report.Journal
	paths := func(names ...string) (b mirror.BatchReport) {
		for _, n := range names {
			b.Paths = append(b.Paths, tree.Path(n))
		}
		b.Changes, b.At, b.Lag = len(names), start, time.Second
		return b
	}
	j.Add("www", "t0", paths("a", "b\n", "c", "d"))
	j.Add("www", "t0", paths("e"))
	j.Add("www", "t1", paths("a", "b\n", "c", "d"))
	j.Add("www", "t0", paths("e")) // again
	j.Add("db", "t1", paths("e"))  // of another mirror
	got := j.Recent(10)
	if len(got) != 4 || got[0].Mirror != "db" || got[3].More != 1 || len(got[3].Arrived) != 2 || got[3].Arrived[1].Target != "t1" {
		t.Fatalf("got %+v", got)
	}
	if want := []string{"a", `"b\n"`, "c"}; !slices.Equal(got[3].Paths, want) {
		t.Errorf("got %q, want %q", got[3].Paths, want)
	}
	if got[3].Serial <= got[2].Serial {
		t.Error("a change that reached one more target has an old serial")
	}
	for i := range 300 {
		j.Add("www", "t0", paths(fmt.Sprint(i)))
	}
	if got := j.Recent(1000); len(got) != 200 || got[0].Paths[0] != "299" {
		t.Errorf("%d are kept, the newest is %v", len(got), got[0])
	}
}

func TestErrorsAreExplained(t *testing.T) {
	for err, want := range map[string]string{
		"rsync session: dialling: dial tcp 10.0.0.1:873: connect: connection refused (code 10)": "no rsync daemon answers",
		"rsync session: authentication: @ERROR: auth failed on module web1 (code 5)":            "does not accept the user",
		"write: No space left on device (28)":                                                   "is full",
		"Permission denied (publickey,password).":                                               "ssh does not get in",
		"mkdir x: permission denied":                                                            "may not be read here",
		"something new":                                                                         "something new",
	} {
		if got := report.Explain(err, ""); !strings.Contains(got.Words, want) || got.Next == "" {
			t.Errorf("%s: got %+v, want %q", err, got, want)
		}
	}
	if got := report.Explain("auth failed", "chmod 600 x"); got.Next != "chmod 600 x" {
		t.Errorf("the hint is lost: %+v", got)
	}
}
