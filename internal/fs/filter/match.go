package filter

import (
	"strings"

	"lockstep/internal/fs/tree"
)

// name is what a rule is matched against: one path, as the directory that
// holds it and its last component.
type name struct {
	dir, base string
	isDir     bool

	root   string // absolute path of the tree's root, "" if that is "/" or unknown
	beyond string // a longer path that begins with dir/base, if the caller has one
	buf    string // root + "/" + path + "/", made when first needed
}

// whole is "root/dir/base/", where the part before dir has rootLen bytes. Only
// patterns with "**" and absolute ones need it.
func (n *name) whole() (s string, rootLen int) {
	if n.buf == "" {
		path := n.beyond
		if path == "" {
			path = n.base
			if n.dir != "" {
				path = n.dir + "/" + n.base
			}
		}
		n.buf = n.root + "/" + path + "/"
	}
	size := len(n.base)
	if n.dir != "" {
		size += len(n.dir) + 1
	}
	return n.buf[:len(n.root)+1+size+1], len(n.root) + 1
}

// is reports whether n is the path p.
func (n *name) is(p string) bool {
	q := tree.Path(p)
	return n.base == q.Base() && n.dir == string(q.Parent())
}

// A matcher is the pattern of one rule, rsync-filelist 7.6.
type matcher struct {
	dirOnly bool
	place   place
	base    part // the last component
	dir     part // what comes before it, for placeFull and placeTail
	depth   int  // how many components dir has

	// The rest is for placeWhole.
	glob       glob
	literal    string // matched instead of glob if wild is false
	wild       bool
	form       wholeForm
	tail       int  // > 0: only the last tail components
	components bool // try at each component
	slashDirs  bool // a directory is matched with a '/' behind it
	// under is the literal directory that an anchored pattern begins with, ""
	// for none; if all is set, the rest of the pattern is "**".
	under string
	all   bool
}

// place is what of a name a pattern is compared with.
type place uint8

const (
	placeNever place = iota // nothing: the pattern cannot match
	placeBase               // the last component
	placeFull               // the path from the tree's root
	placeTail               // the last few components
	placeWhole              // the path in one piece
)

type wholeForm uint8

const (
	formPath     wholeForm = iota // dir/base
	formSlash                     // /dir/base
	formRoot                      // /root/dir/base
	formRootBare                  // root/dir/base
)

func (m *matcher) matches(n *name) bool {
	if m.dirOnly && !n.isDir {
		return false
	}
	switch m.place {
	case placeBase:
		return m.base.matches(n.base)
	case placeFull:
		// "*" matches an empty string, but never for want of a directory.
		return m.base.matches(n.base) && (m.depth == 0) == (n.dir == "") && m.dir.matches(n.dir)
	case placeTail:
		if !m.base.matches(n.base) {
			return false
		}
		dir, ok := lastComponents(n.dir, m.depth)
		return ok && m.dir.matches(dir)
	case placeWhole:
		return m.matchWhole(n)
	}
	return false
}

func (m *matcher) matchWhole(n *name) bool {
	if m.under != "" {
		below := tree.Path(n.dir).Within(tree.Path(m.under))
		if !below && (!m.slashDirs || !n.isDir || !n.is(m.under)) {
			return false
		}
		if m.all {
			return true
		}
	}
	s, rootLen := n.whole()
	switch m.form {
	case formPath:
		s = s[rootLen:]
	case formSlash:
		s = s[rootLen-1:]
	case formRootBare:
		s = s[1:]
	}
	if !m.slashDirs || !n.isDir {
		s = s[:len(s)-1]
	}
	if m.tail > 0 {
		var ok bool
		if s, ok = lastComponents(s, m.tail); !ok {
			return false
		}
	}
	switch {
	case !m.wild:
		return s == m.literal
	case m.components:
		return m.glob.matchAtComponents(s)
	}
	return m.glob.match(s)
}

// edges is the first and the last byte that the last component of a matching
// name must have, -1 if it may be any.
func (m *matcher) edges() (first, last int16) {
	first, last = -1, -1
	switch {
	case m.place == placeNever:
	case m.place != placeWhole:
		return m.base.edges()
	case m.slashDirs:
	case !m.wild:
		_, last = (&part{kind: partLiteral, lit: m.literal}).edges()
	case len(m.glob.tokens) > 0:
		if t := m.glob.tokens[len(m.glob.tokens)-1]; t.kind == tokenLit {
			last = int16(t.lit)
		}
	}
	return first, last
}

