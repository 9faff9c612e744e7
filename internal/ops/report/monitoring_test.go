package report_test

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/ops/report"
)

var update = flag.Bool("update", false, "write docs/monitoring anew")

// upToDate holds a file of docs/monitoring against what the tables give.
func upToDate(t *testing.T, name string, want []byte) {
	t.Helper()
	path := "../../../docs/monitoring/" + name
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the tables give (%v): go test ./internal/ops/report -run %s -update", path, err, t.Name())
	}
}

func known() map[string]bool {
	names := map[string]bool{"lockstep_info": true}
	for _, m := range report.Metrics {
		names[m.Name] = true
	}
	for _, m := range report.DaemonMetrics {
		names[m.Name] = true
	}
	return names
}

var metricName = regexp.MustCompile(`lockstep_[a-z_]+`)

func TestTheAlertRulesAreUpToDate(t *testing.T) {
	rules := report.AlertRules()
	upToDate(t, "lockstep.rules.yml", []byte(rules))
	names := known()
	for _, a := range report.Alerts {
		for _, name := range metricName.FindAllString(a.Expr, -1) {
			if !names[name] {
				t.Errorf("%s asks for %s, which does not exist", a.Name, name)
			}
		}
		if a.Summary == "" || a.Description == "" || a.Severity != "warning" && a.Severity != "critical" {
			t.Errorf("%s is not complete: %+v", a.Name, a)
		}
		doc, err := os.ReadFile("../../../docs/metrics.md")
		if err != nil || !strings.Contains(string(doc), "| `"+a.Name+"` | `"+strings.ReplaceAll(a.Expr, "|", `\|`)+"` | "+a.For+" | "+a.Severity+" |\n") {
			t.Errorf("docs/metrics.md lacks\n| `%s` | `%s` | %s | %s |", a.Name, a.Expr, a.For, a.Severity)
		}
	}
}

func TestTheDashboardIsUpToDate(t *testing.T) {
	text, err := report.Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	upToDate(t, "lockstep-dashboard.json", text)
	var d struct {
		Panels []struct {
			ID      int
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	names := known()
	delete(names, "lockstep_info")
	taken := map[[2]int]int{}
	for _, p := range d.Panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != 0 || x >= 24 {
					t.Fatalf("panel %d lies on %d", p.ID, other)
				}
				taken[[2]int{x, y}] = p.ID
			}
		}
		for _, q := range p.Targets {
			for _, name := range metricName.FindAllString(q.Expr, -1) {
				delete(names, name)
			}
		}
	}
	if len(names) > 0 {
		t.Errorf("no panel shows %v", names)
	}
}
