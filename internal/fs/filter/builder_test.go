package filter_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/filter"
)

// files is what a Builder can read.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if content, ok := f[name]; ok {
		return []byte(content), nil
	}
	return nil, fs.ErrNotExist
}

func texts(r *filter.Rules) []string {
	var out []string
	for _, rule := range r.All() {
		out = append(out, rule.String())
	}
	return out
}

func TestFilterRulesAreParsed(t *testing.T) {
	read := files{
		"plain":   "- m1\n\n# c\n; d\n+ m2\r\nP m3\r: .deep\n:- .d2",
		"bare":    "m1\n+ m2\n- m3\n!x\n#c\n  sp\n!\n",
		"words":   "m1 m2\n+ m3\n#r",
		"ruled":   "-_m1 :_.deep\n- m2\t+ m3",
		"clear":   "m1 ! m2",
		"outer":   "- one\n. inner\n",
		"inner":   "- two\n",
		"self":    ":e .q\n:eC\n",
		"nul":     "- a\x00b\n- c",
		"between": "- a\n- b\x00- c\r\x00",
	}
	for _, c := range []struct {
		name, rule string
		want       string // separated by "|"
	}{
		{"a space or an underscore separates", "-_a b", "- a b"},
		{"only one space separates", "-  a", "-  a"},
		{"long names", "exclude a", "- a"},
		{"long names with modifiers", "include,!/ a", "+/! a"},
		{"a comma after a letter", "-,p a", "-p a"},
		{"hide", "H a", "-s a"},
		{"show", "show a", "+s a"},
		{"protect", "Pp a", "-rp a"},
		{"risk", "risk a", "+r a"},
		{"both sides", "-rs a", "-sr a"},
		{"modifiers are put in order", "-px!/ /a/b/", "-/!xp /a/b/"},
		{"a per-directory rule", "dir-merge,sn .x", ":ns .x"},
		{"a per-directory rule with all modifiers", ":npw-/rsx foo", ":/nw-xsrp foo"},
		{"excluding the merge file", ":e a/b/c", "- c|: a/b/c"},
		{"the cvs file", ":sC", ":Cs .cvsignore"},
		{"another file in its format", ":Cpr/ foo", ":/Crp foo"},
		{"an empty rule is nothing", "", ""},
		{"clearing takes a comma", "clear,", ""},
		{"a merged file", ". plain", "- m1|+ m2|-r m3|: .deep|:- .d2"},
		{"a merged file passes modifiers on", "./p plain", "-/p m1|+/p m2|-/rp m3|:/p .deep|:/-p .d2"},
		{"a merged file passes sides on", ".r inner", "-r two"},
		{"a merged file merges files", ".p outer", "-p one|-p two"},
		{"a merged file of patterns", ".- bare", "- m1|- + m2|- - m3|- !x|-   sp|- !"},
		{"a merged file of includes", ".+ inner", "+ - two"},
		{"a merged file of words", ".w- words", "- m1|- m2|- +|- m3|- #r"},
		{"a merged file of rules as words", ".w ruled", "- m1|: .deep|- m2|+ m3"},
		{"a merged cvs file may clear", ".C clear", "- m2"},
		{"a merged file excluded itself", ".e inner", "- inner|- two"},
		{"self-exclusion in a sided file is not sided", ".r self", "- .q|:r .q|- .cvsignore|:Cr .cvsignore"},
		{"NUL ends a rule where lines are used", ". nul", "- a|- c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := filter.Builder{Read: read.read}
			if err := b.Filter(c.rule); err != nil {
				t.Fatal(err)
			}
			r, err := b.Rules(filter.Implied{})
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(c.want, "|")
			if c.want == "" {
				want = nil
			}
			if got := texts(r); !slices.Equal(got, want) {
				t.Errorf("%q gives %q, want %q", c.rule, got, want)
			}
		})
	}
}

