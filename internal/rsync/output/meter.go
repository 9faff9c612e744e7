package output

import (
	"fmt"
	"strings"
	"time"
)

// samples is how many updates the rate of a running transfer looks back.
const samples = 5

// updateEvery is how often a running transfer is shown.
const updateEvery = time.Second

// meter makes the lines of --progress (5.7). It measures one file, or with total
// the whole transfer.
type meter struct {
	total bool
	human int

	running bool
	began   time.Time
	ring    [samples]sample
	filled  int // samples so far; the newest is ring[(filled-1)%samples]
	width   int // of the last line, for the blanks that a shorter one needs
}

// sample is how far a transfer was.
type sample struct {
	when time.Time
	at   int64
}

// begin starts the clock.
func (m *meter) begin(now time.Time) {
	if m.running && m.total {
		return
	}
	m.running, m.began, m.filled = true, now, 0
	m.add(sample{now, 0})
}

func (m *meter) add(s sample) {
	m.ring[m.filled%samples] = s
	m.filled++
}

// position is how far p is of what the meter measures.
func (m *meter) position(p Progress) (at, size int64) {
	if m.total {
		return p.TotalAt, p.TotalSize
	}
	return p.At, p.Size
}

// update returns the line for a state, "" if it is not time for one yet. A line
// begins with a carriage return; that of a file that is done ends with the
// line's end, unless the whole transfer is measured.
func (m *meter) update(p Progress, done bool, now time.Time) string {
	if !m.running {
		m.begin(now)
	}
	at, size := m.position(p)
	if done {
		m.running = m.total
		line := m.line(at, size, m.rate(sample{m.began, 0}, sample{now, at}), now.Sub(m.began), tail(p))
		if !m.total {
			line += "\n"
		}
		return line
	}
	newest := m.ring[(m.filled-1)%samples]
	if m.filled > 1 && now.Sub(newest.when) < updateEvery {
		return ""
	}
	oldest := m.ring[max(m.filled-samples, 0)%samples]
	current := sample{now, at}
	m.add(current)
	rate := m.rate(oldest, current)
	left := time.Duration(0)
	if rate > 0 {
		left = time.Duration(min(float64(size-at)/rate, float64(maxLeft/time.Second)+1) * float64(time.Second))
	}
	return m.line(at, size, rate, left, "  ")
}

// rate is in bytes a second; 0 if no time has passed.
func (m *meter) rate(from, to sample) float64 {
	ms := to.when.Sub(from.when).Milliseconds()
	if ms <= 0 {
		return 0
	}
	return float64(to.at-from.at) * 1000 / float64(ms)
}

// tail tells the place of a file in the list.
func tail(p Progress) string {
	check := "to"
	if p.Incomplete {
		check = "ir"
	}
	return fmt.Sprintf(" (xfr#%d, %s-chk=%d/%d)", p.Transferred, check, p.Left, p.All)
}

// maxLeft is the longest time that is shown.
const maxLeft = 9999 * time.Hour

// kilo is what the units of rates are multiples of, in bytes.
const kilo = 1024

func (m *meter) line(at, size int64, rate float64, left time.Duration, tail string) string {
	unit := "kB/s"
	if rate /= kilo; rate > kilo {
		rate, unit = rate/kilo, "MB/s"
		if rate > kilo {
			rate, unit = rate/kilo, "GB/s"
		}
	}
	percent := 100
	if at != size && size > 0 {
		percent = int(float64(at) * 100 / float64(size))
	}
	clock := "  ??:??:??"
	if left >= 0 && left <= maxLeft {
		s := int(left / time.Second)
		clock = fmt.Sprintf("%4d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	line := fmt.Sprintf("%15s %3d%% %7.2f%s %s%s", Human(at, m.human), percent, rate, unit, clock, tail)
	shown := len(line)
	if m.total && shown < m.width {
		line += strings.Repeat(" ", m.width-shown)
	}
	m.width = shown
	return "\r" + line
}
