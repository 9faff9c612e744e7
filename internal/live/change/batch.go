package change

import (
	"time"

	"lockstep/internal/fs/tree"
)

// Item is one dirty path of a batch.
type Item struct {
	Path    tree.Path
	Class   Class
	Created bool // the target has never had it
	AsIs    bool // read it although it is being written
	Gone    bool // something else was here before: of a directory nothing is known
	Removes int  // entries of the source that were there and are gone
}

// Rename is one renamed file or directory.
type Rename struct {
	From, To tree.Path
	Dir      bool
}

// Batch is what a target takes in one go. Renames come first, in order; the
// names in Items are those after all of them. Items are sorted, parents before
// what they hold.
type Batch struct {
	Renames []Rename
	Items   []Item
	Oldest  time.Time // when the oldest event in it was read
	Again   int       // how many batches before it ended with Outcome.Again
}

// Empty reports whether there is nothing to do.
func (b Batch) Empty() bool { return len(b.Items) == 0 && len(b.Renames) == 0 }

// Outcome is what became of a batch: everything not named here was
// acknowledged.
type Outcome struct {
	All       bool                // nothing was acknowledged
	Untouched bool                // nothing was even begun
	Again     bool                // nothing was acknowledged: what was renamed has gone on, its names are to be taken together
	Failed    map[tree.Path]error // items, or paths below Tree items, to be tried again; Unlisted ones with all below
	Vanished  []tree.Path         // seen changing while read: dirty again, without blame
	Renames   map[int]bool        // indexes of Renames that were not carried out
}

// Unlisted is the failure of a directory whose names are not known: what is
// below it was not brought in step either.
type Unlisted struct{ Err error }

func (e *Unlisted) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Unlisted) Unwrap() error { return e.Err }
