package sender

import "time"

// progressEvery is how often Job.OnProgress is told.
const progressEvery = 200 * time.Millisecond

// meter decides when to report.
type meter struct{ last time.Time }

// report tells of progress, if it is due or final.
func (m *run) report(final bool) {
	if m.job.OnProgress == nil {
		return
	}
	now := time.Now()
	if !final && now.Sub(m.progress.last) < progressEvery {
		return
	}
	m.progress.last = now
	m.job.OnProgress(Progress{
		Listed: m.lists.entries, ListedAll: m.lists.eof, Checked: m.checked,
		Transferred: m.result.Transferred, Bytes: m.result.Literal + m.result.Matched + m.sending, TotalSize: m.lists.size,
	})
}
