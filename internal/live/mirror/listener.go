package mirror

import (
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
)

// Listener hears what a mirror does. Fields that are nil are skipped. The
// functions are called one at a time from the owner goroutine and must not
// block; only Progress, Notice and Planned may also come from others.
type Listener struct {
	Watching   func(watch.Choice)                                              // every directory is armed
	Notice     func(text, hint string)                                         // something the operator should know; hint is a command, or ""
	Progress   func(target string, p target.Progress)                          // during a full pass
	InStep     func(target string, r Pass)                                     // a full pass is done and nothing is pending; again after each later one
	AllInStep  func()                                                          // every target has everything, after one or more had not
	Batch      func(target string, b BatchReport)                              // a batch was acknowledged
	Failing    func(target string, err error, since time.Time, next time.Time) // next is zero when it will not be tried again
	Recovered  func(target string)
	Event      func(ev watch.Event) // each event on a path that is mirrored
	PathFailed func(target string, p tree.Path, err error)

	// Planned hears in a dry run of each file that would be sent, and of each
	// name that would be removed. It is called from the targets' goroutines and
	// may block.
	Planned func(target string, removed bool, p tree.Path)
}

// Pass is what a first pass did.
type Pass struct {
	Files   int // regular files sent
	Entries int // entries of the source
	Deleted int
	Failed  int   // paths that wait to be tried again
	Bytes   int64 // of content
	Wire    int64 // bytes on the wire, 0 for a directory
	Elapsed time.Duration
}

// BatchReport is what one batch did.
type BatchReport struct {
	At      time.Time
	Changes int // paths
	Files   int
	Deleted int
	Failed  int
	Bytes   int64
	Wire    int64
	Lag     time.Duration // from the oldest event in it to its acknowledgement
	Elapsed time.Duration
	Paths   []tree.Path
}

// Status is the state of one target, see the diagram at changeState.
type Status uint8

// The states.
const (
	Connecting Status = iota // before its first pass, or between tries
	FirstPass                // a full pass is running
	InStep                   // nothing is pending
	Behind                   // changes are on their way
	Failing                  // the last try failed; trying again
	Stopped                  // trying again cannot help
	Waiting                  // deletions wait for an operator
	Paused                   // nothing is sent until an operator resumes
	Quiet                    // nothing is sent until the quiet hours end
)

var statusNames = [...]string{"connecting", "first pass", "in step", "behind", "failing", "stopped", "waiting", "paused", "quiet"}

func (s Status) String() string { return statusNames[s] }

// State is a snapshot of a mirror.
type State struct {
	Source  string
	Watch   watch.Choice
	Watcher watch.Stats
	Entries int // known in the source
	Holding int // files that are being written
	Rescans int
	Targets []TargetState
}

// TargetState is a snapshot of one target.
type TargetState struct {
	Name    string
	Status  Status
	Since   time.Time
	Behind  int       // paths not acknowledged
	Failing int       // of these, paths that failed and wait
	Oldest  time.Time // the oldest change not acknowledged, or when a full pass became due; zero if none
	LastErr string
	Hint    string    // what the operator can do about it, "" if nothing is known
	LastAt  time.Time // of LastErr
	Errors  int
	Batches int
	Files   int64
	Bytes   int64
	Wire    int64
}
