package report

import (
	"fmt"
	"time"

	"lockstep/internal/live/mirror"
)

// Tone is how serious something is.
type Tone string

// The tones, the worst last.
const (
	Good Tone = "good"  // in step
	Calm Tone = "quiet" // not sent to, because somebody wants it so
	Busy Tone = "busy"  // on its way
	Bad  Tone = "bad"   // somebody has to look
)

// signs say the same as colours.
var signs = map[Tone]string{Good: "✓", Busy: "→", Calm: "‖", Bad: "!"}

// Sign is the tone for who sees no colours.
func (t Tone) Sign() string { return signs[t] }

// tones are those of a target's states; what is missing is bad.
var tones = map[string]Tone{
	mirror.InStep.String(): Good, mirror.Behind.String(): Busy, mirror.FirstPass.String(): Busy, mirror.Connecting.String(): Busy,
	mirror.Paused.String(): Calm, mirror.Quiet.String(): Calm,
}

// Tone is how serious t's state is.
func (t *Target) Tone() Tone {
	if c, ok := tones[t.State]; ok {
		return c
	}
	return Bad
}

// Verdict is the whole in one sentence, the worst first, without a full stop.
func (s *Status) Verdict() (Tone, string) {
	all, n := 0, map[Tone]int{}
	for i := range s.Mirrors {
		for j := range s.Mirrors[i].Targets {
			all++
			n[s.Mirrors[i].Targets[j].Tone()]++
		}
	}
	if all == 0 {
		return Calm, "No mirror is configured"
	}
	for _, v := range []struct {
		tone      Tone
		one, many string
	}{{Bad, "needs attention", "need attention"}, {Busy, "is catching up", "are catching up"}, {Calm, "is told to wait", "are told to wait"}} {
		switch k := n[v.tone]; {
		case k == 0:
		case all == 1:
			return v.tone, "The target " + v.one
		case k == all:
			return v.tone, fmt.Sprintf("All %d targets %s", k, v.many)
		case k == 1:
			return v.tone, fmt.Sprintf("1 of %d targets %s", all, v.one)
		default:
			return v.tone, fmt.Sprintf("%d of %d targets %s", k, all, v.many)
		}
	}
	return Good, "Everything is in step"
}

// Percent is how much of the pass is done, 0 if that is not known.
func (p Pass) Percent() int {
	if p.Total <= 0 {
		return 0
	}
	return int(p.Checked * 100 / p.Total)
}

// Words say how far the pass has come; span writes a duration.
func (p Pass) Words(span func(time.Duration) string) string {
	text := Grouped(p.Checked) + " entries"
	if p.Total > 0 {
		text = fmt.Sprintf("%d %%, %s of %s entries", p.Percent(), Grouped(p.Checked), Grouped(p.Total))
	}
	if p.Rate > 0 {
		text += ", " + Grouped(int64(p.Rate+0.5)) + " a second"
	}
	if p.Left > 0 {
		text += ", " + span(time.Duration(p.Left*float64(time.Second))) + " left"
	}
	return text
}

// Grouped writes a number with commas between thousands.
func Grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
