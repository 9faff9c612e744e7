package flist

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/fs/filter"
)

// IDOptions say how the ids of a sender become ids of this machine (section 4.3).
type IDOptions struct {
	UserMap, GroupMap string // as --usermap and --groupmap take them; "" is none
	Numeric           bool   // --numeric-ids, or a daemon's: names don't count
	Super             bool   // owners can be given away: only then are uids mapped

	// Names knows the users and groups here; nil is the system.
	Names Directory

	// Warn hears of rules that are left out, since they lead to somebody unknown
	// here. nil ignores it.
	Warn func(text string)
}

// MapError is a --usermap or --groupmap that makes no sense, in rsync's words.
type MapError string

func (e MapError) Error() string { return string(e) }

// IDMap maps the ids of a sender. It is immutable and may be used from any
// goroutine.
type IDMap struct {
	users, groups  []idRule
	numeric, super bool
	names          Directory
}

// idRule is FROM:TO of a map.
type idRule struct {
	from      string        // the sender's name,
	pattern   *filter.Rules // unless it is to match this,
	ids       bool          // or it is a range of ids
	low, high uint32
	to        uint32
}

// NewIDMap parses the maps. An error is a MapError.
func NewIDMap(o IDOptions) (*IDMap, error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Names == nil {
		o.Names = system{}
	}
	m := &IDMap{numeric: o.Numeric, super: o.Super, names: o.Names}
	var err error
	if m.users, err = parseIDRules("--usermap", o.UserMap, m.names.UserID, o.Warn); err != nil {
		return nil, err
	}
	m.groups, err = parseIDRules("--groupmap", o.GroupMap, m.names.GroupID, o.Warn)
	return m, err
}

// numbers reports whether ids go by number.
func (m *IDMap) numbers() bool { return m != nil && m.numeric }

// parseIDRules parses a comma-separated list, from its end: the order in which
// the reference complains.
func parseIDRules(option, text string, lookup func(string) (uint32, bool), warn func(string)) ([]idRule, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	var rules []idRule
	for _, part := range slices.Backward(parts) {
		from, to, found := strings.Cut(part, ":")
		switch {
		case !found:
			return nil, MapError(fmt.Sprintf("No colon found in %s: %s", option, part))
		case to == "":
			return nil, MapError(fmt.Sprintf("No name found after colon %s: %s", option, part))
		}
		rule, err := parseIDFrom(option, from)
		if err != nil {
			return nil, err
		}
		var known bool
		if rule.to, known, err = parseIDTo(to, lookup); err != nil {
			return nil, err
		}
		if known {
			rules = append(rules, rule)
		} else {
			warn(fmt.Sprintf("Unknown %s name on receiver: %s", option, to))
		}
	}
	slices.Reverse(rules)
	return rules, nil
}

// parseIDFrom parses what a rule matches: an id, LOW-HIGH, a name or a pattern.
func parseIDFrom(option, from string) (rule idRule, err error) {
	if from == "" || from[0] < '0' || from[0] > '9' {
		rule.from = from
		if strings.ContainsAny(from, "*?[") && !strings.Contains(from, "/") {
			var b filter.Builder
			if err := b.Filter("-x " + from); err != nil {
				return rule, MapError(fmt.Sprintf("Invalid pattern in %s: %s", option, from))
			}
			rule.pattern, err = b.Rules(filter.Implied{})
		}
		return rule, err
	}
	rule.ids = true
	low, high, isRange := strings.Cut(from, "-")
	if !allDigits(low) || isRange && !allDigits(high) {
		return rule, MapError(fmt.Sprintf("Invalid number in %s: %s", option, from))
	}
	if rule.low, err = parseID(low); err != nil || !isRange {
		rule.high = rule.low
		return rule, err
	}
	rule.high, err = parseID(high)
	return rule, err
}

// parseIDTo parses where a rule leads.
func parseIDTo(to string, lookup func(string) (uint32, bool)) (id uint32, known bool, err error) {
	if allDigits(to) {
		id, err = parseID(to)
		return id, true, err
	}
	id, known = lookup(to)
	return id, known, nil
}

func parseID(digits string) (uint32, error) {
	id, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, MapError("Invalid ID number: " + digits)
	}
	return uint32(id), nil
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// matches reports whether the rule is for a sender's id of that name.
func (r *idRule) matches(id uint32, name string) bool {
	switch {
	case r.ids:
		return r.low <= id && id <= r.high
	case r.from == "*":
		return true
	case r.pattern != nil:
		matches, _ := r.pattern.Xattr(filter.Sender, name)
		return matches && name != ""
	}
	return r.from == name
}

// User is the uid here of a sender's uid, whose name is "" if it has none.
func (m *IDMap) User(id uint32, name string) uint32 {
	if m == nil || !m.super {
		return id
	}
	return m.listed(id, name)
}

// listed is the uid here of a sender's uid in an ACL: it needs no rights.
func (m *IDMap) listed(id uint32, name string) uint32 {
	if m == nil {
		return id
	}
	return mapID(m.users, id, name, m.numeric, m.names.UserID)
}

// Group is the gid here of a sender's gid.
func (m *IDMap) Group(id uint32, name string) uint32 {
	if m == nil {
		return id
	}
	return mapID(m.groups, id, name, m.numeric, m.names.GroupID)
}

func mapID(rules []idRule, id uint32, name string, numeric bool, lookup func(string) (uint32, bool)) uint32 {
	if numeric {
		name = ""
	}
	for i := range rules {
		if rules[i].matches(id, name) {
			return rules[i].to
		}
	}
	if name != "" && id != 0 {
		if own, ok := lookup(name); ok {
			return own
		}
	}
	return id
}
