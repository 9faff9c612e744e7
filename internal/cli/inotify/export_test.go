package inotify

// Matches compiles an expression and tries it on path.
func Matches(expr, path string, fold bool) (bool, error) {
	p, err := compile(expr, fold)
	if err != nil {
		return false, err
	}
	return p.match(path), nil
}
