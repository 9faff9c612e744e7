package apply

import (
	"errors"
	"fmt"
	"syscall"

	"lockstep/internal/fs/tree"
)

// What callers branch on. Errors of the system stay visible to errors.Is as
// syscall.ENOSPC and so on.
var (
	// ErrIsDir: a directory stands where something else is to go.
	ErrIsDir = errors.New("a directory is in the way")

	// ErrNotEmpty: a directory can't be removed or replaced since it has
	// entries, or since something in it is to be kept.
	ErrNotEmpty = errors.New("directory not empty")

	// ErrSourceChanged: the source was written while it was copied.
	ErrSourceChanged = errors.New("the source changed while it was copied")

	// ErrKind: the object is of another kind than the metadata for it.
	ErrKind = errors.New("object is of another kind")

	// ErrRefused: Options do not allow objects of this kind.
	ErrRefused = errors.New("objects of this kind are not wanted")
)

// Error is a failed operation on one path of the target.
type Error struct {
	Op   string // the verb, for example "copy"
	Path tree.Path
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// SourceError is trouble with reading the source, not with the target.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "read the source: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// AttrError says that the object is in place with its content but lacks some
// attributes. If owner or group are among them, the setuid and setgid bits
// were not set either.
type AttrError struct{ Errs []error }

func (e *AttrError) Error() string {
	if len(e.Errs) == 1 {
		return "set attributes: " + e.Errs[0].Error()
	}
	return fmt.Sprintf("set attributes: %d failed, the first: %v", len(e.Errs), e.Errs[0])
}

// Unwrap gives the causes.
func (e *AttrError) Unwrap() []error { return e.Errs }

// during names the step in which err happened.
func during(step string, err error) error {
	if err == nil {
		return nil
	}
	if err == syscall.EISDIR {
		err = ErrIsDir
	}
	return fmt.Errorf("%s: %w", step, err)
}
