package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Alert is a rule of Prometheus.
type Alert struct {
	Name, Expr, For, Severity string
	Summary, Description      string
}

// Alerts is the table that docs/monitoring/lockstep.rules.yml is made from.
var Alerts = []Alert{
	{"LockstepDown", `up{job="lockstep"} == 0`, "2m", "critical", "lockstep does not answer on {{ $labels.instance }}",
		"Nothing is mirrored there. systemctl status lockstep"},
	{"LockstepMirrorDown", `lockstep_mirror_up == 0`, "2m", "critical", "The mirror {{ $labels.mirror }} does not run",
		"Its source may be gone, or it may wait for an operator. lockstep status"},
	{"LockstepTargetFailing", `lockstep_target_failing == 1`, "2m", "critical", "{{ $labels.target }} of {{ $labels.mirror }} fails",
		"It is tried again, unless it refused for good or too much would be deleted. lockstep status, lockstep doctor"},
	{"LockstepTargetBehind", `lockstep_target_lag_seconds > 60`, "1m", "warning", "{{ $labels.target }} of {{ $labels.mirror }} is {{ $value | humanizeDuration }} behind",
		"Counted from the oldest change that it has not acknowledged. lockstep backlog"},
	{"LockstepPathsFailing", `lockstep_target_failing_paths > 0`, "10m", "warning", "{{ $value }} paths do not get to {{ $labels.target }} of {{ $labels.mirror }}",
		"The rest does. lockstep backlog, lockstep explain PATH"},
	{"LockstepEventsLost", `increase(lockstep_watch_overflows_total[1h]) > 3`, "0m", "warning", "Events of {{ $labels.mirror }} are lost again and again",
		"Each time the source is scanned anew. lockstep status says whether the kernel's queue or lockstep's memory overflowed, lockstep doctor which limit to raise"},
	{"LockstepWatchesMissing", `lockstep_watch_polled_directories > 0`, "15m", "warning", "{{ $value }} directories of {{ $labels.mirror }} are polled",
		"Inotify watches ran out. lockstep doctor --fix"},
	{"LockstepDifferences", `lockstep_mirror_differences > 0`, "0m", "critical", "{{ $value }} paths of {{ $labels.mirror }} are not on its targets what they are in the source",
		"Found by lockstep verify; somebody writes to a target, or this is a fault of ours. lockstep verify --repair"},
	{"LockstepNotVerified", `time() - lockstep_mirror_verified_time_seconds > 8 * 86400 and lockstep_mirror_verified_time_seconds > 0`, "1h", "warning",
		"{{ $labels.mirror }} has not been compared in full for {{ $value | humanizeDuration }}", "systemctl list-timers 'lockstep-verify@*'"},
	{"LockstepDaemonRefuses", `sum by (instance, reason) (increase(lockstep_rsyncd_refused_total[15m])) > 20`, "0m", "warning",
		"The rsync daemon on {{ $labels.instance }} has refused {{ $value }} connections: {{ $labels.reason }}", "Its log says whose they were"},
	{"LockstepDaemonTransfersFail", `increase(lockstep_rsyncd_failed_transfers_total[15m]) > 5`, "0m", "warning",
		"Transfers of the module {{ $labels.module }} fail", "The daemon's log says why"},
}

// AlertRules is a rule file of Prometheus.
func AlertRules() string {
	var b strings.Builder
	b.WriteString("# Made from the tables of lockstep; see docs/metrics.md.\ngroups:\n  - name: lockstep\n    rules:\n")
	for _, a := range Alerts {
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n        for: %s\n        labels:\n          severity: %s\n        annotations:\n          summary: %s\n          description: %s\n",
			a.Name, scalar(a.Expr), a.For, a.Severity, scalar(a.Summary), scalar(a.Description))
	}
	return b.String()
}

