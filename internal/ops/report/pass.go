package report

import (
	"time"

	"lockstep/internal/live/target"
)

// Pass is how far a full pass has come.
type Pass struct {
	Checked int64   `json:"pass_entries,omitempty" doc:"of a full pass that is running: entries of the source that are done with"`
	Total   int64   `json:"pass_total,omitempty" doc:"of them in all; absent if not known yet"`
	Sent    int64   `json:"pass_bytes,omitempty" doc:"bytes of content read for it"`
	Rate    float64 `json:"pass_rate,omitempty" doc:"entries a second"`
	Left    float64 `json:"pass_left_seconds,omitempty" doc:"seconds that it will take at this rate; absent if not known"`
}

// soonest is how long a pass runs before its rate says anything.
const soonest = time.Second

// NewPass makes a Pass of a pass that has been running for a while.
func NewPass(p target.Progress, running time.Duration) Pass {
	o := Pass{Checked: p.Checked, Total: max(p.Total, 0), Sent: p.Bytes}
	if o.Total > 0 {
		o.Checked = min(o.Checked, o.Total) // what has come since the source was counted
	}
	if running < soonest || o.Checked <= 0 {
		return o
	}
	o.Rate = float64(o.Checked) / running.Seconds()
	if o.Total > 0 {
		o.Left = float64(o.Total-o.Checked) / o.Rate
	}
	return o
}
