package report

import (
	"maps"
	"net/http"
	"slices"

	"lockstep/internal/rsync/daemon"
)

// DaemonMetric is one documented metric of the rsync daemon. One with the label
// "module" has a value for each module that a client has used, one with "reason"
// for each reason.
type DaemonMetric struct {
	Name, Help string
	Counter    bool
	Label      string // "" is none
	value      func(c *daemon.Counts, label string) float64
}

// ofModule is a value of one module.
func ofModule(get func(daemon.ModuleCounts) float64) func(*daemon.Counts, string) float64 {
	return func(c *daemon.Counts, module string) float64 { return get(c.Modules[module]) }
}

// DaemonMetrics is the table that /metrics of the daemon and docs/metrics.md are
// made from.
var DaemonMetrics = []DaemonMetric{
	{"lockstep_rsyncd_start_time_seconds", "When the daemon started, unix time.", false, "",
		func(c *daemon.Counts, _ string) float64 { return unixTime(c.Started) }},
	{"lockstep_rsyncd_connections_total", "Connections accepted.", true, "",
		func(c *daemon.Counts, _ string) float64 { return float64(c.Connections) }},
	{"lockstep_rsyncd_waiting_connections", "Connections of clients that have not logged in.", false, "",
		func(c *daemon.Counts, _ string) float64 { return float64(c.Waiting) }},
	{"lockstep_rsyncd_refused_total", "Connections refused.", true, "reason",
		func(c *daemon.Counts, reason string) float64 { return float64(c.Refused[reason]) }},
	{"lockstep_rsyncd_open_transfers", "Transfers under way.", false, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Open) })},
	{"lockstep_rsyncd_transfers_total", "Transfers that have ended.", true, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Transfers) })},
	{"lockstep_rsyncd_failed_transfers_total", "Of these, those that failed or were refused.", true, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Failed) })},
	{"lockstep_rsyncd_files_total", "Files whose content was sent or received.", true, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Files) })},
	{"lockstep_rsyncd_content_bytes_total", "Bytes of these files.", true, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Bytes) })},
	{"lockstep_rsyncd_sent_bytes_total", "Bytes sent on the wire.", true, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Sent) })},
	{"lockstep_rsyncd_received_bytes_total", "Bytes received on the wire.", true, "module",
		ofModule(func(m daemon.ModuleCounts) float64 { return float64(m.Received) })},
}

// writeDaemon adds the metrics of counts.
func writeDaemon(e *exposition, counts *daemon.Counts) {
	for _, m := range DaemonMetrics {
		e.head(m.Name, m.Help, m.Counter)
		switch m.Label {
		case "module":
			for _, name := range slices.Sorted(maps.Keys(counts.Modules)) {
				e.value(m.Name, m.value(counts, name), m.Label, name)
			}
		case "reason":
			for _, r := range daemon.Reasons {
				e.value(m.Name, m.value(counts, r.Name), m.Label, r.Name)
			}
		default:
			e.value(m.Name, m.value(counts, ""))
		}
	}
}

// DaemonHandler serves /metrics of an rsync daemon.
func DaemonHandler(counts func() daemon.Counts) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(func(e *exposition) {
		now := counts()
		writeDaemon(e, &now)
	}))
	return mux
}

// ServeDaemon serves DaemonHandler on an address until Close.
func ServeDaemon(address string, counts func() daemon.Counts) (*Server, error) {
	return serve(address, DaemonHandler(counts))
}
