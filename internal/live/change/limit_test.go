package change_test

import (
	"testing"

	"lockstep/internal/live/change"
)

func TestLimits(t *testing.T) {
	for text, c := range map[string]struct{ removed, holds, allowed int }{
		"-1":   {removed: 1 << 30, holds: 1, allowed: 1},
		"0":    {removed: 1, holds: 100},
		"5":    {removed: 5, holds: 6, allowed: 1},
		"0%":   {removed: 1, holds: 1 << 30},
		"20%":  {removed: 20, holds: 100, allowed: 1},
		"0.5%": {removed: 6, holds: 1000},
		"100%": {removed: 7, holds: 7, allowed: 1},
	} {
		l, err := change.ParseLimit(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if l.Exceeded(c.removed, c.holds) == (c.allowed == 1) || l.Exceeded(0, 0) {
			t.Errorf("%s: %d of %d is judged wrongly", text, c.removed, c.holds)
		}
		if l.On() != (text != "-1") {
			t.Errorf("%s: on is %v", text, l.On())
		}
		if want := map[string]string{"0%": "0"}[text]; l.String() != text && l.String() != want {
			t.Errorf("%s becomes %s", text, l)
		}
	}
	if l, _ := change.ParseLimit("20%"); !l.Exceeded(21, 100) {
		t.Error("21 of 100 is no more than 20%")
	}
	for _, text := range []string{"", "%", "-2", "-1%", "101%", "NaN%", "-0%", "1e400%", "many", "5 %", "0x5", "1.5"} {
		if l, err := change.ParseLimit(text); err == nil {
			t.Errorf("%q is taken as %v", text, l)
		}
	}
}
