package report

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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
		func(c *daemon.Counts, _ string) float64 { return unix(c.Started) }},
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

// daemonCollector makes metrics of counts taken at each scrape.
type daemonCollector struct {
	counts func() daemon.Counts
	descs  []*prometheus.Desc // of DaemonMetrics, in order
}

// NewDaemonCollector makes the metrics of what counts says.
func NewDaemonCollector(counts func() daemon.Counts) prometheus.Collector {
	c := &daemonCollector{counts: counts}
	for _, m := range DaemonMetrics {
		var labels []string
		if m.Label != "" {
			labels = []string{m.Label}
		}
		c.descs = append(c.descs, prometheus.NewDesc(m.Name, m.Help, labels, nil))
	}
	return c
}

// Describe lists the metrics.
func (c *daemonCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect takes the counts.
func (c *daemonCollector) Collect(out chan<- prometheus.Metric) {
	counts := c.counts()
	for i, m := range DaemonMetrics {
		kind := prometheus.GaugeValue
		if m.Counter {
			kind = prometheus.CounterValue
		}
		give := func(label string, labels ...string) {
			out <- prometheus.MustNewConstMetric(c.descs[i], kind, m.value(&counts, label), labels...)
		}
		switch m.Label {
		case "module":
			for name := range counts.Modules {
				give(name, valid(name))
			}
		case "reason":
			for _, r := range daemon.Reasons {
				give(r.Name, r.Name)
			}
		default:
			give("")
		}
	}
}

// DaemonHandler serves /metrics of an rsync daemon.
func DaemonHandler(counts func() daemon.Counts) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewDaemonCollector(counts), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 8}))
	return mux
}

// ServeDaemon serves DaemonHandler on an address until Close.
func ServeDaemon(address string, counts func() daemon.Counts) (*Server, error) {
	return serve(address, DaemonHandler(counts))
}
