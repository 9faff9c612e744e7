package option

import "fmt"

// codeSyntax is rsync's exit code for words that it does not take.
const codeSyntax = 1

// Error is a command line that is refused.
type Error struct {
	Code int
	Text string // what rsync prints of it, in one or more lines
	// Role is who says it, for the line that follows: "client" or "server" while
	// options are read, "sender" or "Receiver" when it is clear who they are.
	Role string
}

func (e *Error) Error() string { return e.Text }

// ExitCode is what the program ends with.
func (e *Error) ExitCode() int { return e.Code }

// usage is an error in the shape that rsync gives most of them.
func usage(format string, args ...any) *Error {
	return &Error{Code: codeSyntax, Text: "rsync: " + fmt.Sprintf(format, args...)}
}
