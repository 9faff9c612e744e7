package filter

import "strings"

// A glob is a compiled wildcard pattern (rsync-filelist 7.6): "?" is any byte
// but '/', "*" any run without '/', "**" any run, "[...]" one byte but '/',
// a backslash quotes the next byte. All is by byte, never by rune.
type glob struct {
	tokens []token
	sets   []byteSet
	never  bool // malformed: matches nothing
}

type token struct {
	kind tokenKind
	lit  byte
	set  uint16 // index in sets
}

type tokenKind uint8

const (
	tokenLit   tokenKind = iota
	tokenAny             // ?
	tokenSet             // [...]
	tokenStar            // *
	tokenStars           // ** or more
)

type byteSet [4]uint64

func (b *byteSet) add(c byte)      { b[c>>6] |= 1 << (c & 63) }
func (b *byteSet) has(c byte) bool { return b[c>>6]&(1<<(c&63)) != 0 }

func isWild(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// compileGlob never fails: what is malformed becomes a glob that matches
// nothing, as in rsync.
func compileGlob(p string) glob {
	var g glob
	for i := 0; i < len(p); {
		switch c := p[i]; c {
		case '\\':
			if i+1 == len(p) {
				return glob{never: true}
			}
			g.tokens = append(g.tokens, token{kind: tokenLit, lit: p[i+1]})
			i += 2
		case '?':
			g.tokens = append(g.tokens, token{kind: tokenAny})
			i++
		case '*':
			kind := tokenStar
			for i++; i < len(p) && p[i] == '*'; i++ {
				kind = tokenStars
			}
			g.tokens = append(g.tokens, token{kind: kind})
		case '[':
			set, n, ok := parseSet(p[i:])
			if !ok {
				return glob{never: true}
			}
			g.tokens = append(g.tokens, token{kind: tokenSet, set: uint16(len(g.sets))})
			g.sets = append(g.sets, set)
			i += n
		default:
			g.tokens = append(g.tokens, token{kind: tokenLit, lit: c})
			i++
		}
	}
	return g
}

// literal is the only string that g matches, if it has no wildcard.
func (g *glob) literal() (string, bool) {
	if g.never {
		return "", false
	}
	lit := make([]byte, len(g.tokens))
	for i, t := range g.tokens {
		if t.kind != tokenLit {
			return "", false
		}
		lit[i] = t.lit
	}
	return string(lit), true
}

// sub is the part of g made of tokens[from:to].
func (g *glob) sub(from, to int) glob {
	return glob{tokens: g.tokens[from:to], sets: g.sets, never: g.never}
}

// slashes counts the tokens that match a '/' literally; last is the index of
// the last one, -1 without any.
func (g *glob) slashes() (n, last int) {
	last = -1
	for i, t := range g.tokens {
		if t.kind == tokenLit && t.lit == '/' {
			n, last = n+1, i
		}
	}
	return n, last
}

func (g *glob) one(t token, c byte) bool {
	switch t.kind {
	case tokenLit:
		return t.lit == c
	case tokenSet:
		return g.sets[t.set].has(c)
	default: // tokenAny
		return c != '/'
	}
}

// match reports whether g matches the whole of s.
func (g *glob) match(s string) bool {
	ok, done := g.backtrack(s, g.budget(s))
	if !done {
		return g.table(s, false)
	}
	return ok
}

// matchAtComponents reports whether g matches s from its start or from after
// any '/' to its end.
func (g *glob) matchAtComponents(s string) bool {
	budget := g.budget(s)
	for start := 0; ; {
		ok, done := g.backtrack(s[start:], budget)
		if !done {
			return g.table(s, true)
		}
		if ok {
			return true
		}
		i := strings.IndexByte(s[start:], '/')
		if i < 0 {
			return false
		}
		start += i + 1
		if budget -= len(s); budget < 0 {
			return g.table(s, true)
		}
	}
}

// budget is how many steps backtracking may take before the table is cheaper
// in the worst case; ordinary patterns need a few steps per byte.
func (g *glob) budget(s string) int { return 32 * (len(s) + len(g.tokens) + 8) }

// backtrack is the fast way: on a mismatch it lengthens the last "*", and when
// that meets a '/', the last "**". Earlier stars need no second try: what
// they swallow at least, a later one of the same reach could have swallowed.
// done is false when the steps ran out.
func (g *glob) backtrack(s string, steps int) (ok, done bool) {
	if g.never {
		return false, true
	}
	ti, si := 0, 0
	starT, starS := -1, 0   // token after the last "*", end of what it swallowed
	starsT, starsS := -1, 0 // the same of the last "**"
	for ; steps > 0; steps-- {
		if ti < len(g.tokens) {
			switch t := g.tokens[ti]; {
			case t.kind == tokenStar:
				ti++
				starT, starS = ti, si
				continue
			case t.kind == tokenStars:
				ti++
				if ti == len(g.tokens) {
					return true, true
				}
				starsT, starsS, starT = ti, si, -1
				continue
			case si < len(s) && g.one(t, s[si]):
				ti, si = ti+1, si+1
				continue
			}
		} else if si == len(s) {
			return true, true
		}
		switch {
		case starT >= 0 && starS < len(s) && s[starS] != '/':
			starS++
			ti, si = starT, starS
		case starsT >= 0 && starsS < len(s):
			starsS++
			ti, si, starT = starsT, starsS, -1
		default:
			return false, true
		}
	}
	return false, false
}

// table is the slow way with a bound: at[i] tells whether the tokens so far
// can match s up to i. It takes len(tokens) times len(s) steps.
func (g *glob) table(s string, components bool) bool {
	if g.never {
		return false
	}
	at := make([]bool, len(s)+1)
	at[0] = true
	if components {
		for i := range len(s) {
			at[i+1] = s[i] == '/'
		}
	}
	for _, t := range g.tokens {
		switch t.kind {
		case tokenStar, tokenStars:
			for i := range len(s) {
				if at[i] && (t.kind == tokenStars || s[i] != '/') {
					at[i+1] = true
				}
			}
		default:
			for i := len(s) - 1; i >= 0; i-- {
				at[i+1] = at[i] && g.one(t, s[i])
			}
			at[0] = false
		}
	}
	return at[len(s)]
}
