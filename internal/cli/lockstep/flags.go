package lockstep

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"lockstep/internal/live/change"
	"lockstep/internal/live/hours"
	"lockstep/internal/ops/config"
)

// ruleWord is one filter option of the command line. Their order across all
// these options decides what they mean, so they share one list.
type ruleWord = config.Rule

// ruleFlag appends to the list.
type ruleFlag struct {
	list   *[]ruleWord
	option string
}

func (f ruleFlag) Set(value string) error {
	*f.list = append(*f.list, ruleWord{Option: f.option, Value: value})
	return nil
}
func (f ruleFlag) String() string { return "" }
func (f ruleFlag) Type() string {
	switch f.option {
	case "filter":
		return "RULE"
	case "include-from", "exclude-from":
		return "FILE"
	}
	return "PATTERN"
}

// durationFlag is a duration that may also be a number of seconds, as it is
// with rsync and inotifywait.
type durationFlag struct{ to *time.Duration }

func (f durationFlag) Set(s string) error {
	d, err := parseDuration(s)
	if err == nil {
		*f.to = d
	}
	return err
}
func (f durationFlag) String() string {
	if *f.to == 0 {
		return "0"
	}
	return shortDuration(*f.to)
}
func (f durationFlag) Type() string { return "TIME" }

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if seconds, numberErr := strconv.ParseFloat(s, 64); numberErr == nil && seconds >= 0 && seconds < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("want a time of 0 or more, such as 5s, 250ms, 2m or a number of seconds")
	}
	return d, nil
}

// shortDuration is d without zero parts at its end: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	if s == "" || strings.HasSuffix(s, ".") || '0' <= s[len(s)-1] && s[len(s)-1] <= '9' {
		return d.String()
	}
	if h := strings.TrimSuffix(s, "h0m"); h != s {
		return h + "h"
	}
	return s
}

// choiceFlag is a word out of a few.
type choiceFlag struct {
	to    *string
	words []string
}

func (f choiceFlag) Set(s string) error {
	for _, w := range f.words {
		if s == w {
			*f.to = s
			return nil
		}
	}
	return fmt.Errorf("want one of %s", strings.Join(f.words, ", "))
}
func (f choiceFlag) String() string { return *f.to }
func (f choiceFlag) Type() string   { return "WORD" }

// bandwidthFlag is --bwlimit.
type bandwidthFlag struct{ to *hours.Rates }

func (f bandwidthFlag) Set(s string) error {
	rates, err := config.ParseRates(s)
	if err == nil {
		*f.to = rates
	}
	return err
}
func (f bandwidthFlag) String() string { return "0" }
func (f bandwidthFlag) Type() string   { return "RATE" }

// limitFlag is --max-delete.
type limitFlag struct{ to *change.Limit }

func (f limitFlag) Set(s string) error {
	limit, err := change.ParseLimit(s)
	if err == nil {
		*f.to = limit
	}
	return err
}
func (f limitFlag) String() string { return "0" } // the help text has the default
func (f limitFlag) Type() string   { return "N|N%" }

var (
	_ pflag.Value = limitFlag{}
	_ pflag.Value = ruleFlag{}
	_ pflag.Value = durationFlag{}
	_ pflag.Value = choiceFlag{}
	_ pflag.Value = bandwidthFlag{}
)
