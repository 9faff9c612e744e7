package report_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"lockstep/internal/ops/report"
	"lockstep/internal/rsync/daemon"
)

func counts() daemon.Counts {
	return daemon.Counts{
		Started: start, Connections: 9, Waiting: 2, Refused: map[string]int{"auth": 3},
		Modules: map[string]daemon.ModuleCounts{
			"web1":  {Open: 1, Transfers: 5, Failed: 2, Totals: daemon.Totals{Files: 7, Bytes: 70, Sent: 800, Received: 900}},
			"w\xff": {},
		},
	}
}

func TestMetricsOfTheDaemonSayWhatWasCounted(t *testing.T) {
	w := httptest.NewRecorder()
	report.DaemonHandler(counts).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		"lockstep_rsyncd_start_time_seconds 1.7e+09", "lockstep_rsyncd_connections_total 9", "lockstep_rsyncd_waiting_connections 2",
		`lockstep_rsyncd_refused_total{reason="auth"} 3`, `lockstep_rsyncd_refused_total{reason="host"} 0`,
		`lockstep_rsyncd_open_transfers{module="web1"} 1`, `lockstep_rsyncd_transfers_total{module="web1"} 5`,
		`lockstep_rsyncd_failed_transfers_total{module="web1"} 2`, `lockstep_rsyncd_files_total{module="web1"} 7`,
		`lockstep_rsyncd_content_bytes_total{module="web1"} 70`, `lockstep_rsyncd_sent_bytes_total{module="web1"} 800`,
		`lockstep_rsyncd_received_bytes_total{module="web1"} 900`, `lockstep_rsyncd_transfers_total{module="w�"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	parses(t, text, len(report.DaemonMetrics))
}

// TestTheMetricsOfTheDaemonAreDocumented holds docs/metrics.md against the tables.
func TestTheMetricsOfTheDaemonAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, m := range report.DaemonMetrics {
		kind := "gauge"
		if m.Counter {
			kind = "counter"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", m.Name, kind, m.Label, m.Help)
	}
	if !strings.Contains(string(text), rows.String()) {
		t.Errorf("docs/metrics.md lacks\n%s", rows.String())
	}
	rows.Reset()
	for _, r := range daemon.Reasons {
		fmt.Fprintf(&rows, "| `%s` | %s |\n", r.Name, r.Text)
	}
	if !strings.Contains(string(text), rows.String()) {
		t.Errorf("docs/metrics.md lacks\n%s", rows.String())
	}
}
