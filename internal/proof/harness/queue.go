package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// queueLimit is the kernel's bound on queued inotify events, read by each
// inotify_init. It is one number for the whole machine.
const queueLimit = "/proc/sys/fs/inotify/max_queued_events"

// WithQueueLimit runs start while new inotify instances get queues of n events
// only, and puts the limit back. It is exclusive on this machine among those
// that call it.
func WithQueueLimit(n int, start func() error) (err error) {
	f, err := os.OpenFile(queueLimit, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("lower the queue limit: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", queueLimit, err)
	}
	before, err := os.ReadFile(queueLimit)
	if err != nil {
		return err
	}
	if err := os.WriteFile(queueLimit, fmt.Appendln(nil, n), 0); err != nil {
		return fmt.Errorf("lower the queue limit: %w", err)
	}
	defer func() {
		err = errors.Join(err, os.WriteFile(queueLimit, bytes.TrimSpace(before), 0))
	}()
	return start()
}

// WatchLimit is what to put before a command so that it runs with at most n
// inotify watches, in a user namespace that has a bound of its own. Its user
// is root there, and the caller on disk.
func WatchLimit(n int) []string {
	script := fmt.Sprintf(`echo %d > /proc/sys/user/max_inotify_watches && exec "$@"`, n)
	return []string{"unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"}
}
