package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// arrival notices, without burning CPU, when something becomes true of the
// files in one directory of a target.
type arrival struct{ fd int }

func newArrival() (*arrival, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	return &arrival{fd}, err
}

func (a *arrival) close() { _ = unix.Close(a.fd) }

// wait returns when there was true, checked whenever something happened in
// the directory of path, and every 5 ms for what inotify does not tell.
func (a *arrival) wait(ctx context.Context, path string, limit time.Duration, there func() bool) error {
	deadline := time.Now().Add(limit)
	const events = unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_CLOSE_WRITE
	wd, err := unix.InotifyAddWatch(a.fd, filepath.Dir(path), events)
	if err == nil {
		defer func() { _, _ = unix.InotifyRmWatch(a.fd, uint32(wd)) }()
	}
	buf := make([]byte, 16<<10)
	for !there() {
		if ctx.Err() != nil {
			return errStopped
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not there after %v", path, limit)
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}, 5)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for n := 1; n > 0; {
			n, _ = unix.Read(a.fd, buf)
		}
	}
	return nil
}
