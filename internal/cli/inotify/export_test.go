package inotify

import (
	"io"
	"os"
)

// Interruption is what inotifywatch asks before each directory while it sets up
// watches.
func Interruption(errs io.Writer, signals <-chan os.Signal) func() error {
	return (&run{errs: errs}).interruption(signals)
}

// Matches compiles an expression and tries it on path.
func Matches(expr, path string, fold bool) (bool, error) {
	p, err := compile(expr, fold)
	if err != nil {
		return false, err
	}
	return p.match(path), nil
}
