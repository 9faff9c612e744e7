package filter_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

const cvsAt30 = "-p RCS|-p SCCS|-p CVS|-p CVS.adm|-p RCSLOG|-p cvslog.*|-p tags|-p TAGS|-p .make.state|-p .nse_depinfo|" +
	"-p *~|-p #*|-p .#*|-p ,*|-p _$*|-p *$|-p *.old|-p *.bak|-p *.BAK|-p *.orig|-p *.rej|-p .del-*|-p *.a|-p *.olb|" +
	"-p *.o|-p *.obj|-p *.so|-p *.exe|-p *.Z|-p *.elc|-p *.ln|-p core|-p .svn/|-p .git/|-p .hg/|-p .bzr/"

// What rsync 3.5.0 was seen to send as the client of a push.
func TestWireAsCaptured(t *testing.T) {
	specRules := []string{"+ /keep/", "- *.o", "P prot", "R risk", "H hid", "S sho", "-! */", "-/ /abs", "-p per",
		"-x user.foo", ": .rules", ":n- .noinh", "-rs both", ":e .excl", ":sw+ .sw", ":n .nn"}
	old := func(s string) string { return strings.ReplaceAll(s, "-p ", "") }
	all := filter.Implied{BackupSuffix: "~", PartialDir: ".pp", CVS: true}
	for _, c := range []struct {
		name           string
		rules          []string
		implied        filter.Implied
		protocol       int
		keep           bool // without --delete
		deleteExcluded bool
		want           string
	}{
		{name: "delete at 32", protocol: 32, rules: specRules,
			want: "+ /keep/|- *.o|-r prot|+r risk|-! */|-/ /abs|-p per|-x user.foo|: .rules|:n- .noinh|-sr both|- .excl|: .excl|:n .nn"},
		{name: "delete excluded at 32", protocol: 32, rules: specRules, deleteExcluded: true,
			want: "-r prot|+r risk|: .rules|-sr both|: .excl|:n .nn"},
		{name: "sided per-directory rules with delete excluded", protocol: 29, deleteExcluded: true,
			rules: []string{"- a", "-rs q", ": rr", ":n- rrr", ":s rrs", ":r rrx", ":C"}, want: "-sr q|: rr|:r rrx"},
		{name: "nothing without delete", protocol: 32, rules: specRules, keep: true},
		{name: "nothing without delete, even to an old peer", protocol: 28, rules: specRules, keep: true},
		{name: "bare patterns at 28", protocol: 28,
			rules: []string{"- a", "+ b", "- - q", "- + q", "H xx", "- w/", "-  lead", "- ! x", "- #a", "P p", "R r", "-sr s"},
			want:  "a|+ b|- - q|- + q|w/| lead|! x|#a|p|+ r|s"},
		{name: "a sender's rule is no trouble at 28", protocol: 28, rules: []string{"-s! b", ":s .x", "S y"}},
		{name: "nothing at 28 with delete excluded", protocol: 28, deleteExcluded: true, rules: []string{"- a", "-! b", ":- c", "-s! d"}},
		{name: "implied rules at 32", protocol: 32, rules: []string{"- zz"}, implied: all,
			want: "- zz|-r *~|-p .pp/|:C .cvsignore|" + cvsAt30},
		{name: "implied rules at 29", protocol: 29, rules: []string{"- zz"}, implied: all,
			want: "- zz|-r *~|- .pp/|:C .cvsignore|" + strings.ReplaceAll(cvsAt30, "-p", "-")},
		{name: "implied rules at 28", protocol: 28, rules: []string{"- zz"}, implied: all,
			want: "zz|*~|.pp/|" + old(cvsAt30)},
		{name: "old dirs", protocol: 32, rules: []string{"- zz"}, implied: filter.Implied{OldDirs: true}, want: "- zz|- /*/*"},
		{name: "the cvs list is expanded", protocol: 32, rules: []string{"-C ignored"}, want: cvsAt30},
		{name: "the cvs list can include", protocol: 32, rules: []string{"+C"}, want: strings.ReplaceAll(cvsAt30, "-p", "+p")},
		{name: "the cvs list passes modifiers on, but not x", protocol: 32, rules: []string{"exclude,x!rC"}, want: strings.ReplaceAll(cvsAt30, "-p", "-!rp")},
		{name: "the same per-directory file counts once", protocol: 32, rules: []string{":e .r", "- a", ":n x/.r", ":e .r"},
			want: "- .r|: .r|- a|- .r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rulesOf(t, c.implied, c.rules...)
			got, err := r.Wire(c.protocol, !c.keep, c.deleteExcluded)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "|")
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%q, want\n%q", got, want)
			}
		})
	}
}

