package option

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxStopMinutes bounds --stop-after: a hundred years.
const maxStopMinutes = 100 * 366 * 24 * 60

// stopAfter reads --stop-after.
func stopAfter(text string, now time.Time) (time.Time, error) {
	minutes := leading(text)
	if minutes <= 0 || minutes > (math.MaxInt64-now.Unix())/60 {
		return time.Time{}, usage("invalid --stop-after value: %s", text)
	}
	return now.Add(time.Duration(min(minutes, maxStopMinutes)) * time.Minute), nil
}

// stopForm is the shape of --stop-at: [[YEAR-]MONTH-]DAY, with slashes if one
// likes, then T alone or with HOUR:MINUTE; a time alone may do without the T and
// without the hour.
var (
	stopDate = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:(?:(\d+)[-/])?(\d+)[-/])?(\d+)(?:[Tt](?:(\d+):(\d+))?)?$`)
	})
	stopTime = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:[Tt]?(\d+))?:(\d+)$`) })
)

// unset marks a part of a date that was not said.
const unset = -1

// clock is a point in time with parts that may be unset.
type clock struct {
	year, month, day, hour, minute int
}

// stopAt reads --stop-at: the next moment that has what was said. now says in
// which zone.
func stopAt(text string, now time.Time) (time.Time, error) {
	c, ok := parseClock(text)
	if !ok {
		return time.Time{}, usage("invalid --stop-at format: %s", text)
	}
	at := c.next(now)
	if !at.After(now) {
		return time.Time{}, usage("--stop-at time is not in the future: %s", text)
	}
	return at, nil
}

func parseClock(text string) (clock, bool) {
	c := clock{unset, unset, unset, unset, unset}
	if m := stopTime().FindStringSubmatch(text); m != nil {
		c.hour, c.minute = part(m[1]), part(m[2])
		if c.hour == unset && strings.ContainsAny(text, "Tt") {
			return c, false
		}
		return c, c.valid()
	}
	m := stopDate().FindStringSubmatch(text)
	if m == nil {
		return c, false
	}
	c = clock{part(m[1]), part(m[2]), part(m[3]), part(m[4]), part(m[5])}
	if c.hour == unset {
		c.hour, c.minute = 0, 0
	}
	return c, c.valid()
}

// part is the number of a group, unset if it did not match.
func part(text string) int {
	if text == "" {
		return unset
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1 << 30 // out of every range
	}
	return n
}

// maxYear is as far as a year may go.
const maxYear = 1 << 20

func (c clock) valid() bool {
	days := 31
	if c.year == unset && c.month != unset {
		days = [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[min(max(c.month, 1), 12)-1]
	}
	in := func(n, low, high int) bool { return n == unset || n >= low && n <= high }
	return in(c.year, 0, maxYear) && in(c.month, 1, 12) && in(c.day, 1, days) &&
		in(c.hour, 0, 23) && in(c.minute, 0, 59)
}

// maxSteps is how many years or months are tried until one has the day: a 29th
// of February may be eight years away.
const maxSteps = 9

// next is the first moment after now that has the parts that are set; with a
// year it is the one moment, which may be past.
func (c clock) next(now time.Time) time.Time {
	year, month, day := now.Date()
	at := func(y int, m time.Month, d, hour int) time.Time {
		return time.Date(y, m, d, hour, c.minute, 0, 0, now.Location())
	}
	switch {
	case c.year != unset:
		y := c.year
		if y < 100 {
			y += year - year%100
			if y < year {
				y += 100
			}
		}
		return at(y, time.Month(c.month), c.day, c.hour)
	case c.day == unset && c.hour == unset:
		t := at(year, month, day, now.Hour())
		if !t.After(now) {
			t = at(year, month, day, now.Hour()+1)
		}
		return t
	case c.day == unset:
		t := at(year, month, day, c.hour)
		if !t.After(now) {
			t = at(year, month, day+1, c.hour)
		}
		return t
	}
	for step := range maxSteps {
		y, m := year+step, time.Month(c.month)
		if c.month == unset {
			y, m = year, month+time.Month(step)
		}
		t := at(y, m, c.day, c.hour)
		if t.After(now) && t.Day() == c.day {
			return t
		}
	}
	return now // no such day
}