// scalar writes a single-quoted scalar (YAML 1.2.2, 7.3.2).
func scalar(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// object is one of JSON.
type object = map[string]any

// Sizes of the dashboard's panels, of 24 columns.
const (
	panelWidth  = 8
	panelHeight = 7
)

// row is a heading of the dashboard with the metrics below it.
type row struct {
	title, prefix string
}

var rows = []row{
	{"Targets", "lockstep_target_"}, {"Mirrors", "lockstep_mirror_"}, {"Watching", "lockstep_watch_"},
	{"rsync daemon", "lockstep_rsyncd_"}, {"Process", "lockstep_"},
}

// panel is what is shown of one metric.
type panel struct {
	name, help string
	counter    bool
	labels     []string
}

// panels are the metrics of all tables.
func panels() (all []panel) {
	for _, m := range Metrics {
		all = append(all, panel{m.Name, m.Help, m.Counter, m.Labels})
	}
	for _, m := range DaemonMetrics {
		p := panel{name: m.Name, help: m.Help, counter: m.Counter}
		if m.Label != "" {
			p.labels = []string{m.Label}
		}
		all = append(all, p)
	}
	return all
}

// json is the panel as Grafana has it, at a place of the grid.
func (p panel) json(id, x, y int) object {
	expr, unit, title := p.name, "short", strings.TrimSuffix(p.help, ".")
	selector := `{instance=~"$instance"}`
	if len(p.labels) > 0 && p.labels[0] == "mirror" {
		selector = `{instance=~"$instance", mirror=~"$mirror"}`
	}
	switch {
	case strings.HasSuffix(p.name, "_time_seconds"):
		expr, unit = "time() - "+p.name+selector, "s"
		title += " (how long ago)"
	case p.counter:
		expr = "rate(" + p.name + selector + "[$__rate_interval])"
		title += " (a second)"
		if unit = "ops"; strings.HasSuffix(p.name, "_bytes_total") {
			unit = "Bps"
		}
	default:
		expr += selector
		if strings.HasSuffix(p.name, "_seconds") {
			unit = "s"
		}
	}
	var legend []string
	for _, l := range append([]string{"instance"}, p.labels...) {
		legend = append(legend, "{{"+l+"}}")
	}
	return object{
		"id": id, "type": "timeseries", "title": title, "description": p.name,
		"gridPos":    object{"h": panelHeight, "w": panelWidth, "x": x, "y": y},
		"datasource": object{"type": "prometheus", "uid": "${datasource}"},
		"fieldConfig": object{"defaults": object{"unit": unit, "min": 0, "custom": object{"fillOpacity": 10}},
			"overrides": []object{}},
		"targets": []object{{"refId": "A", "expr": expr, "legendFormat": strings.Join(legend, " ")}},
	}
}

// variable is one that the dashboard offers to choose.
func variable(name, query string) object {
	return object{"name": name, "type": "query", "datasource": object{"type": "prometheus", "uid": "${datasource}"},
		"query": query, "refresh": 2, "multi": true, "includeAll": true, "current": object{"text": "All", "value": "$__all"}}
}

// Dashboard is one of Grafana, with a panel for each metric.
func Dashboard() ([]byte, error) {
	var shown []object
	done := map[string]bool{}
	id, y := 0, 0
	for _, r := range rows {
		id++
		shown = append(shown, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []object{},
			"gridPos": object{"h": 1, "w": 24, "x": 0, "y": y}})
		y++
		x := 0
		for _, p := range panels() {
			if done[p.name] || !strings.HasPrefix(p.name, r.prefix) {
				continue
			}
			done[p.name] = true
			if x+panelWidth > 24 {
				x, y = 0, y+panelHeight
			}
			id++
			shown = append(shown, p.json(id, x, y))
			x += panelWidth
		}
		y += panelHeight
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	err := out.Encode(object{
		"title": "lockstep", "uid": "lockstep", "tags": []string{"lockstep"}, "schemaVersion": 39, "version": 1, "editable": true,
		"refresh": "10s", "time": object{"from": "now-1h", "to": "now"}, "panels": shown,
		"templating": object{"list": []object{
			{"name": "datasource", "type": "datasource", "query": "prometheus"},
			variable("instance", "label_values(lockstep_info, instance)"),
			variable("mirror", `label_values(lockstep_mirror_up{instance=~"$instance"}, mirror)`),
		}},
	})
	return b.Bytes(), err
}
