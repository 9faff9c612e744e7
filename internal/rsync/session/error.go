package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// rsync's exit codes, as far as this package uses them (rsync-session 6.3).
const (
	ExitSyntax      = 1
	ExitProtocol    = 2
	ExitUnsupported = 4
	ExitStartClient = 5
	ExitSocket      = 10
	ExitFile        = 11
	ExitStream      = 12
	ExitSignal      = 20
	ExitPartial     = 23
	ExitVanished    = 24
	ExitDeleteLimit = 25
	ExitTimeout     = 30
	ExitConnTimeout = 35
	ExitSelect      = 3
	ExitIPC         = 14
	ExitUser1       = 19
	ExitMemory      = 22
	ExitShellKilled = 125
	ExitShellNoRun  = 126
	ExitShellAbsent = 127
)

// ErrPath is wrapped when a destination path has a form that the kind of
// endpoint cannot carry literally. Nothing has been sent.
var ErrPath = errors.New("path cannot be given to this peer")

// errTimeout is the cause of an end by silence.
var errTimeout = errors.New("timeout: the peer was silent for too long")

// errClosed is the cause of an end by Close.
var errClosed = errors.New("session closed")

// Error is why a session could not be opened, or how it ended if not with
// rsync's exit code 0.
type Error struct {
	Code  int    // rsync's exit code
	Stage string // where it happened: dialling, greeting, authentication …

	// Messages are errors and warnings in the peer's own words, oldest first,
	// raw bytes without line ends. If there were very many, some in the middle
	// are left out.
	Messages []string

	Err error // the reason on our side, nil if only the peer had one

	// Permanent says that trying again cannot help until somebody changes
	// something: a wrong password, an unknown module, a refused option.
	Permanent bool

	// Option is the option that the peer refused or did not know, if that is
	// the reason, such as "--delete-missing-args".
	Option string
}

// Error is the stage, the peer's last words or else our reason, and the code.
func (e *Error) Error() string {
	var parts []string
	if len(e.Messages) > 0 {
		parts = append(parts, tree.Quote(telling(e.Messages)))
	}
	if e.Err != nil {
		parts = append(parts, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
	}
	return fmt.Sprintf("rsync session: %s: %s (code %d)", e.Stage, strings.Join(parts, ": "), e.Code)
}

func (e *Error) Unwrap() error { return e.Err }

// telling picks the message that says most: the first that decides about
// retrying, else the last that is no exit summary.
func telling(messages []string) string {
	last := messages[len(messages)-1]
	for _, m := range messages {
		if _, known := verdict(m); known {
			return m
		}
		if !strings.HasPrefix(m, "rsync error: ") {
			last = m
		}
	}
	return last
}

// verdicts are parts of messages that tell whether trying again can help,
// lower case. The first that occurs decides.
var verdicts = []struct {
	text      string
	permanent bool
}{
	{"@error: max connections", false},
	{"@error: failed to open lock file", false},
	{"@error: unknown module", true},
	{"@error: auth failed", true},
	{"@error: access denied", true},
	{"module is read only", true},
	{"configured to refuse", true},
	{"unknown option", true},
	{"does not support", true},
}

// verdict reports whether message decides about retrying, and how.
func verdict(message string) (permanent, known bool) {
	lower := strings.ToLower(message)
	for _, v := range verdicts {
		if strings.Contains(lower, v.text) {
			return v.permanent, true
		}
	}
	return false, false
}

// The two forms in which peers name an option that they don't take
// (rsync-transfer 7.1).
var (
	refusedOption = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`configured to refuse (-{1,2}[A-Za-z0-9@-]+)`) })
	unknownOption = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(-{1,2}[A-Za-z0-9@-]+)(?:=\S*)?: unknown option`) })
)

func optionIn(messages []string) string {
	for _, m := range messages {
		for _, form := range []*regexp.Regexp{refusedOption(), unknownOption()} {
			if hit := form.FindStringSubmatch(m); hit != nil {
				return hit[1]
			}
		}
	}
	return ""
}

// exitError is the peer's ERROR_EXIT; code 0 is the answer to ours, or comes
// out of the blue.
type exitError struct{ code int }

func (e exitError) Error() string {
	if e.code == 0 {
		return "the peer ended without an exit code"
	}
	return fmt.Sprintf("the peer ended with exit code %d", e.code)
}

// refuse is an error about what cannot be sent; trying again is useless.
func refuse(at stage, code int, err error) *Error {
	return &Error{Code: code, Stage: at.String(), Err: err, Permanent: true}
}

// failure makes an Error of what happened at a stage, with what the peer had
// said by then.
func failure(at stage, err error, messages []string) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var own *fatal
	e = &Error{Code: exitCode(at, err), Stage: at.String(), Messages: messages, Err: err, Permanent: errors.As(err, &own)}
	for _, m := range messages {
		if permanent, known := verdict(m); known {
			e.Permanent = permanent
			break
		}
	}
	e.Option = optionIn(messages)
	return e
}

// ErrSignal and ErrUser1 are causes with which a context ends because of a
// signal: of INT, TERM or HUP, and of USR1.
var (
	ErrSignal error = &fatal{ExitSignal, "received a signal"}
	ErrUser1  error = &fatal{ExitUser1, "received SIGUSR1"}
)

// ExitCode is rsync's exit code for an error of this package.
func ExitCode(err error) int {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Code
	}
	return exitCode(transfer, err)
}

// exitCode is rsync's exit code for err.
func exitCode(at stage, err error) int {
	var exit exitError
	var link *linkError
	var coded interface{ ExitCode() int }
	switch {
	case errors.As(err, &exit) && exit.code != 0:
		return exit.code
	case errors.As(err, &coded) && coded.ExitCode() != 0:
		return coded.ExitCode()
	case errors.Is(err, errClosed), errors.Is(err, context.Canceled):
		return ExitSignal
	case at == dialling && isTimeout(err):
		return ExitConnTimeout
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		return ExitTimeout
	case errors.Is(err, sender.ErrProtocol), errors.Is(err, flist.ErrProtocol), errors.Is(err, generator.ErrProtocol):
		return ExitProtocol
	case errors.Is(err, flist.ErrUnsafe):
		return ExitUnsupported
	case errors.Is(err, flist.ErrMemory):
		return ExitMemory
	case (at == greeting || at == authentication) && errors.As(err, &link):
		return ExitStream
	case at == greeting || at == authentication:
		return ExitStartClient
	case errors.As(err, &exit), errors.Is(err, wire.ErrStream), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ExitStream
	case errors.As(err, &link), at == dialling:
		return ExitSocket
	}
	return ExitFile
}

// isTimeout reports whether dialling took too long.
func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}
