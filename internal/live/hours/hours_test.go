package hours_test

import (
	"testing"
	"time"

	"lockstep/internal/live/hours"
)

// at is a moment of the day.
func at(t *testing.T, clock string) time.Time {
	t.Helper()
	when, err := time.Parse("15:04:05", clock)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestWindowsHoldPartsOfTheDay(t *testing.T) {
	for _, c := range []struct {
		window, clock string
		want          bool
	}{
		{"08:00-18:00", "08:00:00", true}, {"08:00-18:00", "07:59:59", false}, {"08:00-18:00", "17:59:59", true}, {"08:00-18:00", "18:00:00", false},
		{"22:00-06:00", "23:00:00", true}, {"22:00-06:00", "05:59:59", true}, {"22:00-06:00", "06:00:00", false}, {"22:00-06:00", "12:00:00", false},
		{"00:00-24:00", "23:59:59", true}, {"00:00-24:00", "00:00:00", true}, {"07:00-07:00", "06:59:00", true}, {"20:00-24:00", "23:59:59", true},
		{"20:00-24:00", "00:00:00", false},
	} {
		w, err := hours.Parse(c.window)
		if err != nil || w.String() != c.window {
			t.Fatalf("%s: %v, %v", c.window, w, err)
		}
		if got := (hours.Windows{w}).Holds(at(t, c.clock)); got != c.want {
			t.Errorf("%s at %s: %v", c.window, c.clock, got)
		}
	}
	if (hours.Windows)(nil).Holds(at(t, "12:00:00")) {
		t.Error("no window holds something")
	}
}

func TestWindowsThatAreNone(t *testing.T) {
	for _, s := range []string{"", "8:00-18:00", "08:00", "24:00-01:00", "08:60-09:00", "08:00-24:01", "08:00–18:00", "ab:00-18:00", "08:00-18:00 ", "-1:00-18:00"} {
		if w, err := hours.Parse(s); err == nil {
			t.Errorf("%q is %v", s, w)
		}
	}
}

func TestTheFirstRateThatHoldsDecides(t *testing.T) {
	office, _ := hours.Parse("08:00-18:00")
	evening, _ := hours.Parse("16:00-22:00")
	r := hours.Rates{{office, 100}, {evening, 500}}
	for clock, want := range map[string]int{"09:00:00": 100, "17:00:00": 100, "19:00:00": 500, "23:00:00": 0} {
		if got := r.At(at(t, clock)); got != want {
			t.Errorf("at %s: %d, want %d", clock, got, want)
		}
	}
	if _, ok := r.Constant(); ok {
		t.Error("rates that change are constant")
	}
	if kib, ok := hours.Always(7).Constant(); !ok || kib != 7 || hours.Always(7).At(at(t, "03:00:00")) != 7 {
		t.Error("one rate for the whole day is not")
	}
	if kib, ok := hours.Always(0).Constant(); !ok || kib != 0 {
		t.Error("no limit is one")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("22:00-06:00")
	f.Add("00:00-24:00")
	f.Fuzz(func(t *testing.T, s string) {
		if w, err := hours.Parse(s); err == nil && w.String() != s {
			t.Errorf("%q is read as %v", s, w)
		}
	})
}
