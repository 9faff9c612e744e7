package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/hours"
)

// ParseWindows reads parts of the day.
func ParseWindows(words []string) (ws hours.Windows, err error) {
	for _, word := range words {
		w, err := hours.Parse(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tree.Quote(word), err)
		}
		ws = append(ws, w)
	}
	return ws, nil
}

// ParseRates reads a rate, or several with parts of the day before them, as in
// "08:00-18:00=10m,1g": the first that holds decides, one without a part of the
// day always does.
func ParseRates(s string) (hours.Rates, error) {
	if !strings.ContainsAny(s, "=,") {
		kib, err := ParseRate(s)
		return hours.Always(kib), err
	}
	var all hours.Rates
	for part := range strings.SplitSeq(s, ",") {
		var one hours.Rate
		window, rate, limited := strings.Cut(part, "=")
		if !limited {
			rate = part
		} else if w, err := hours.Parse(window); err != nil {
			return nil, fmt.Errorf("%s: %w", tree.Quote(window), err)
		} else {
			one.Window = w
		}
		var err error
		if one.KiB, err = ParseRate(rate); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Never is the time at which a mirror is not compared.
const Never = "never"

// calendarWords are the times that have a name (systemd.time(7)).
var calendarWords = []string{Never, "minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually"}

// checkCalendar refuses what cannot be a time of systemd: whether it is one in
// every detail systemd alone can say.
func checkCalendar(s string) error {
	other := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" *:/.,~-_+", r))
	}
	switch {
	case s == "" || slices.Contains(calendarWords, strings.ToLower(s)):
		return nil
	case len(s) > 200 || strings.ContainsFunc(s, other) || !strings.ContainsAny(s, "0123456789"):
		if near := nearest(s, calendarWords); near != "" {
			return fmt.Errorf("%s is no time: did you mean %s?", tree.Quote(s), near)
		}
		return fmt.Errorf("%s is no time: want %s, or one of systemd such as 'Sun 03:00'", tree.Quote(s), strings.Join(calendarWords[2:5], ", "))
	}
	return nil
}

// errRates says how rates may be written.
var errRates = errors.New("want a rate such as \"10m\", or a list of tables such as { from = \"08:00\", to = \"18:00\", rate = \"10m\" }")

// rates are what BwLimit says: a string, or a list of tables whose from and to
// may be missing together.
func (s *Settings) rates() (hours.Rates, error) {
	list, ok := s.BwLimit.([]any)
	if !ok {
		text, ok := s.BwLimit.(string)
		switch {
		case !ok:
			return nil, errRates
		case text == "":
			return nil, nil
		}
		return ParseRates(text)
	}
	parts := make([]string, len(list))
	for i, item := range list {
		table, ok := item.(map[string]any)
		if !ok {
			return nil, errRates
		}
		word := map[string]string{}
		for key, value := range table {
			text, ok := value.(string)
			if !ok || key != "from" && key != "to" && key != "rate" || strings.ContainsAny(text, "=,") {
				return nil, fmt.Errorf("%s: %w", tree.Quote(key), errRates)
			}
			word[key] = text
		}
		switch {
		case word["rate"] == "" || (word["from"] == "") != (word["to"] == ""):
			return nil, errRates
		case word["from"] == "":
			parts[i] = word["rate"]
		default:
			parts[i] = word["from"] + "-" + word["to"] + "=" + word["rate"]
		}
	}
	return ParseRates(strings.Join(parts, ","))
}
