package receiver

import (
	"time"

	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
)

// progressEvery is the time between two reports about one file.
const progressEvery = time.Second

// meter reports the progress of the file under way (5.7): at its first data, once
// a second, and at its end.
type meter struct {
	talk  output.Talk
	on    bool            // --progress, or --info=progress2:
	total bool            // all files together count
	list  *flist.Received // total: that of the last echo
	now   output.Progress
	begun bool
	last  time.Time
}

func newMeter(talk output.Talk, p *Params) meter {
	level := p.Opt.Info[option.InfoProgress]
	return meter{talk: talk, on: level > 0 && !p.Server, total: level > 1 && !p.Server}
}

// start begins a file of which at bytes are there already.
func (t *meter) start(m *run, f *flist.File, index int32, at int64) {
	if !t.on {
		return
	}
	known := m.lists.Known()
	t.begun = false
	t.now = output.Progress{
		At: at, Size: f.Meta.Size,
		Transferred: m.result.Transferred, Left: known - m.position(index) - 1, All: known,
		Incomplete: !m.lists.Complete(),
		TotalAt:    m.result.TransferredSize - f.Meta.Size + at, TotalSize: m.result.TotalSize,
	}
}

// echo takes note of an echo.
func (t *meter) echo(m *run, index int32) {
	if t.total {
		t.list = m.lists.Of(index)
	}
}

// position is the place of an entry among all entries, counted from 0.
func (m *run) position(index int32) int {
	if l := m.lists.Of(index); l != nil && m.params.incremental() {
		return int(index) - l.Number // a gap before each list
	}
	return int(index)
}

// begin is called before the first data.
func (t *meter) begin() {
	if t.on && !t.begun {
		t.begun = true
		t.report(false)
	}
}

// add counts bytes of the file.
func (t *meter) add(n int64) {
	if !t.on {
		return
	}
	t.now.At += n
	t.now.TotalAt += n
	if time.Since(t.last) >= progressEvery {
		t.report(false)
	}
}

// end ends the file.
func (t *meter) end() {
	if t.on {
		t.report(true)
	}
}

// done shows the total once more at a DONE of the sender: with incremental lists
// at the end of each of them, otherwise at the end of each phase.
func (t *meter) done(m *run) {
	if !t.total || m.state == farewell || m.params.incremental() && m.state != receiving {
		return
	}
	known := m.lists.Known()
	t.now = output.Progress{
		Transferred: m.result.Transferred, All: known, Incomplete: !m.lists.Complete(),
		TotalAt: m.result.TransferredSize, TotalSize: m.result.TotalSize,
	}
	if l := m.lists.Oldest(); l != nil && m.params.incremental() {
		if t.list != nil && t.list.Number > l.Number {
			l = t.list
		}
		t.now.Left = known - (int(l.Start) + len(l.Files) - l.Number)
	}
	t.report(true)
}

func (t *meter) report(done bool) {
	t.last = time.Now()
	t.talk.Progress(t.now, done)
}
