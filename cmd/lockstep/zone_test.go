package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRulesOfTimeZonesAreThoseOfDate shows the same times under TZ as date(1).
func TestRulesOfTimeZonesAreThoseOfDate(t *testing.T) {
	was := time.Local
	t.Cleanup(func() { time.Local = was })
	for _, tz := range []string{"UTC-3", "UTC+3:30", ":EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "<-03>3", "UTC"} {
		for _, at := range []string{"2026-01-15T22:30:00Z", "2026-07-15T22:30:00Z"} {
			when, err := time.Parse(time.RFC3339, at)
			if err != nil {
				t.Fatal(err)
			}
			time.Local = time.UTC
			localTime(tz)
			cmd := exec.Command("date", "-d", at, "+%F %T %z %Z")
			cmd.Env = []string{"TZ=" + tz, "PATH=/usr/bin:/bin", "LC_ALL=C"}
			want, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got := when.In(time.Local).Format("2006-01-02 15:04:05 -0700 MST"); got != strings.TrimSpace(string(want)) {
				t.Errorf("TZ=%s: %s, date says %s", tz, got, want)
			}
		}
	}
	for _, tz := range []string{"", "nonsense of no zone", "/etc/localtime", "\n", "UTC-3\nx"} {
		time.Local = time.UTC
		localTime(tz)
		if name, east := time.Unix(1e9, 0).Zone(); name != "UTC" || east != 0 {
			t.Errorf("TZ=%q: %s, %d s east", tz, name, east)
		}
	}
}
