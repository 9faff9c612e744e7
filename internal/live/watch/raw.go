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
// the background, as for a Watch; at 64 MiB the rest stays in the kernel's
// queue, which tells when it overflows. Its methods belong to one goroutine.
type Raw struct {
	in    *intake
	stop  int
	fan   bool
	pid   int32
	data  []byte         // records not decoded yet, of spare
	took  int64          // bytes decoded in all
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
	At     int64  // how much the queue had told before; see Now
}

// RawIsDir is the bit of Mask that says that the object is a directory.
const RawIsDir = unix.IN_ISDIR

// OpenRaw makes a queue: of inotify, or of fanotify with names, which needs
// CAP_SYS_ADMIN for most. Errors are the kernel's.
func OpenRaw(fan bool) (*Raw, error) { return openRaw(fan, defaultQueueBytes) }

// openRaw is OpenRaw that keeps limit bytes in memory.
func openRaw(fan bool, limit int) (*Raw, error) {
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
		in: newIntake(fd, stop, limit), stop: stop, fan: fan, pid: int32(os.Getpid()),
		mount: map[string]int{}, names: map[string]string{}, count: map[uint64]bool{},
	}
	r.in.keep = true
	r.ended.Go(func() {
		if err := r.in.run(); err != nil {
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
		got, err := openID(fd, id)
		if err != nil { // without it no event could be given a path
			_ = unix.Close(fd)
			return err
		}
		_ = unix.Close(got)
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

// RawLimit is the limit on marks that is in the way, and the command that makes
// room for missing more.
func RawLimit(fan bool, missing int) (name string, limit int, command string) {
	if fan {
		name, limit = lowest("fs.fanotify.max_user_marks", "user.max_fanotify_marks")
	} else {
		name, limit = lowest("fs.inotify.max_user_watches", "user.max_inotify_watches")
	}
	return name, limit, raise(name, limit, missing)
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
		if err = r.await(ctx, longest); err != nil || len(r.data) == 0 {
			return ev, false, err
		}
	}
}

// Pending reports whether Next has a record without waiting.
func (r *Raw) Pending() bool { return len(r.data) > 0 }

// Now is where the next record will lie: those of what has happened so far have
// a smaller At.
func (r *Raw) Now() int64 {
	_ = r.in.catchUp(context.Background()) // an error comes with Next, too
	r.in.wake()
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	return r.in.read
}

// Took is how much Next has given: as soon as it is what Now said, all of that
// has been seen.
func (r *Raw) Took() int64 { return r.took }

// await fetches records. There are none if longest has passed.
func (r *Raw) await(ctx context.Context, longest time.Duration) error {
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
			return context.Cause(ctx)
		case <-late:
			return nil
		case _, open := <-r.in.ready:
			if !open {
				r.mu.Lock()
				defer r.mu.Unlock()
				return r.err
			}
		}
		r.spare, _ = r.in.take(r.spare)
		if r.data = r.spare; len(r.data) > 0 {
			return nil
		}
	}
}

// decode takes the first record off r.data; ok is false for those that the
// caller has caused.
func (r *Raw) decode() (ev RawEvent, ok bool, err error) {
	before := len(r.data)
	ev.At = r.took
	if r.fan {
		ok, err = r.decodeFan(&ev)
	} else {
		var rec inoRecord
		rec, r.data, err = nextIno(r.data)
		ev.Mark, ev.Mask, ev.Cookie, ev.Name, ok = rec.wd, rec.mask, rec.cookie, string(rec.name), err == nil
	}
	r.took += int64(before - len(r.data))
	return ev, ok, err
}

func (r *Raw) decodeFan(ev *RawEvent) (ok bool, err error) {
	rec, rest, err := nextFan(r.data)
	r.data = rest
	if err != nil || rec.pid == r.pid {
		return false, err
	}
	ev.Mask = uint32(rec.mask)
	if rec.mask&unix.FAN_ONDIR != 0 {
		ev.Mask |= RawIsDir
	}
	if rec.mask&unix.FAN_Q_OVERFLOW != 0 {
		ev.Mark = -1
		return true, nil
	}
	if name := string(rec.at.name); name != "." {
		ev.Name = name
	}
	ev.Dir = r.dirOf(rec.at.dir)
	return true, nil
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
