// Package hours knows windows of the day, "22:00-06:00", and what holds in
// them: nothing is sent, or only so much a second. It is pure: the clock is
// passed in, and local time is whatever location that clock has, so that a
// window follows the clock on the wall when it is put forward or back.
package hours

import (
	"errors"
	"fmt"
	"time"
)

// minutes of a day.
const day = 24 * 60

// Window is a part of each day: from From until just before To, in minutes
// since midnight. If To is not after From it goes past midnight; a window that
// ends where it begins is the whole day.
type Window struct{ From, To int }

// errWindow says how a window is written.
var errWindow = errors.New("want a part of the day such as 22:00-06:00")

// Parse reads "HH:MM-HH:MM"; 24:00 is the end of the day.
func Parse(s string) (Window, error) {
	var w [4]int
	if len(s) != len("00:00-00:00") || s[2] != ':' || s[5] != '-' || s[8] != ':' {
		return Window{}, errWindow
	}
	for i, at := range []int{0, 3, 6, 9} {
		for _, c := range []byte(s[at : at+2]) {
			if c < '0' || c > '9' {
				return Window{}, errWindow
			}
			w[i] = 10*w[i] + int(c-'0')
		}
	}
	from, to := 60*w[0]+w[1], 60*w[2]+w[3]
	if w[1] > 59 || w[3] > 59 || from >= day || to > day {
		return Window{}, errWindow
	}
	return Window{from, to}, nil
}

// String is w as Parse reads it.
func (w Window) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
}

// Holds reports whether t lies in w.
func (w Window) Holds(t time.Time) bool {
	at := 60*t.Hour() + t.Minute()
	if w.From < w.To {
		return w.From <= at && at < w.To
	}
	return w.From <= at || at < w.To
}

// Windows are several parts of the day.
type Windows []Window

// Holds reports whether t lies in one of them.
func (ws Windows) Holds(t time.Time) bool {
	for _, w := range ws {
		if w.Holds(t) {
			return true
		}
	}
	return false
}

// Rate is how much may be sent a second, in KiB, within a window; 0 is no
// limit.
type Rate struct {
	Window
	KiB int
}

// Rates are what may be sent when: the first whose window holds decides; where
// none does there is no limit.
type Rates []Rate

// Always is one rate for the whole day; 0 is none.
func Always(kib int) Rates {
	if kib == 0 {
		return nil
	}
	return Rates{{KiB: kib}}
}

// At is the rate at t in KiB a second, 0 if there is no limit.
func (r Rates) At(t time.Time) int {
	for _, one := range r {
		if one.Holds(t) {
			return one.KiB
		}
	}
	return 0
}

// Constant gives the rate if it is the same at all times.
func (r Rates) Constant() (kib int, ok bool) {
	switch {
	case len(r) == 0:
		return 0, true
	case r[0].From == r[0].To:
		return r[0].KiB, true
	}
	return 0, false
}
