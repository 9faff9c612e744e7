package target_test

import (
	"testing"

	"lockstep/internal/live/target"
)

func TestNamesOfBackups(t *testing.T) {
	for dir, good := range map[string]bool{"": true, ".deleted": true, "a-b_c.d": true, "a/b": false, "a b": false, "*": false, "..": true, "ä": false} {
		if err := (target.Backups{Dir: dir}).Validate(); (err == nil) != good {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if (target.Backups{Dir: "x", Days: -1}).Validate() == nil {
		t.Error("a time below 0 is taken")
	}
	if got := (target.Backups{Dir: ".d"}).Pattern(); got != "/.d-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/" {
		t.Errorf("the pattern is %s", got)
	}
}