func TestFilterRulesAreRefused(t *testing.T) {
	read := files{"sided": "- a\nP b\n", "secret": "hunter2\n", "loop": ". loop\n", "words": "- a -", "long": "- " + strings.Repeat("x", 5000)}
	for _, c := range []struct{ name, rule, want string }{
		{"no such rule", "foo", `filter rule foo: unknown rule`},
		{"a long name needs a separator", "excludea", "unknown rule"},
		{"a long name is not abbreviated", "excl a", "unknown rule"},
		{"a leading blank", " - a", "unknown rule"},
		{"no comment on the command line", "# a", "unknown rule"},
		{"no pattern", "-", "must follow"},
		{"no pattern after the separator", "- ", "must follow"},
		{"no file name", ":", "must follow"},
		{"an unknown modifier", "-a", `invalid modifier 'a' at position 1`},
		{"a second comma", "-s,r a", `invalid modifier ',' at position 2`},
		{"a tab does not separate", "-\ta", "invalid modifier"},
		{"a side for a sided rule", "protect,r a", "invalid modifier"},
		{"the cvs list for a sided rule", "HC", "invalid modifier"},
		{"a merge modifier for a pattern", "-n a", "invalid modifier"},
		{"negation for a merge rule", ":! a", "invalid modifier"},
		{"exclude and include for a merge rule", ":-+ a", "invalid modifier"},
		{"cvs after exclude", ":-C", "invalid modifier"},
		{"clearing with text", "! x", "list-clearing"},
		{"clearing with a modifier", "clear,s", "list-clearing"},
		{"a missing file", ". nofile", "cannot read the file to merge"},
		{"sides given twice", ".s sided", "sided:2: the rule names a side"},
		{"files that merge themselves", ". loop", "more than 32 deep"},
		{"a rule cut off in words", ".w words", "words: the rule ends"},
		{"too long", ". long", "long:1: longer than 4095 bytes"},
		{"a NUL", "- a\x00b", "NUL"},
		{"a per-directory rule without a name", ": a/", "must name a file"},
		{"a per-directory rule with dots", ": ..", "must name a file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := filter.Builder{Read: read.read}
			err := b.Filter(c.rule)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%q: %v, want %q", c.rule, err, c.want)
			}
			var e *filter.Error
			if !errors.As(err, &e) {
				t.Errorf("%T is not an *Error", err)
			}
		})
	}
	b := filter.Builder{Read: read.read}
	if err := b.Filter(". secret"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an error repeats the contents of a file: %v", err)
	}
	if err := b.Filter(". nofile"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestIncludeAndExcludeValues(t *testing.T) {
	var b filter.Builder
	for _, p := range []string{"a", "", "+ c", "- d", "+", "-", "+_x", "-/ y", "! z", " b", "# h", "; s"} {
		if err := b.Exclude(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"i", "- j"} {
		if err := b.Include(p); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := b.Rules(filter.Implied{})
	want := []string{"- a", "+ c", "- d", "- +", "- -", "- +_x", "- -/ y", "- ! z", "-  b", "- # h", "- ; s", "+ i", "- j"}
	if got := texts(r); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := b.Exclude("- "); err == nil {
		t.Error("an empty pattern is accepted")
	}
	if err := b.Include("!"); err != nil || len(texts(mustRules(t, &b, filter.Implied{}))) != 0 {
		t.Errorf("a lone ! does not clear: %v", err)
	}
}

func mustRules(t *testing.T, b *filter.Builder, implied filter.Implied) *filter.Rules {
	t.Helper()
	r, err := b.Rules(implied)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPatternFiles(t *testing.T) {
	read := files{
		"list": "m1 m2\n+ m3\n- m4\r\n\n# c\n;d\n! x\n  sp\n",
		"zero": "a\nb\x00+ c\x00\x00#d\x00- e",
		"old":  "gone\n!\nhere\n",
	}
	for _, c := range []struct {
		name, file     string
		include, from0 bool
		want           []string
	}{
		{name: "lines exclude", file: "list", want: []string{"- m1 m2", "+ m3", "- m4", "- ! x", "-   sp"}},
		{name: "lines include", file: "list", include: true, want: []string{"+ m1 m2", "+ m3", "- m4", "+ ! x", "+   sp"}},
		{name: "NUL separates with from0", file: "zero", from0: true, want: []string{"- a\nb", "+ c", "- e"}},
		{name: "a lone ! clears", file: "old", want: []string{"- here"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := filter.Builder{Read: read.read, From0: c.from0}
			from := b.ExcludeFrom
			if c.include {
				from = b.IncludeFrom
			}
			if err := from(c.file); err != nil {
				t.Fatal(err)
			}
			if got := texts(mustRules(t, &b, filter.Implied{})); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	b := filter.Builder{Read: read.read}
	if err := b.ExcludeFrom("nofile"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	b := filter.Builder{Read: files{"f": "# c\n- a\n\n. g\n", "g": "\n\r\n- b\n"}.read}
	for _, rule := range []string{"- x", ". f"} {
		if err := b.Filter(rule); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range mustRules(t, &b, filter.Implied{}).All() {
		got = append(got, r.String()+" from "+r.Origin().String())
	}
	want := []string{"- x from command line", "- a from f:2", "- b from g:3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
