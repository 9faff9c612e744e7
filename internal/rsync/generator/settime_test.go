package generator_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// setTime sets the modification time of p, which is not followed.
func setTime(t *testing.T, p string, at time.Time) {
	t.Helper()
	ts := unix.NsecToTimespec(at.UnixNano())
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}
