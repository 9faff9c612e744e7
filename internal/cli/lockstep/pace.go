package lockstep

import (
	"slices"
	"strings"
	"time"
)

// pace lets a number of lines through in each second, saving up to one second's
// worth. The zero pace lets nothing through.
type pace struct {
	perSecond float64
	saved     float64
	last      time.Time
}

func newPace(perSecond float64) *pace { return &pace{perSecond: perSecond, saved: perSecond} }

// take reports whether a line may be printed now, and counts it.
func (p *pace) take(now time.Time) bool {
	if elapsed := now.Sub(p.last); elapsed > 0 {
		if !p.last.IsZero() {
			p.saved = min(p.perSecond, p.saved+elapsed.Seconds()*p.perSecond)
		}
		p.last = now
	}
	if p.saved < 1 {
		return false
	}
	p.saved--
	return true
}

// next is when take will say yes again.
func (p *pace) next(now time.Time) time.Time {
	missing := max(0, 1-p.saved)
	return now.Add(time.Duration(missing / p.perSecond * float64(time.Second)))
}

// Limits of faultLimit.
const (
	faultsShown = 3      // of one kind in one window
	faultKinds  = 200    // kinds told apart; what comes beyond them is one kind
	otherKind   = "\x00" // the key of those
)

// faultLimit lets the first few failures of each kind through and counts the
// rest, to be told once for each window.
type faultLimit struct {
	kinds map[string]*faultKind
}

type faultKind struct {
	target, cause string
	shown, held   int
	start         time.Time // of the window
	window        time.Duration
}

// heldBack says that n more failures of a kind happened.
type heldBack struct {
	target, cause string
	n             int
}

// admit reports whether a failure is to be shown; otherwise it is counted.
func (l *faultLimit) admit(now time.Time, target, cause string, window time.Duration) bool {
	if l.kinds == nil {
		l.kinds = map[string]*faultKind{}
	}
	key := target + "\x00" + alike(cause)
	k := l.kinds[key]
	if k == nil && len(l.kinds) >= faultKinds {
		key, target, cause = otherKind, "", "failures of many kinds"
		k = l.kinds[key]
	}
	if k == nil {
		k = &faultKind{target: target, cause: cause, start: now, window: window}
		l.kinds[key] = k
	}
	if k.held == 0 && now.Sub(k.start) >= k.window {
		k.shown, k.start = 0, now
	}
	if k.shown < faultsShown {
		k.shown++
		return true
	}
	k.held++
	return false
}

// due takes the counts whose window is over; with all set, every count.
func (l *faultLimit) due(now time.Time, all bool) []heldBack {
	var told []heldBack
	for key, k := range l.kinds {
		switch over := now.Sub(k.start) >= k.window; {
		case k.held > 0 && (over || all):
			told = append(told, heldBack{k.target, k.cause, k.held})
			k.held, k.start = 0, now
		case k.held == 0 && over:
			delete(l.kinds, key)
		}
	}
	slices.SortFunc(told, func(a, b heldBack) int {
		return strings.Compare(a.target+"\x00"+a.cause, b.target+"\x00"+b.cause)
	})
	return told
}

// next is when due will have something to tell, zero if never.
func (l *faultLimit) next() time.Time {
	var next time.Time
	for _, k := range l.kinds {
		if end := k.start.Add(k.window); k.held > 0 && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

// forget starts the kinds of one target anew.
func (l *faultLimit) forget(target string) {
	for key := range l.kinds {
		if strings.HasPrefix(key, target+"\x00") {
			delete(l.kinds, key)
		}
	}
}

// alike is cause without its numbers: port numbers and the like tell no kinds
// apart.
func alike(cause string) string {
	var b strings.Builder
	digits := false
	for _, r := range cause {
		digit := '0' <= r && r <= '9'
		if digit && !digits {
			b.WriteByte('#')
		}
		if !digit {
			b.WriteRune(r)
		}
		digits = digit
	}
	return b.String()
}
