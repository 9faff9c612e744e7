package change

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Limit bounds how much may be removed from a target: by a number of entries,
// or by their share of what the target holds.
type Limit struct {
	Entries int     // -1 = no limit
	Share   float64 // percent, in place of Entries; 0 = Entries decides
}

// NoLimit allows everything.
var NoLimit = Limit{Entries: -1}

// errLimit says how a limit may be written.
var errLimit = errors.New(`want a number of entries, -1 for no limit, or a percentage of what the target holds, such as "20%" or "0.5%"`)

// ParseLimit reads a number of -1 or more, or a percentage of 0 to 100.
func ParseLimit(text string) (Limit, error) {
	if number, percent := strings.CutSuffix(text, "%"); percent {
		share, err := strconv.ParseFloat(number, 64)
		if err != nil || !(share >= 0 && share <= 100) || math.Signbit(share) {
			return Limit{}, errLimit
		}
		return Limit{Share: share}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return Limit{}, errLimit
	}
	return Limit{Entries: n}, nil
}

// String is l as ParseLimit reads it.
func (l Limit) String() string {
	if l.Share > 0 {
		return strconv.FormatFloat(l.Share, 'f', -1, 64) + "%"
	}
	return strconv.Itoa(l.Entries)
}

// On reports whether there is a limit at all.
func (l Limit) On() bool { return l.Share > 0 || l.Entries >= 0 }

// Exceeded reports whether the removal of so many entries is too much for a
// target that holds so many.
func (l Limit) Exceeded(removed, holds int) bool {
	switch {
	case removed == 0 || !l.On():
		return false
	case l.Share > 0:
		return float64(removed)*100 > l.Share*float64(holds)
	}
	return removed > l.Entries
}
