package filter

import "strings"

// A part is a pattern without "**", with short cuts for the usual shapes.
type part struct {
	kind partKind
	lit  string
	glob glob
}

type partKind uint8

const (
	partLiteral  partKind = iota
	partAny               // *
	partSuffix            // *lit, against a single component
	partPrefix            // lit*
	partContains          // *lit*
	partGlob
)

func compilePart(pattern string) part {
	if !isWild(pattern) {
		return part{kind: partLiteral, lit: pattern}
	}
	return partOf(compileGlob(pattern))
}

func partOf(g glob) part {
	if lit, ok := g.literal(); ok {
		return part{kind: partLiteral, lit: lit}
	}
	from, to := 0, len(g.tokens)
	lead := to > 0 && g.tokens[0].kind == tokenStar
	if lead {
		from++
	}
	trail := to > from && g.tokens[to-1].kind == tokenStar
	if trail {
		to--
	}
	inner := g.sub(from, to)
	lit, ok := inner.literal()
	if !ok || strings.Contains(lit, "/") {
		return part{kind: partGlob, glob: g}
	}
	switch {
	case lead && lit == "":
		return part{kind: partAny}
	case lead && trail:
		return part{kind: partContains, lit: lit}
	case lead:
		return part{kind: partSuffix, lit: lit}
	}
	return part{kind: partPrefix, lit: lit}
}

func (p *part) matches(s string) bool {
	switch p.kind {
	case partLiteral:
		return s == p.lit
	case partAny:
		return strings.IndexByte(s, '/') < 0
	case partSuffix:
		return strings.HasSuffix(s, p.lit) && strings.IndexByte(s[:len(s)-len(p.lit)], '/') < 0
	case partPrefix:
		return strings.HasPrefix(s, p.lit) && strings.IndexByte(s[len(p.lit):], '/') < 0
	case partContains:
		return strings.IndexByte(s, '/') < 0 && strings.Contains(s, p.lit)
	}
	return p.glob.match(s)
}

// edges is the first and the last byte of what p matches, -1 if it may be any.
func (p *part) edges() (first, last int16) {
	first, last = -1, -1
	n := len(p.lit)
	if n == 0 {
		return first, last
	}
	if p.kind == partLiteral || p.kind == partPrefix {
		first = int16(p.lit[0])
	}
	if p.kind == partLiteral || p.kind == partSuffix {
		last = int16(p.lit[n-1])
	}
	return first, last
}
