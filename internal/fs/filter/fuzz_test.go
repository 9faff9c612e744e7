package filter_test

import (
	"io/fs"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

// FuzzRules checks that any file of rules is refused or compiled, that what is
// compiled renders to a rule that compiles to the same, and that its answers
// do not depend on how they are asked for.
func FuzzRules(f *testing.F) {
	for _, s := range []string{"- *.o\n+ /keep/\n", "P a\n-! */\n: .r\n", ":n- .x\n:eC\n!\n", "-C\n", ". file\n", "merge,w- file", "-/ /a/**/b\n- a[[:alpha:]]***"} {
		f.Add([]byte(s), "a/b/c.o", true)
	}
	f.Fuzz(func(t *testing.T, rules []byte, path string, dir bool) {
		b := filter.Builder{Read: func(name string) ([]byte, error) {
			if name == "file" || name == "rules" {
				return rules, nil
			}
			return nil, fs.ErrNotExist
		}}
		if b.Filter(". rules") != nil {
			return
		}
		r, err := b.Rules(filter.Implied{})
		if err != nil {
			t.Fatal(err)
		}
		var again filter.Builder
		var want []string
		for _, rule := range r.All() {
			want = append(want, rule.String())
			if err := again.Filter(rule.String()); err != nil {
				t.Fatalf("%q does not compile again: %v", rule, err)
			}
		}
		for i, rule := range mustRules(t, &again, filter.Implied{}).All() {
			if rule.String() != want[i] {
				t.Fatalf("%q became %q", want[i], rule)
			}
		}
		for protocol := 27; protocol <= 32; protocol++ {
			_, _ = r.Wire(protocol, true, false)
		}
		p, err := tree.Clean(path)
		if err != nil || p.IsRoot() {
			return
		}
		s := r.Scope(func(dir tree.Path, name string) ([]byte, error) { return rules, nil })
		hidden := s.Hidden(p.Parent(), true) || s.Child(p.Parent())(p.Base(), dir)
		if s.Hidden(p, dir) != hidden {
			t.Fatalf("Hidden(%q) = %v, but not by its levels", p, !hidden)
		}
		s.Protected(p, dir)
	})
}

// FuzzGlob checks that the fast matcher and the bounded one agree.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"a*b**c?", "aab/b/cx"}, {"[!a-c]*", "d/e"}, {"**a*a*a", "aaaa/aaa"}, {`[[:alpha:]\]]`, "]"}, {"*/*/**", "a/b/c"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 1000 || len(s) > 1000 {
			return
		}
		for _, components := range []bool{false, true} {
			if usual, table := filter.GlobMatch(pattern, s, components); usual != table {
				t.Fatalf("%q on %q (at components: %v): %v, but by the table %v", pattern, s, components, usual, table)
			}
		}
	})
}
