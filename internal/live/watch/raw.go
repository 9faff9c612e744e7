package watch

import (
	"context"
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Raw is a kernel queue as inotify-tools show it: marks on single paths, and
// records in the kernel's order and words. Records are drained into memory in
// the background, as for a Watch. Its methods belong to one goroutine.
type Raw struct {
	in    *intake
	stop  int
	fan   bool
	pid   int32
	data  []byte         // records not decoded yet, of spare
	spare []byte         // given to the intake in exchange
	mount map[string]int // descriptors on the marked file systems, by fsid
	names map[string]string
	count map[uint64]bool // devices whose directories count subdirectories as links
	ended sync.WaitGroup
	mu    sync.Mutex // guards err
	err   error      // of the reader
}

// RawEvent is one record.
type RawEvent struct {
	Mark   int32  // inotify: what Mark returned; -1 if events were lost
	Mask   uint32 // in the bits that inotify(7) and fanotify(7) share, IN_ISDIR for directories
	Cookie uint32 // joins the two halves of an inotify move, 0 otherwise
	Name   string // in the directory; "" for the marked object itself
	Dir    string // fanotify: the absolute path of the directory, "" if it cannot be found
}

// RawIsDir is the bit of Mask that says that the object is a directory.
const RawIsDir = unix.IN_ISDIR

// OpenRaw makes a queue: of inotify, or of fanotify with names, which needs
// CAP_SYS_ADMIN for most. Errors are the kernel's.
func OpenRaw(fan bool) (*Raw, error) {
	var fd int
	var err error
	if fan {
		fd, err = unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_REPORT_DFID_NAME, unix.O_RDONLY)
	} else {
		fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	}
	if err != nil {
		return nil, err
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	r := &Raw{
		in: newIntake(fd, stop, defaultQueueBytes), stop: stop, fan: fan, pid: int32(os.Getpid()),
		mount: map[string]int{}, names: map[string]string{}, count: map[uint64]bool{},
	}
	r.ended.Go(func() {
		if err := r.in.read(); err != nil {
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			close(r.in.ready)
		}
	})
	return r, nil
}

// Close ends the queue.
func (r *Raw) Close() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(r.stop, one[:])
	r.ended.Wait()
	_ = unix.Close(r.in.fd)
	_ = unix.Close(r.stop)
	for _, fd := range r.mount {
		_ = unix.Close(fd)
	}
}

// Mark watches the object at path for the kinds in mask; noFollow takes a
// symlink itself. The number names the object in events; the same object has
// the same number, whatever its path. Errors are the kernel's.
func (r *Raw) Mark(path string, mask uint32, noFollow bool) (int32, error) {
	if r.fan {
		flags := uint(unix.FAN_MARK_ADD)
		if noFollow {
			flags |= unix.FAN_MARK_DONT_FOLLOW
		}
		return 0, r.fanMark(path, flags, uint64(mask)|unix.FAN_EVENT_ON_CHILD|unix.FAN_ONDIR)
	}
	if noFollow {
		mask |= unix.IN_DONT_FOLLOW
	}
	wd, err := unix.InotifyAddWatch(r.in.fd, path, mask)
	return int32(wd), err
}

// MarkFileSystem watches everything on the file system that holds path.
func (r *Raw) MarkFileSystem(path string, mask uint32) error {
	return r.fanMark(path, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, uint64(mask)|unix.FAN_ONDIR)
}

func (r *Raw) fanMark(path string, flags uint, mask uint64) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if id, _, err := identify(fd, ""); err == nil && r.mount[id[:fsidLen]] == 0 {
		r.mount[id[:fsidLen]] = fd
	} else {
		defer unix.Close(fd)
	}
	return unix.FanotifyMark(r.in.fd, flags, mask, unix.AT_FDCWD, path)
}

// Unmark ends the watch of an object.
func (r *Raw) Unmark(mark int32) error {
	_, err := unix.InotifyRmWatch(r.in.fd, uint32(mark))
	return err
}

// Childless reports whether it is certain without a look into it that the
// directory at path has no subdirectories.
func (r *Raw) Childless(path string) bool {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Nlink != 2 {
		return false
	}
	counts, known := r.count[uint64(st.Dev)]
	if !known {
		var fs unix.Statfs_t
		counts = unix.Statfs(path, &fs) == nil && countsDirs(&fs)
		r.count[uint64(st.Dev)] = counts
	}
	return counts
}

// Next returns the next record. It waits for one until ctx ends, whose error it
// returns then, or for longest if that is not 0: then ok is false.
func (r *Raw) Next(ctx context.Context, longest time.Duration) (ev RawEvent, ok bool, err error) {
	for {
		for len(r.data) > 0 {
			if ev, ok, err = r.decode(); ok || err != nil {
				return ev, ok, err
			}
		}
		if ev, ok, err = r.await(ctx, longest); ok || err != nil || len(r.data) == 0 {
			return ev, ok, err
		}
	}
}

// Pending reports whether Next has a record without waiting.
func (r *Raw) Pending() bool { return len(r.data) > 0 }

// await fetches records. An event that it returns says that some were lost.
func (r *Raw) await(ctx context.Context, longest time.Duration) (ev RawEvent, lost bool, err error) {
	clear(r.names) // directories may be renamed
	var late <-chan time.Time
	if longest > 0 {
		t := time.NewTimer(longest)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return ev, false, context.Cause(ctx)
		case <-late:
			return ev, false, nil
		case _, open := <-r.in.ready:
			if !open {
				r.mu.Lock()
				defer r.mu.Unlock()
				return ev, false, r.err
			}
		}
		r.spare, lost = r.in.take(r.spare)
		r.data = r.spare
		if lost {
			return RawEvent{Mark: -1, Mask: unix.IN_Q_OVERFLOW}, true, nil
		}
		if len(r.data) > 0 {
			return ev, false, nil
		}
	}
}

// decode takes the first record off r.data; ok is false for those that the
// caller has caused.
func (r *Raw) decode() (ev RawEvent, ok bool, err error) {
	if !r.fan {
		rec, rest, err := nextIno(r.data)
		r.data = rest
		return RawEvent{Mark: rec.wd, Mask: rec.mask, Cookie: rec.cookie, Name: string(rec.name)}, err == nil, err
	}
	rec, rest, err := nextFan(r.data)
	r.data = rest
	if err != nil || rec.pid == r.pid {
		return ev, false, err
	}
	ev.Mask = uint32(rec.mask)
	if rec.mask&unix.FAN_ONDIR != 0 {
		ev.Mask |= RawIsDir
	}
	if rec.mask&unix.FAN_Q_OVERFLOW != 0 {
		ev.Mark = -1
		return ev, true, nil
	}
	if name := string(rec.at.name); name != "." {
		ev.Name = name
	}
	ev.Dir = r.dirOf(rec.at.dir)
	return ev, true, nil
}

// dirOf is the absolute path of a directory with a final slash.
func (r *Raw) dirOf(id []byte) string {
	if len(id) < idHeader {
		return ""
	}
	if path, known := r.names[string(id)]; known {
		return path
	}
	path := ""
	if mount, known := r.mount[string(id[:fsidLen])]; known {
		if fd, err := openID(mount, string(id)); err == nil {
			if path, err = os.Readlink(procFD(fd)); err == nil && !strings.HasSuffix(path, "/") {
				path += "/"
			}
			_ = unix.Close(fd)
		}
	}
	r.names[string(id)] = path
	return path
}
