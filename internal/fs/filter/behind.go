package filter

import "slices"

// Behind is first's rules and then r's. First has no per-directory rules.
func (r *Rules) Behind(first *Rules) *Rules {
	if r == nil || first == nil {
		if r == nil {
			return first
		}
		return r
	}
	return &Rules{list: slices.Concat(first.list, r.list), cvs: r.cvs, from0: r.from0}
}

// Behind is a Scope of the same place in which first's rules come before those
// of s. It shares nothing with s.
func (s *Scope) Behind(first *Rules) *Scope {
	if s == nil {
		return first.ScopeAt(Place{})
	}
	return s.rules.Behind(first).ScopeAt(s.place)
}