// lastComponents is the last n >= 1 components of s; ok is false if there are
// fewer.
func lastComponents(s string, n int) (last string, ok bool) {
	i := len(s)
	for ; n > 0; n-- {
		if i <= 0 {
			return "", false
		}
		i = strings.LastIndexByte(s[:i], '/')
	}
	return s[i+1:], true
}

// compileMatcher compiles a pattern from which the '/' of a directory-only
// rule has been taken.
func compileMatcher(pattern string, flags ruleFlags) matcher {
	m := matcher{dirOnly: flags&flagDirOnly != 0}
	slashes := strings.Count(pattern, "/")
	deep := strings.Contains(pattern, "**")
	switch {
	case slashes == 0 && !deep:
		m.place, m.base = placeBase, compilePart(pattern)
	case deep || flags&flagAbsolute != 0:
		m.compileWhole(pattern, slashes, deep, flags&flagAbsolute != 0)
	default:
		m.compileSplit(pattern, slashes)
	}
	return m
}

// compileSplit is for a pattern with slashes but without "**": since nothing
// else matches a '/', its components can be compared one by one, the last
// one first, and no path needs to be put together.
func (m *matcher) compileSplit(pattern string, slashes int) {
	anchored := pattern[0] == '/'
	if anchored {
		pattern = pattern[1:]
		slashes--
	}
	var dir, base glob
	if isWild(pattern) {
		g := compileGlob(pattern)
		n, last := g.slashes()
		if g.never || !anchored && n != slashes {
			return // a '/' inside of brackets matches nothing, yet counts as one to reach back for
		}
		if last < 0 {
			base = g
		} else {
			dir, base = g.sub(0, last), g.sub(last+1, len(g.tokens))
			m.depth = n
		}
		m.dir, m.base = partOf(dir), partOf(base)
	} else {
		i := strings.LastIndexByte(pattern, '/')
		m.base = part{kind: partLiteral, lit: pattern[i+1:]}
		m.dir = part{kind: partLiteral}
		if i >= 0 {
			m.dir.lit = pattern[:i]
			m.depth = slashes
		}
	}
	m.place = placeTail
	if anchored {
		m.place = placeFull
	}
}

func (m *matcher) compileWhole(pattern string, slashes int, deep, absolute bool) {
	m.place = placeWhole
	leadDeep := strings.HasPrefix(pattern, "**")
	m.slashDirs = deep && strings.HasSuffix(pattern, "***")
	switch {
	case absolute:
		m.form = formRoot
	case leadDeep:
		m.form = formSlash
	}
	switch {
	case pattern[0] == '/':
		pattern = pattern[1:]
		if absolute {
			m.form = formRootBare
		}
	case !deep:
		m.tail = slashes + 1
	case !leadDeep:
		m.components = true
	}
	if m.wild = isWild(pattern); !m.wild {
		m.literal = pattern
		return
	}
	m.glob = compileGlob(pattern)
	switch {
	case leadDeep && !absolute:
		m.simplifyDeep()
	case m.form == formPath && !m.components:
		m.findUnder()
	}
}

// findUnder sets under for "/dir/**" and the like.
func (m *matcher) findUnder() {
	t := m.glob.tokens
	lead, end := 0, -1
	for lead < len(t) && t[lead].kind == tokenLit {
		if t[lead].lit == '/' {
			end = lead
		}
		lead++
	}
	if m.glob.never || end < 1 {
		return
	}
	dir := m.glob.sub(0, end)
	m.under, _ = dir.literal()
	m.all = end == lead-1 && lead == len(t)-1 && t[lead].kind == tokenStars
}

// simplifyDeep turns "**/x", which any path that ends in x matches, into what
// needs no whole path.
func (m *matcher) simplifyDeep() {
	t := m.glob.tokens
	if m.slashDirs || m.glob.never || len(t) < 3 || t[1] != (token{lit: '/'}) {
		return
	}
	rest := m.glob.sub(2, len(t))
	for _, t := range rest.tokens {
		if t.kind == tokenStars || t.kind == tokenLit && t.lit == '/' {
			return
		}
	}
	m.place, m.base = placeBase, partOf(rest)
}
