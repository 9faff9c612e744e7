package filter_test

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

func TestHiddenByOneRule(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		hidden     string // names separated by blanks, a '/' behind directories
		shown      string
	}{
		{"a bare name is the last component", "- foo", "foo foo/ a/foo a/b/foo foo/x", "foox xfoo a/foo2"},
		{"a trailing slash takes directories only", "- foo/", "foo/ a/foo/ foo/x", "foo a/foo"},
		{"a leading slash anchors at the root", "- /foo", "foo foo/x", "a/foo"},
		{"an inner slash counts components from the end", "- a/foo", "a/foo b/a/foo", "foo xa/foo a/b/foo"},
		{"an anchored path is the whole path", "- /a/foo", "a/foo a/foo/x", "b/a/foo foo"},
		{"a star stays in its component", "- /a/*.c", "a/x.c a/.c", "a/b/x.c x.c"},
		{"a star matches nothing, but not a missing directory", "- /*/x", "a/x", "x b/a/x"},
		{"an unanchored star pattern counts components, too", "- */x", "a/x b/a/x", "x"},
		{"a question mark is one byte and no slash", "- a?c", "abc a.c", "ac abbc a/c"},
		{"two stars match across slashes", "- /a/**/x", "a/b/x a/b/c/x", "a/x x"},
		{"two stars after a directory are all below it", "- /a/**", "a/b a/b/c", "a/ ab/c"},
		{"three stars are also the directory itself", "- /a/***", "a/ a/b a/b/c", "a ab/ ab/c"},
		{"three stars work at any depth", "- a/***", "a/ b/a/ b/a/x", "xa/ a"},
		{"leading two stars match at the root as well", "- **/x", "x a/x a/b/x", "ax a/bx"},
		{"leading two stars without a slash match any end", "- **x", "x ax a/bx", "xa"},
		{"two stars in a name start at any component", "- a**z", "az axz a/b/z b/a/z", "bz za"},
		{"a class is one byte", "- [a-c]x", "ax cx", "dx x aax"},
		{"a class may be negated", "- [!a]x", "bx -x", "ax x"},
		{"a negated class does not match a slash", "- /a[!b]c", "axc", "a/c abc"},
		{"a named class", "- f[[:digit:]]", "f0 f9", "fa f"},
		{"an unknown class matches nothing", "- f[[:nope:]0]", "", "f0 fn"},
		{"an unterminated class matches nothing", "- f[0", "", "f0 f f[0"},
		{"a backslash quotes among wildcards", `- \**`, "* *x", `x \x`},
		{"a backslash is ordinary without wildcards", `- a\b`, `a\b`, "ab"},
		{"a trailing backslash after a wildcard matches nothing", `- *\`, "", `a a\`},
		{"a negated rule acts where the pattern does not", "-! *.c", "x.o a/", "x.c"},
		{"a negated directory rule takes all files", "-! */", "x a/x", "a/ a/b/"},
		{"a lone slash matches nothing", "- /", "", "a a/"},
		{"a doubled slash matches nothing", "- a//b", "", "a/b"},
		{"a slash inside a class asks for a component, and cannot match", "- a[/]b", "", "a/b ab"},
		{"a hide rule hides", "H x", "x", "y"},
		{"a protect rule does not hide", "P x", "", "x"},
		{"an xattr rule is not about files", "-x x", "", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rulesOf(t, filter.Implied{}, c.rule).Scope(nil)
			check := func(paths string, want bool) {
				for p := range strings.FieldsSeq(paths) {
					name, dir := strings.CutSuffix(p, "/")
					if got := s.Hidden(tree.Path(name), dir); got != want {
						t.Errorf("%s: Hidden(%s) = %v", c.rule, p, got)
					}
				}
			}
			check(c.hidden, true)
			check(c.shown, false)
		})
	}
}

func TestRulesInOrder(t *testing.T) {
	for _, c := range []struct {
		name          string
		rules         []string
		hidden, shown string
	}{
		{"the first match decides", []string{"+ keep.o", "- *.o", "+ x.o"}, "x.o", "keep.o"},
		{"an excluded directory hides what is included below", []string{"+ x", "- a/"}, "a/x a/b/x", "x"},
		{"only some files", []string{"+ */", "+ *.c", "- *"}, "x.o a/x.o", "x.c a/x.c a/"},
		{"clearing forgets what came before", []string{"- a", "!", "- b"}, "b", "a"},
		{"only one file of one directory", []string{"+ foo/", "+ foo/bar.c", "- *"}, "x foo/x", "foo/ foo/bar.c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rulesOf(t, filter.Implied{}, c.rules...).Scope(nil)
			for p := range strings.FieldsSeq(c.hidden + " " + c.shown) {
				name, dir := strings.CutSuffix(p, "/")
				want := strings.Contains(" "+c.hidden+" ", " "+p+" ")
				if got := s.Hidden(tree.Path(name), dir); got != want {
					t.Errorf("Hidden(%s) = %v", p, got)
				}
			}
		})
	}
}

func TestAbsoluteRules(t *testing.T) {
	for _, c := range []struct{ name, rule, hidden, shown string }{
		{"anchored at the file system's root", "-/ /srv/www/a/x", "a/x", "x srv/www/a/x"},
		{"the last components may be above the root", "-/ www/a", "a", "b/a"},
		{"two stars reach over the root", "-/ /srv/**/x", "x a/x", "y"},
		{"unanchored two stars, too", "-/ www/**x", "x a/x", "y"},
		{"without a slash as any rule", "-/ x", "x a/x", "y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rulesOf(t, filter.Implied{}, c.rule).ScopeAt(filter.Place{Root: "/srv/www/"})
			for p := range strings.FieldsSeq(c.hidden) {
				if !s.Hidden(tree.Path(p), false) {
					t.Errorf("%s is not hidden", p)
				}
			}
			for p := range strings.FieldsSeq(c.shown) {
				if s.Hidden(tree.Path(p), false) {
					t.Errorf("%s is hidden", p)
				}
			}
		})
	}
}

func TestNilLeavesNothingOut(t *testing.T) {
	var r *filter.Rules
	s := r.Scope(nil)
	if s.Hidden("a", false) || s.Protected("a", true) || s.Pinned("a", true) || s.Child("")("a", false) || s.Err() != nil {
		t.Error("nil rules exclude something")
	}
	s.Forget("a")
	if texts, err := r.Wire(32, true, false); texts != nil || err != nil || r.MergeNames() != nil || s.MergeNames() != nil {
		t.Error("nil rules have something to say")
	}
	if r := rulesOf(t, filter.Implied{}, "- a", "!"); r != nil {
		t.Error("rules without a rule are not nil")
	}
	if rulesOf(t, filter.Implied{}, "- **").Scope(nil).Hidden(tree.Root, true) {
		t.Error("the root is hidden")
	}
}

// Patterns made to keep a backtracking matcher busy for ever take their time
// in proportion to pattern times name.
func TestHostilePatternsAreBounded(t *testing.T) {
	long := strings.Repeat("a", 4000)
	parts := strings.Repeat("a/", 1500) + "a"
	for _, p := range []string{
		"- " + strings.Repeat("*a", 1500) + "b",
		"- " + strings.Repeat("**a", 1200) + "b",
		"- " + strings.Repeat("a**", 1200) + "b",
		"- /**" + strings.Repeat("*/a", 700) + "b/c",
		"- **" + strings.Repeat("?*", 1500) + "[!a]",
	} {
		s := rulesOf(t, filter.Implied{}, p).Scope(nil)
		begin := time.Now()
		s.Hidden(tree.Path(long), false)
		s.Child(tree.Path(parts))(long[:255], false)
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("%.20s took %v", p, d)
		}
	}
}

func TestXattrRules(t *testing.T) {
	r := rulesOf(t, filter.Implied{}, "- x", "+x user.keep", "-xs user.*", "-x security.*")
	for attr, want := range map[string]bool{"user.keep": false, "user.a": true, "security.b": true, "x": false} {
		if got, decided := r.Xattr(filter.Sender, attr); got != want || !decided {
			t.Errorf("Xattr(Sender, %q) = %v, %v", attr, got, decided)
		}
	}
	if excluded, _ := r.Xattr(filter.Receiver, "user.a"); excluded {
		t.Error("a rule for the sender works on the receiver")
	}
	if _, decided := rulesOf(t, filter.Implied{}, "- x").Xattr(filter.Sender, "x"); decided {
		t.Error("a file rule decided about an attribute")
	}
}

// Which single bytes each set takes, as seen from rsync 3.5.0.
func TestSetsAsCaptured(t *testing.T) {
	const bytes = `abcz-][\^!09A,+*?~:`
	for _, c := range []struct{ set, want string }{
		{`[c-a]`, `c`},
		{`[a-]`, `a-`},
		{`[-a]`, `a-`},
		{`[]a]`, `a]`},
		{`[!]a]`, `bcz-[\^!09A,+*?~:`},
		{`[^]a]`, `bcz-[\^!09A,+*?~:`},
		{`[a^]`, `a^`},
		{`[\]a]`, `a]`},
		{`[a\-z]`, `az-`},
		{`[a-\c]`, `abc`},
		{`[[:alpha:]-z]`, `abcz-A`},
		{`[a-[:digit:]]`, ``},
		{`[[:alpha]`, `a[:`},
		{`[[.a.]]`, ``},
		{`[]`, ``},
		{`[!]`, ``},
		{`[[]`, `[`},
		{`[]]`, `]`},
		{`[[]]`, ``},
		{`[[:]`, `[:`},
		{`[[::]]`, ``},
		{`[:alpha:]`, `a:`},
		{`[[:^alpha:]]`, ``},
		{`[--+]`, `-`},
		{`[+--]`, `-,+`},
		{`[a-c-z]`, `abcz-`},
		{`[a-c-]`, `abc-`},
		{`[\\]`, `\`},
		{`[^[:alpha:][:digit:]]`, `-][\^!,+*?~:`},
		{`[[:alpha:][:digit:]`, ``},
		{`[!!]`, `abcz-][\^09A,+*?~:`},
		{`[[:punct:]]`, `-][\^!,+*?~:`},
		{`[[:xdigit:]]`, `abc09A`},
		{`[[:alpha:\]]`, `a][:`},
		{`[]-a]`, `a]^`},
		{`[a-]]`, ``},
		{`[\!-~]`, `abcz-][\^!09A,+*?~:`},
		{`[[-a]`, `a][\^`},
	} {
		s := rulesOf(t, filter.Implied{}, "- "+c.set).Scope(nil)
		got := ""
		for _, b := range bytes {
			if s.Hidden(tree.Path(string(b)), false) {
				got += string(b)
			}
		}
		if got != c.want {
			t.Errorf("%s takes %s, want %s", c.set, got, c.want)
		}
	}
}
