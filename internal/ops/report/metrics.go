package report

import "time"

// Metric is one documented metric. Value gets the snapshot and, where the
// metric has such labels, the mirror and the target; those it has no use for
// are nil.
type Metric struct {
	Name, Help string
	Counter    bool
	Labels     []string
	value      func(s *Status, m *Mirror, t *Target) float64
}

var (
	perMirror = []string{"mirror"}
	perTarget = []string{"mirror", "target"}
)

// Metrics is the table that /metrics and docs/metrics.md are made from.
// lockstep_info is besides it: its labels are its contents.
var Metrics = []Metric{
	{"lockstep_start_time_seconds", "When the process started, unix time.", false, nil,
		func(s *Status, _ *Mirror, _ *Target) float64 { return unixTime(s.Started) }},
	{"lockstep_config_loaded_time_seconds", "When the configuration was last applied, unix time.", false, nil,
		func(s *Status, _ *Mirror, _ *Target) float64 { return unixTime(s.Loaded) }},

	{"lockstep_mirror_up", "1 if the mirror runs.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return truth(m.State == Running) }},
	{"lockstep_mirror_healthy", "1 if the mirror runs and no target is failing, stopped or waiting.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return truth(m.Healthy()) }},
	{"lockstep_mirror_entries", "Files, directories and other entries known in the source.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Entries) }},
	{"lockstep_mirror_held_files", "Files held back because they are being written.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Holding) }},
	{"lockstep_mirror_verified_time_seconds", "When lockstep verify last compared the mirror in full, unix time; 0 if it has not since the start.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 {
			if m.Verified == nil {
				return 0
			}
			return unixTime(*m.Verified)
		}},
	{"lockstep_mirror_differences", "Paths that it found to differ and did not mend.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Differences) }},
	{"lockstep_watch_events_total", "Events since the mirror started.", true, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Events) }},
	{"lockstep_watch_overflows_total", "Times that events were lost.", true, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Overflows) }},
	{"lockstep_watch_kernel_overflows_total", "Of these, because the kernel's queue was full: fs.inotify.max_queued_events; fanotify's has no limit.", true, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.InKernel) }},
	{"lockstep_watch_memory_overflows_total", "Of these, because more than 64 MiB of events waited in lockstep's memory.", true, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.InMemory) }},
	{"lockstep_watch_rescans_total", "Scans of the whole source after lost events.", true, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Rescans) }},
	{"lockstep_watch_watches", "Kernel watches in use.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Watches) }},
	{"lockstep_watch_polled_directories", "Directories that are polled for want of a watch.", false, perMirror,
		func(_ *Status, m *Mirror, _ *Target) float64 { return float64(m.Polled) }},

	{"lockstep_target_in_step", "1 if the target has acknowledged every change.", false, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return truth(t.State == "in step") }},
	{"lockstep_target_failing", "1 if the last try failed, or the target is stopped, waiting or down.", false, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 {
			return truth(t.State == "failing" || t.State == "stopped" || t.State == "waiting" || t.State == Down)
		}},
	{"lockstep_target_lag_seconds", "Age of the oldest change not acknowledged, 0 if there is none.", false, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return t.LagSeconds }},
	{"lockstep_target_pending_paths", "Paths not acknowledged.", false, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Behind) }},
	{"lockstep_target_failing_paths", "Of these, paths that failed and wait.", false, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Failing) }},
	{"lockstep_target_errors_total", "Failures since the mirror started.", true, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Errors) }},
	{"lockstep_target_batches_total", "Batches acknowledged.", true, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Batches) }},
	{"lockstep_target_files_total", "Files sent.", true, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Files) }},
	{"lockstep_target_content_bytes_total", "Bytes of content sent.", true, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Bytes) }},
	{"lockstep_target_wire_bytes_total", "Bytes on the wire in both directions.", true, perTarget,
		func(_ *Status, _ *Mirror, t *Target) float64 { return float64(t.Wire) }},
}

func unixTime(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// write adds the metrics of a status.
func (s *Status) write(e *exposition) {
	e.head("lockstep_info", "1; the version is a label.", false)
	e.value("lockstep_info", 1, "version", s.Version)
	for _, d := range Metrics {
		e.head(d.Name, d.Help, d.Counter)
		if d.Labels == nil {
			e.value(d.Name, d.value(s, nil, nil))
			continue
		}
		for j := range s.Mirrors {
			m := &s.Mirrors[j]
			if len(d.Labels) == 1 {
				e.value(d.Name, d.value(s, m, nil), d.Labels[0], m.Name)
				continue
			}
			for k := range m.Targets {
				t := &m.Targets[k]
				e.value(d.Name, d.value(s, m, t), d.Labels[0], m.Name, d.Labels[1], t.Target)
			}
		}
	}
}
