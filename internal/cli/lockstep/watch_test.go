package lockstep_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lockstep/internal/cli/lockstep"
	"lockstep/internal/ops/report"
)

func TestTheViewFitsTheScreen(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	s := &report.Status{PID: 7, Version: "lockstep v1", Started: now.Add(-time.Hour), File: "/etc/lockstep/lockstep.toml"}
	for i := range 4 {
		s.Mirrors = append(s.Mirrors, report.Mirror{Name: fmt.Sprint("m", i), Source: "/web/www", State: report.Running, Since: now, Backend: "fanotify", Entries: 1234,
			Targets: []report.Target{
				{Target: "web1.example.net::www", State: "in step", Since: now.Add(-time.Minute), PerMinute: 3},
				{Target: "web2.example.net::a-module-with-a-very-long-name-indeed", State: "first pass", Since: now.Add(-10 * time.Second),
					Pass: report.Pass{Checked: 50, Total: 200, Rate: 5, Left: 30}},
				{Target: "/srv/\x1b[2Jcopy", State: "failing", Since: now.Add(-time.Minute), Behind: 4, Oldest: ago(90 * time.Second), LagSeconds: 90,
					Error: "dial: connection refused\x1b[2J"},
			}})
	}
	plain := func(_ lockstep.Style, text string) string { return text }
	for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 60}, {20, 3}} {
		lines := lockstep.ScreenText(s, nil, now, size[0], size[1], plain)
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if utf8.RuneCountInString(l) > size[0] || strings.Contains(l, "\x1b") || strings.Contains(l, "\n") {
				t.Errorf("%v: %q", size, l)
			}
		}
	}
	lines := lockstep.ScreenText(s, nil, now, 120, 60, plain)
	for _, want := range []string{
		"! 4 of 12 targets need attention", "m0  /web/www · 1,234 entries · fanotify",
		"  ✓ web1.example.net::www                                    in step    60.0 s   3 batches/min",
		"      █████░░░░░░░░░░░░░░░ 25 %, 50 of 200 entries, 5 a second, 30.0 s left",
		"      The machine is up, but no rsync daemon answers there.",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if lines := lockstep.ScreenText(nil, errors.New("nobody\x1b[2J"), now, 80, 24, plain); !strings.Contains(strings.Join(lines, "\n"), "! nobody") {
		t.Errorf("without a status: %q", lines)
	}
}
