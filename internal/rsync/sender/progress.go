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
	begun bool            // about the one under way
	early int64           // bytes that are not looked for a block before it is begun
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
	p.begun, p.early = false, 0
	if h := q.head; h.Count > 0 {
		p.early = int64(h.BlockLen)
		if q.load.size < 2*firstPiece+int64(h.BlockLen)+int64(h.Remainder) {
			p.early = q.load.size
		}
	}
}

// firstPiece is how much of a file a sender has sent when it shows progress for
// the first time; unless a block is found before, or its end, with so much and a
// block that were searched in vain. In a file with no more than that much behind
// it nothing is sent before.
const firstPiece = 32 << 10

// first tells of the first piece of a file, up to at.
func (p *meter) first(m *run, at int64) {
	p.begun = true
	p.tell(m, at)
}

// literal is called when m.sending bytes were searched or sent.
func (p *meter) literal(m *run) {
	if p.shown && !p.begun && m.sending > firstPiece+p.early {
		p.first(m, firstPiece)
	}
}

// block is called when m.sending bytes end in the first block that was found.
func (p *meter) block(m *run) {
	if p.shown && !p.begun {
		p.first(m, m.sending)
	}
}

// move tells how far the file is.
func (p *meter) move(m *run) {
	if p.shown && p.begun {
		p.tell(m, m.sending)
	}
}

func (p *meter) tell(m *run, sent int64) {
	now := p.file
	now.At += sent
	now.TotalAt += sent
	m.params.Talk.Progress(now, false)
}

// skip passes over what the peer has already; checked says that it is read.
func (p *meter) skip(m *run, have int64, checked bool) {
	if !p.shown {
		return
	}
	if p.early = 0; checked {
		p.first(m, 0)
	}
	p.file.At += have
	p.file.TotalAt += have
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
		left := p.file.Size - p.file.At
		switch {
		case p.begun || left == 0:
		case p.early == 0:
			p.first(m, min(left, firstPiece))
		default:
			p.first(m, left)
		}
		p.file.At += left
		p.file.TotalAt += left
		m.params.Talk.Progress(p.file, true)
	}
}
