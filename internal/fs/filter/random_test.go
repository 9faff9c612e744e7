package filter_test

import (
	"math/rand/v2"
	"strings"

	"lockstep/internal/fs/filter"
)

var (
	dirNames  = []string{"a", "b", "foo", "bar", "d1", "x.d", "core"}
	fileNames = []string{"a", "b", "f", "foo", "q", "x.o", "y.o", "z.c", "f~", "core", "a-b", ".hid"}
	mergeName = []string{".r", ".s", ".cvsignore"}
)

func newCase(seed uint64) *testCase {
	c := &testCase{rng: rand.New(rand.NewPCG(seed, 1)), src: nodes{}, dst: nodes{}, files: map[string]string{}}
	c.deleteExcluded = c.chance(20)
	c.perDir = pick(c, []string{": .r", ":n .r", ":e .r", ":p .r", ":s .r", "dir-merge,r .r"})
	c.grow("", 0)
	c.commandLine()
	// Files for "." in merge files: looked for in the root, and never swept.
	for _, name := range []string{".m1", ".m2"} {
		content := c.fileOf(2, c.simpleRule)
		c.src[name], c.dst[name] = &content, &content
	}
	return c
}

func (c *testCase) chance(percent int) bool { return c.rng.IntN(100) < percent }

func pick[T any](c *testCase, from []T) T { return from[c.rng.IntN(len(from))] }

// grow makes the directory dir in source, destination or both. A name is of
// the same kind in both.
func (c *testCase) grow(dir string, depth int) {
	place := func(p string, content *string) {
		if parent, _ := splitPath(p); parent == "" || c.src.isDir(parent) {
			if c.chance(75) {
				c.src[p] = content
			}
		}
		if parent, _ := splitPath(p); parent == "" || c.dst.isDir(parent) {
			if c.chance(75) {
				c.dst[p] = content
			}
		}
	}
	join := func(name string) string { return strings.TrimPrefix(dir+"/"+name, "/") }
	taken := map[string]bool{}
	for range c.rng.IntN(4) {
		name := pick(c, dirNames)
		if depth > 3 || taken[name] {
			continue
		}
		taken[name] = true
		place(join(name), nil)
		c.grow(join(name), depth+1)
	}
	for range c.rng.IntN(6) {
		if name := pick(c, fileNames); !taken[name] {
			taken[name] = true
			empty := ""
			place(join(name), &empty)
		}
	}
	for _, name := range mergeName {
		if !c.chance(15) {
			continue
		}
		content := c.fileOf(3, c.mergedRule)
		if name == ".cvsignore" {
			content = c.words()
		}
		place(join(name), &content)
	}
}

func (c *testCase) fileOf(n int, rule func() string) string {
	var b strings.Builder
	for range 1 + c.rng.IntN(n) {
		b.WriteString(rule() + pick(c, []string{"\n", "\n", "\r\n", "\n# c\n", "\n\n"}))
	}
	return b.String()
}

func (c *testCase) words() string {
	var words []string
	for range 1 + c.rng.IntN(3) {
		word := c.pattern()
		if c.chance(10) {
			word = "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, pick(c, []string{" ", "\n", "\t "}))
}

// pattern is any pattern: bare names, anchored, with wildcards.
func (c *testCase) pattern() string {
	var parts []string
	for range 1 + c.rng.IntN(3)*c.rng.IntN(2) {
		parts = append(parts, c.component())
	}
	p := strings.Join(parts, "/")
	switch c.rng.IntN(8) {
	case 0, 1:
		p = "/" + p
	case 2:
		p = "**/" + p
	case 3:
		p += "/***"
	}
	if c.chance(25) && !strings.HasSuffix(p, "/") {
		p += "/"
	}
	return p
}

func (c *testCase) component() string {
	name := pick(c, append(dirNames, fileNames...))
	switch c.rng.IntN(14) {
	case 0:
		return "*"
	case 1:
		return "**"
	case 2:
		return "*" + name[len(name)/2:]
	case 3:
		return name[:len(name)/2] + "*"
	case 4:
		return name[:len(name)-1] + "?"
	case 5:
		return "[" + pick(c, []string{"a-c", "!a", "^.x", "[:alpha:]", "]f-", "a\\]q", "c-a", "[:nope:]"}) + "]" + name[1:]
	case 6:
		return "*" + name[len(name)-1:] + "*"
	case 7:
		return name[:1] + "**" + name[len(name)-1:]
	case 8:
		return "\\" + name + pick(c, []string{"", "*"})
	case 9:
		return "*.[co]"
	}
	return name
}

// simpleRule is an include or exclude rule without sides.
func (c *testCase) simpleRule() string {
	op := pick(c, []string{"-", "-", "-", "+", "exclude", "include"})
	mods := ""
	if c.chance(10) {
		mods += "p"
	}
	if c.chance(5) {
		mods += "!"
	}
	if mods != "" {
		op += "," + mods
	}
	return op + pick(c, []string{" ", "_"}) + c.pattern()
}

func (c *testCase) sidedRule() string {
	return pick(c, []string{"H", "P", "P", "S", "R", "-s", "-r", "-sr", "+s", "Pp", "protect", "hide"}) + " " + c.pattern()
}

// mergedRule is a rule of a per-directory file.
func (c *testCase) mergedRule() string {
	switch c.rng.IntN(12) {
	case 0:
		return "!"
	case 1:
		return ": .s"
	case 2:
		return ":n- .s"
	case 3:
		// rsync forgets the sides of such rules; we do not.
		if !c.deleteExcluded && !c.sidedMerge() {
			return ". .m1"
		}
	case 4, 5:
		if !c.sidedMerge() || c.chance(5) { // an error otherwise
			return c.sidedRule()
		}
	}
	return c.simpleRule()
}

// sidedMerge tells whether the rules in .r files get their side from outside.
func (c *testCase) sidedMerge() bool {
	return c.perDir == ":s .r" || c.perDir == "dir-merge,r .r"
}

func (c *testCase) commandLine() {
	add := func(arg string, build func(*filter.Builder) error) {
		c.args = append(c.args, arg)
		c.build = append(c.build, build)
	}
	filterRule := func(rule string) {
		add("--filter="+rule, func(b *filter.Builder) error { return b.Filter(rule) })
	}
	for range 1 + c.rng.IntN(5) {
		switch c.rng.IntN(14) {
		case 0:
			p := c.pattern()
			add("--exclude="+p, func(b *filter.Builder) error { return b.Exclude(p) })
		case 1:
			p := c.pattern()
			add("--include="+p, func(b *filter.Builder) error { return b.Include(p) })
		case 2:
			c.files["list"] = c.fileOf(4, func() string { return pick(c, []string{"", "- ", "+ ", "; "}) + c.pattern() })
			add("--exclude-from=list", func(b *filter.Builder) error { return b.ExcludeFrom("list") })
		case 3:
			c.files["merged"] = c.fileOf(4, c.simpleRule)
			filterRule(pick(c, []string{". merged", "merge,s merged", ".p merged"}))
		case 4, 5:
			filterRule(c.perDir)
		case 6:
			filterRule(pick(c, []string{":C", "-C", ":C .s", "!"}))
		case 7:
			root := pick(c, []string{"src/", "dst/"})
			filterRule("-/ " + root + c.component())
		case 8, 9, 10:
			filterRule(c.sidedRule())
		default:
			filterRule(c.simpleRule())
		}
	}
	if c.chance(10) {
		c.args, c.implied.CVS = append(c.args, "-C"), true
		c.files[".cvsignore"] = c.words()
	}
}
