package watch

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// openFanotify makes a group and marks the root's file system.
func (w *Watch) openFanotify() error {
	flags := uint(unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK)
	if !w.cfg.LimitedQueue {
		flags |= unix.FAN_UNLIMITED_QUEUE
	}
	f := &fanotify{w: w, tasks: make(tasks), pid: int32(os.Getpid()), targets: !w.cfg.plainNames,
		tree: newDirs[string](), outside: map[string]whereabouts{}, led: map[*dir[string]]bool{}}
	fd, err := -1, error(unix.EINVAL)
	if f.targets {
		fd, err = unix.FanotifyInit(flags|unix.FAN_REPORT_DFID_NAME_TARGET, unix.O_RDONLY)
	}
	if err == unix.EINVAL { // Linux before 5.17
		f.targets = false
		fd, err = unix.FanotifyInit(flags|unix.FAN_REPORT_DFID_NAME, unix.O_RDONLY)
	}
	switch err {
	case nil:
	case unix.EPERM:
		return errors.New("fanotify needs CAP_SYS_ADMIN")
	case unix.EINVAL, unix.ENOSYS:
		return errors.New("fanotify with names needs Linux 5.9")
	default:
		return fmt.Errorf("fanotify: %w", err)
	}
	f.in = newIntake(fd, w.stop, w.cfg.QueueBytes)
	f.mask = uint64(w.cfg.Events&opsOfKernel&^(MovedFrom|MovedTo)) | fanNames
	if f.targets {
		f.mask |= unix.FAN_RENAME
	} else {
		f.mask |= fanMoves
	}
	if err := f.enter(w.pin, tree.Root); err != nil {
		_ = unix.Close(fd)
		return err
	}
	w.fan = f
	w.drain(f.in)
	return nil
}

// mark takes in the file system mounted at n.
func (f *fanotify) mark(n nested) error {
	pin, err := pinRoot(n.point)
	if err != nil {
		return err
	}
	return f.enter(pin, n.at)
}

// enter marks the file system at pin, whose directories appear below at.
func (f *fanotify) enter(pin *pin, at tree.Path) error {
	a := &area{pin: pin, fd: -1}
	fd, err := pin.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.FanotifyMark(f.in.fd, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, f.mask, fd, ""); err {
	case nil:
	case unix.EPERM:
		return errors.New("fanotify needs CAP_SYS_ADMIN")
	case unix.EXDEV, unix.EOPNOTSUPP, unix.ENODEV:
		return fmt.Errorf("fanotify cannot identify files on this file system: %w", err)
	default:
		return fmt.Errorf("fanotify mark: %w", err)
	}
	id, mount, err := identify(fd, "")
	if err != nil {
		return err
	}
	if _, known := f.tree.byID[id]; known {
		return errors.New("the same directory is seen twice")
	}
	a.fsid, a.mount = id[:fsidLen], mount
	got, err := openID(fd, id)
	if err != nil {
		return fmt.Errorf("fanotify: open by handle: %w", err)
	}
	_ = unix.Close(got)
	a.top = f.tree.top(at, id)
	delete(f.outside, id)
	f.areas = append(f.areas, a)
	return nil
}

// unmark forgets the file system that was mounted at at. Its mark went with it.
func (f *fanotify) unmark(at tree.Path) {
	f.areas = slices.DeleteFunc(f.areas, func(a *area) bool {
		if a.top.path() != at {
			return false
		}
		f.tree.drop(a.top, nil)
		return true
	})
	f.lastDir = nil
}
