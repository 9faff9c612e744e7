package filter

// GlobMatch matches with the ways that the package has: the usual one, and
// the table that it falls back to.
func GlobMatch(pattern, s string, components bool) (usual, table bool) {
	g := compileGlob(pattern)
	if components {
		usual = g.matchAtComponents(s)
	} else {
		usual = g.match(s)
	}
	return usual, g.table(s, components)
}

// CacheSize is the estimated memory of s, and how much it may grow to.
func CacheSize(s *Scope) (size, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, maxCache
}
