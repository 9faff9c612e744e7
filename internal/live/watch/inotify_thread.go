package watch

import (
	"runtime"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Watching a directory by a name relative to the working directory takes a
// third of the time that it takes through an open descriptor. The working
// directory belongs to the process, unless a thread has been given its own.

// onOwnThread calls f on a thread that has its own working directory, which
// ends afterwards. Where that is not allowed f is called all the same.
func (e *inotify) onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Unshare(unix.CLONE_FS) != nil {
			f()
			return
		}
		e.cwd = 0
		f()
		e.cwd = -1
		_ = unix.Chdir("/") // a thread that is about to end must not keep a mount busy
	}()
	<-done
}

// enter makes the directory open as fd the working directory, on a thread of
// its own.
func (e *inotify) enter(fd int) {
	if e.cwd < 0 {
		return
	}
	if unix.Fchdir(fd) != nil { // not searchable
		e.cwd = noDir
		return
	}
	e.cwd = fd
}

// noDir is the working directory of a thread that could not enter one.
const noDir = 1 << 30

// armHere is arm with the working directory at. A directory without
// subdirectories is never opened.
func (e *inotify) armHere(at int, parent *watchDir, name string, p tree.Path, h how) (*watchDir, error) {
	if e.cwd != at {
		return nil, unix.EACCES
	}
	wd, err := e.watchPath(name, e.mask|unix.IN_DONT_FOLLOW)
	d, fresh, err := e.adopt(wd, err, parent, name)
	if err != nil || !fresh && !h.deep {
		return d, err
	}
	if fresh && h.tell == tellNone && d.id >= 0 && e.childless(at, name) {
		return d, nil
	}
	fd, err := openName(at, name)
	if err != nil {
		return d, err
	}
	defer unix.Close(fd)
	e.list(fd, d, p, h, fresh)
	e.enter(at)
	return d, nil
}
