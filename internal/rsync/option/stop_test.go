package option_test

import (
	"testing"
	"time"

	"lockstep/internal/rsync/option"
)

func TestStopTimes(t *testing.T) {
	zone := time.FixedZone("UTC+2", 2*3600)
	now := time.Date(2026, 11, 23, 7, 31, 20, 0, zone)
	for _, c := range []struct{ word, want string }{
		{"--stop-after=1", "2026-11-23 07:32:20"},
		{"--stop-after=90x", "2026-11-23 09:01:20"},
		{"--time-limit= 60", "2026-11-23 08:31:20"},
		{"--stop-after=99999999999", "2127-02-07 07:31:20"},
		{"--stop-at=23:59", "2026-11-23 23:59:00"},
		{"--stop-at=T7:31", "2026-11-24 07:31:00"},
		{"--stop-at=7:32", "2026-11-23 07:32:00"},
		{"--stop-at=:30", "2026-11-23 08:30:00"},
		{"--stop-at=:59", "2026-11-23 07:59:00"},
		{"--stop-at=23", "2026-12-23 00:00:00"},
		{"--stop-at=24T", "2026-11-24 00:00:00"},
		{"--stop-at=31", "2026-12-31 00:00:00"},
		{"--stop-at=23t8:00", "2026-11-23 08:00:00"},
		{"--stop-at=1-30", "2027-01-30 00:00:00"},
		{"--stop-at=11/23T7:32", "2026-11-23 07:32:00"},
		{"--stop-at=2-29", "2028-02-29 00:00:00"},
		{"--stop-at=27-1/1", "2027-01-01 00:00:00"},
		{"--stop-at=1-1-1", "2101-01-01 00:00:00"},
		{"--stop-at=2027-2-30T23:59", "2027-03-02 23:59:00"},
	} {
		s, err := option.Parse(option.Input{Words: []string{c.word, "a", "b"}, Now: now})
		if err != nil {
			t.Errorf("%s: %v", c.word, err)
		} else if got := s.StopAt.Format(time.DateTime); got != c.want {
			t.Errorf("%s: got %s, want %s", c.word, got, c.want)
		}
	}
}

func TestStopTimesAreRefused(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 31, 0, 0, time.UTC)
	for word, want := range map[string]string{
		"--stop-after=":                   "rsync: invalid --stop-after value: ",
		"--stop-after=0":                  "rsync: invalid --stop-after value: 0",
		"--stop-after=153722867280912930": "rsync: invalid --stop-after value: 153722867280912930",
		"--time-limit=x":                  "rsync: invalid --stop-after value: x",
		"--stop-at=2026-11-23":            "rsync: --stop-at time is not in the future: 2026-11-23",
		"--stop-at=26-1-1":                "rsync: --stop-at time is not in the future: 26-1-1",
		"--stop-at=100-1-1":               "rsync: --stop-at time is not in the future: 100-1-1",
		"--stop-at=":                      "rsync: invalid --stop-at format: ",
		"--stop-at=x":                     "rsync: invalid --stop-at format: x",
		"--stop-at=99:99":                 "rsync: invalid --stop-at format: 99:99",
		"--stop-at=T:30":                  "rsync: invalid --stop-at format: T:30",
		"--stop-at=5T:30":                 "rsync: invalid --stop-at format: 5T:30",
		"--stop-at=5T5":                   "rsync: invalid --stop-at format: 5T5",
		"--stop-at=T":                     "rsync: invalid --stop-at format: T",
		"--stop-at=0-0":                   "rsync: invalid --stop-at format: 0-0",
		"--stop-at=2-30":                  "rsync: invalid --stop-at format: 2-30",
		"--stop-at=4-31":                  "rsync: invalid --stop-at format: 4-31",
		"--stop-at=2027-1-32":             "rsync: invalid --stop-at format: 2027-1-32",
		"--stop-at=1-1-1-1":               "rsync: invalid --stop-at format: 1-1-1-1",
		"--stop-at=2027-1-1T5/5":          "rsync: invalid --stop-at format: 2027-1-1T5/5",
		"--stop-at=2027-1-1T:30":          "rsync: invalid --stop-at format: 2027-1-1T:30",
		"--stop-at=2027-1-1 5:05":         "rsync: invalid --stop-at format: 2027-1-1 5:05",
	} {
		_, err := option.Parse(option.Input{Words: []string{word, "a", "b"}, Now: now})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", word, err, want)
		}
	}
}