// A lone "!" would clear the peer's list; rsync 3.5.0 sends it bare.
func TestWireDoesNotClearTheOldPeersList(t *testing.T) {
	got, err := rulesOf(t, filter.Implied{}, "- a", "- !").Wire(28, true, false)
	if err != nil || !slices.Equal(got, []string{"a", "- !"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWireTooModern(t *testing.T) {
	for _, c := range []struct {
		rule           string
		protocol       int
		deleteExcluded bool
	}{
		{"-! a", 28, false},
		{"-/ a", 28, false},
		{"-p a", 28, false},
		{"-x a", 28, false},
		{": a", 28, false},
		{":C", 27, false},
		{"P a", 28, true},
		{": b", 28, true},
		{"-p a", 29, false},
		{"-pC", 29, false},
		{":p .r", 29, false},
	} {
		_, err := rulesOf(t, filter.Implied{}, c.rule).Wire(c.protocol, true, c.deleteExcluded)
		if !errors.Is(err, filter.ErrTooModern) || !strings.Contains(err.Error(), "command line") {
			t.Errorf("%s at %d: %v", c.rule, c.protocol, err)
		}
	}
}

func TestCVSLists(t *testing.T) {
	b := filter.Builder{CVSHome: "hh1 !\nhh2 *.q", CVSEnv: "e1  e2"}
	for _, rule := range []string{"- zz", "+rC"} {
		if err := b.Filter(rule); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"- zz", "+r hh2", "+r *.q", "+r e1", "+r e2"}
	if got := texts(mustRules(t, &b, filter.Implied{})); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheListOfCVSProtectsIfAsked(t *testing.T) {
	for _, protects := range []bool{false, true} {
		b := filter.Builder{CVSEnv: "env"}
		s := mustRules(t, &b, filter.Implied{CVS: true, CVSProtects: protects}).ScopeAt(filter.Place{
			Root: "/t", DeleteExcluded: true,
			Read: func(tree.Path, string) ([]byte, error) { return []byte("local"), nil },
		})
		for name, want := range map[tree.Path]bool{"a~": protects, "env": protects, "local": false, "b": false} {
			if got := s.Protected(name, false); got != want {
				t.Errorf("with CVSProtects %v, %s is protected: %v", protects, name, got)
			}
			if got := s.Hidden(name, false); got != (name != "b") {
				t.Errorf("with CVSProtects %v, %s is hidden: %v", protects, name, got)
			}
		}
	}
}

func TestShortF(t *testing.T) {
	var b filter.Builder
	for range 3 {
		if err := b.ShortF(); err != nil {
			t.Fatal(err)
		}
		if err := b.Exclude("x"); err != nil {
			t.Fatal(err)
		}
	}
	r := mustRules(t, &b, filter.Implied{})
	if got, want := texts(r), []string{": /.rsync-filter", "- x", "- .rsync-filter", "- x", "- x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.MergeNames(); !slices.Equal(got, []string{".rsync-filter"}) {
		t.Errorf("merge names %q", got)
	}
}

func TestWirePull(t *testing.T) {
	rules := []string{"+ /keep/", "- *.o", "P prot", "R risk", "H hid", "S sho", "-! */", "-/ /abs", "-p per", ": .rules", "-rs both", ":e .excl", ":sw+ .sw"}
	for _, c := range []struct {
		name           string
		protocol       int
		deleteExcluded bool
		rules          []string
		want           string
	}{
		{"at protocol 32", 32, false, rules, "+ /keep/|- *.o|-s hid|+s sho|-! */|-/ /abs|-p per|: .rules|-sr both|- .excl|: .excl|:w+s .sw"},
		{"perishable at 29", 29, false, []string{"-p foo"}, "- foo"},
		{"what is excluded is deleted", 32, true, []string{"- *.o", "+ x y", "P p", ": .r"}, "-s *.o|+s x y|: .r"},
		{"before modifiers", 28, false, []string{"- *.o", "+ x y", "- - dash", "H hid", "P prot", "-p per"}, "*.o|+ x y|- - dash|hid|per"},
		{"before modifiers, what is excluded is deleted", 28, true, []string{"- *.o", "+ x y"}, "*.o|+ x y"},
	} {
		got, err := rulesOf(t, filter.Implied{CVS: true, PartialDir: ".pp"}, c.rules...).WirePull(c.protocol, c.deleteExcluded)
		want := c.want + map[bool]string{true: "|-p .pp/", false: "|- .pp/"}[c.protocol >= 30]
		if c.protocol < 29 {
			want = c.want + "|.pp/"
		}
		if c.deleteExcluded {
			want = strings.Replace(want, "|-p .pp/", "|-sp .pp/", 1)
		}
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%s: got %q, %v; want %q", c.name, strings.Join(got, "|"), err, want)
		}
	}
	for _, rule := range []string{"-! a", "-/ a", "-x a", ": a"} {
		if _, err := rulesOf(t, filter.Implied{}, rule).WirePull(28, false); !errors.Is(err, filter.ErrTooModern) {
			t.Errorf("%s at 28: %v", rule, err)
		}
	}
}

func TestReceivedRules(t *testing.T) {
	var b filter.Builder
	for _, rule := range []string{"- *.o", "-s hid", ":n .rules", "+ x y"} {
		if err := b.Received(32, rule); err != nil {
			t.Fatal(err)
		}
	}
	var old filter.Builder
	for _, rule := range []string{"*.o", "+ x y", "- + z", "H hid"} {
		if err := old.Received(28, rule); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(texts(mustRules(t, &b, filter.Implied{})), "|"); got != "- *.o|-s hid|:n .rules|+ x y" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(texts(mustRules(t, &old, filter.Implied{})), "|"); got != "- *.o|+ x y|- + z|- H hid" {
		t.Errorf("old: got %s", got)
	}
	for _, rule := range []string{". /etc/shadow", "merge x", "-q a", "?", "- "} {
		if err := b.Received(32, rule); err == nil {
			t.Errorf("%q was taken", rule)
		}
	}
}
