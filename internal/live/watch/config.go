package watch

import (
	"errors"
	"fmt"
	"time"

	"lockstep/internal/fs/tree"
)

// Backend is a way to learn of changes.
type Backend uint8

// The backends. Auto, the zero value, takes the best one that works.
const (
	Auto Backend = iota
	Fanotify
	Inotify
	Poll
)

var backendNames = [...]string{"auto", "fanotify", "inotify", "poll"}

// String is the backend's name, as ParseBackend takes it.
func (b Backend) String() string {
	if int(b) < len(backendNames) {
		return backendNames[b]
	}
	return fmt.Sprintf("Backend(%d)", uint8(b))
}

// ParseBackend is the backend called name.
func ParseBackend(name string) (Backend, error) {
	for i, n := range backendNames {
		if n == name {
			return Backend(i), nil
		}
	}
	return Auto, fmt.Errorf("no watch backend is called %s: auto, fanotify, inotify or poll", tree.Quote(name))
}

// Defaults and bounds.
const (
	defaultPollInterval = 5 * time.Second
	defaultQueueBytes   = 64 << 20
	minQueueBytes       = 64
)

// Config says what to watch and how. Only Root is needed.
type Config struct {
	Root         string        // the source; may be, or lead through, a symlink
	Backend      Backend       // Auto = probe; a forced one that does not work is an error
	PollInterval time.Duration // pause between two looks at what is polled; 0 = 5 s
	Events       Op            // kinds that are wanted; 0 = AllEvents

	// Skip says that p is excluded: a directory is then not watched, and
	// nothing at or below p is reported. It is asked with whole paths and must
	// answer for the ancestors of p too. It may be called from several
	// goroutines at once. nil = nothing is excluded, which saves work: say nil
	// rather than pass a function that never says true.
	Skip func(p tree.Path, isDir bool) bool

	// OnNotice hears what an operator should know. It may be called from
	// several goroutines and must not block. May be nil.
	OnNotice func(Notice)

	QueueBytes   int  // bound of the queue in memory between kernel and consumer, in bytes of raw records; 0 = 64 MiB
	LimitedQueue bool // fanotify: keep the kernel's own bound (fs.fanotify.max_queued_events) instead of none
	MaxWatches   int  // inotify: use at most so many watches; 0 = as many as the kernel gives

	plainNames bool // fanotify: as if the kernel were older than 5.17
}

// Validate reports the first field that is out of bounds.
func (c *Config) Validate() error {
	switch {
	case c.Root == "":
		return errors.New("watch: no root directory named")
	case int(c.Backend) >= len(backendNames):
		return fmt.Errorf("watch: backend: %v is unknown", c.Backend)
	case c.PollInterval < 0:
		return fmt.Errorf("watch: poll interval: %v is below 0", c.PollInterval)
	case c.QueueBytes < 0 || c.QueueBytes > 0 && c.QueueBytes < minQueueBytes:
		return fmt.Errorf("watch: queue: %d bytes is below %d", c.QueueBytes, minQueueBytes)
	case c.MaxWatches < 0:
		return fmt.Errorf("watch: max watches: %d is below 0", c.MaxWatches)
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.Events == 0 {
		c.Events = AllEvents
	}
	if c.Events&(MovedFrom|MovedTo|Rename) != 0 {
		c.Events |= Rename
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
}

// Choice is the backend in use for the root, and why.
type Choice struct {
	Backend Backend
	Reason  string
}

// Notice is something an operator should know.
type Notice struct {
	Text string // a sentence without a full stop
	Hint string // a command that helps, or ""
}

// Stats are counts since Open, except where it says now.
type Stats struct {
	Events    int64  // handed to the consumer
	Overflows int64  // times that events were lost, for the causes below or because a place could not be found
	InKernel  int64  // of these: the kernel's queue was full
	InMemory  int64  // of these: what had been read took more than Config.QueueBytes
	Watches   int64  // inotify watches now
	Unwatched int64  // directories polled now because watches ran out
	Known     int64  // directories in the fanotify cache now
	Outside   int64  // fanotify: records dropped since they lie outside the source
	Unplaced  int64  // fanotify: directories whose place could not be found
	Limit     string // the sysctl command that would give enough watches, or ""
}
