package sender

import (
	"time"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// progressEvery is how often Job.OnProgress is told.
const progressEvery = 200 * time.Millisecond

// meter decides when to report.
type meter struct {
	last time.Time

	shown bool            // Talk is told about each file
	file  output.Progress // the one under way

	reached int // entries up to the end of the list of the last request
}

// report tells the mirror of progress, if it is due or final.
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

// begin is the start of a file.
func (p *meter) begin(m *run, q *request, o *openList) {
	p.shown = m.params.Talk != nil && !m.params.Server && m.params.Opt.Info[option.InfoProgress] > 0
	if !p.shown {
		return
	}
	at := o.total - o.Len() + int(q.ndx-o.Start())
	p.file = output.Progress{
		Size: q.load.size, Transferred: m.result.Transferred,
		Left: m.lists.entries - at - 1, All: m.lists.entries, Incomplete: !m.lists.eof,
		TotalAt: m.result.TransferredSize - o.fact(q.ndx).size, TotalSize: m.lists.size,
	}
	p.move(m)
}

// move tells how far the file is.
func (p *meter) move(m *run) {
	if p.shown {
		now := p.file
		now.At = m.sending
		now.TotalAt += m.sending
		m.params.Talk.Progress(now, false)
	}
}

// done shows the line about all files once more at a DONE of the peer: with
// incremental lists at the end of each of them, otherwise at the end of each
// phase.
func (p *meter) done(m *run) {
	if m.params.Talk == nil || m.params.Server || m.params.Opt.Info[option.InfoProgress] < 2 {
		return
	}
	now := output.Progress{
		Transferred: m.result.Transferred, All: m.lists.entries, Incomplete: !m.lists.eof,
		TotalAt: m.result.TransferredSize, TotalSize: m.lists.size,
	}
	switch {
	case !m.params.Compat.Has(wire.IncRecurse) && m.state <= delayed:
	case m.state == transferring:
		now.Left = m.lists.entries - max(p.reached, m.lists.open[0].total)
	default:
		return
	}
	m.params.Talk.Progress(now, true)
}

// end is the end of the file.
func (p *meter) end(m *run) {
	if p.shown {
		p.file.At = p.file.Size
		p.file.TotalAt += p.file.Size
		m.params.Talk.Progress(p.file, true)
	}
}
