package sender

// Error ends a run with an exit code of rsync. Text is what is to be said about
// it, as rsync says it.
type Error struct {
	Code int
	Text string
}

func (e *Error) Error() string { return e.Text }

// ExitCode is Code.
func (e *Error) ExitCode() int { return e.Code }

// The exit codes in use (part 3, 5.1).
const (
	exitSyntax = 1
	exitFiles  = 3
	exitFileIO = 11
	exitLimit  = 30
)
