package filter_test

import (
	"fmt"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

func rulesOf(t testing.TB, implied filter.Implied, rules ...string) *filter.Rules {
	t.Helper()
	var b filter.Builder
	for _, rule := range rules {
		if err := b.Filter(rule); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Rules(implied)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var benchSets = []struct {
	name    string
	implied filter.Implied
	rules   []string
}{
	{name: "none"},
	{name: "literals and suffixes", rules: []string{"- *.o", "- .git/", "- /cache", "- node_modules/", "+ *.php", "- var/log/*.log"}},
	{name: "cvs list", implied: filter.Implied{CVS: true}},
	{name: "two stars", rules: []string{"- **/tmp", "- /var/**/cache/***", "- a**b"}},
}

func BenchmarkHidden(b *testing.B) {
	const p = tree.Path("srv/www/site/htdocs/images/logo-2024.png")
	for _, set := range benchSets {
		s := rulesOf(b, set.implied, set.rules...).Scope(nil)
		b.Run(set.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Hidden(p, false)
			}
		})
	}
}

func BenchmarkChild(b *testing.B) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("file-%04d.html", i))
	}
	for _, set := range benchSets {
		s := rulesOf(b, set.implied, set.rules...).Scope(nil)
		b.Run(set.name+", 1000 names", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hidden := s.Child("srv/www/site")
				for _, name := range names {
					hidden(name, false)
				}
			}
		})
	}
}
