package walk

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"lockstep/internal/fs/tree"
)

// ErrNotRegular is what Open says of anything but a regular file.
var ErrNotRegular = errors.New("not a regular file")

// Error is a failed call on one path. Err is a syscall.Errno or one of this
// package's sentinels. A parent that is no directory, a symlink for instance,
// makes the path one that does not exist: errors.Is(err, fs.ErrNotExist) holds
// for ENOENT, ENOTDIR and ELOOP.
type Error struct {
	Op   string // the verb, for example "lstat"
	Path tree.Path
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes ENOTDIR and ELOOP count as fs.ErrNotExist.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && (e.Err == syscall.ENOTDIR || e.Err == syscall.ELOOP)
}

// opList is the Op of a directory that could not be read.
const opList = "read directory"

// Unlisted reports whether err says that a directory's names are not known.
func Unlisted(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Op == opList
}

// PartialError says that a directory's names are all known but that some of
// its entries could not be looked at and are missing from the listing. They
// exist: a caller must not take them for deleted.
type PartialError struct {
	Dir     tree.Path
	Entries []*Error // one per entry left out, in order of names
}

func (e *PartialError) Error() string {
	if len(e.Entries) == 1 {
		return e.Entries[0].Error()
	}
	return fmt.Sprintf("%d entries of %s could not be read, the first: %v", len(e.Entries), e.Dir, e.Entries[0])
}

// Unwrap gives the errors of the entries.
func (e *PartialError) Unwrap() []error {
	errs := make([]error, len(e.Entries))
	for i, entry := range e.Entries {
		errs[i] = entry
	}
	return errs
}

func fail(op string, p tree.Path, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Path: p, Err: err}
}
