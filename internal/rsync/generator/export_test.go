package generator

// FuzzyDistance is how far a candidate's name is from name, its suffix
// included.
func FuzzyDistance(name, candidate string) int {
	var z fuzzy
	return z.distance(name, candidate) + suffixValue*z.distance(significant(name), significant(candidate))
}
