package filter

// Rules is a compiled rule set, immutable and safe for concurrent use. A nil
// *Rules leaves nothing out.
type Rules struct {
	list  []*Rule // in order; per-directory rules stand at their place
	cvs   cvsLists
	from0 bool
}

func newRules(list []*Rule, cvs cvsLists, from0 bool) *Rules {
	if len(list) == 0 {
		return nil
	}
	return &Rules{list: list, cvs: cvs, from0: from0}
}

// All yields the rules in order.
func (r *Rules) All() []*Rule {
	if r == nil {
		return nil
	}
	return append([]*Rule(nil), r.list...)
}

// Texts is the rules in order, as --filter takes them, without those that -C
// stands for.
func (r *Rules) Texts() []string {
	if r == nil {
		return nil
	}
	var texts []string
	for _, rule := range r.list {
		if !rule.has(flagOption) {
			texts = append(texts, rule.String())
		}
	}
	return texts
}

// MergeNames is the names of the per-directory merge files that the rules
// themselves ask for; merge files may ask for more, see Scope.MergeNames.
func (r *Rules) MergeNames() []string {
	if r == nil {
		return nil
	}
	var names []string
	for _, rule := range r.list {
		if rule.has(flagDirMerge) {
			names = append(names, rule.mergeName())
		}
	}
	return names
}

// Xattr decides about the extended attribute called attr. decided is false if
// there is no rule with the "x" modifier at all, and the caller's own choice
// of attributes holds.
func (r *Rules) Xattr(side Side, attr string) (excluded, decided bool) {
	if r == nil {
		return false, false
	}
	n := name{base: attr}
	for _, rule := range r.list {
		if !rule.has(flagXattr) || rule.has(flagDirMerge) {
			continue
		}
		decided = true
		if rule.on(side, false) && rule.applies(&n) {
			return !rule.Include(), true
		}
	}
	return false, decided
}
