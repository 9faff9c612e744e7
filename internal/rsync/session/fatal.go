package session

import (
	"fmt"

	"lockstep/internal/rsync/output"
)

// fatal is an end that has rsync's own words and exit code.
type fatal struct {
	code int
	text string
}

func (e *fatal) Error() string { return e.text }

// ExitCode is rsync's exit code.
func (e *fatal) ExitCode() int { return e.code }

func fatalf(code int, format string, args ...any) error {
	return &fatal{code: code, text: fmt.Sprintf(format, args...)}
}

// ExitLine is the last thing that rsync says before it ends with a code other
// than 0, "" for 0 (rsync-transfer 5.1).
func ExitLine(code int, role string) string {
	if code == 0 {
		return ""
	}
	return output.ExitLine(code, place, role)
}
