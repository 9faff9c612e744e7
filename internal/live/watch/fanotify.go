package watch

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

const (
	// The events that tell of names and directories are always asked for: the
	// cache of directories lives on them.
	fanNames = unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_ONDIR
	fanMoves = unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO

	// opsOfKernel are the bits that inotify, fanotify and Op share.
	opsOfKernel = Access | Modify | Attrib | CloseWrite | CloseNoWrite | Opened | MovedFrom | MovedTo | Create | Delete
	reading     = Access | CloseNoWrite | Opened

	// maxOutside bounds what is remembered of directories outside the source,
	// about 80 bytes each. Past it all is forgotten and asked again as needed.
	maxOutside = 1 << 16
)

// fanotify watches whole file systems through one group. All but in belongs to
// the goroutine of run, before that to Open.
//
// It keeps the directories of the source that events came from, in a tree by
// file handle (see dirs), as they were at the event being handled: records say
// which directory was made, moved or removed. A handle that is not in the tree
// is looked up in the kernel, which answers for the present; records still in
// the queue then repeat what is known already, which does no harm, since the
// last record about a directory is always handled after the lookup.
type fanotify struct {
	w       *Watch
	in      *intake
	tasks   tasks
	targets bool // records carry the object itself, and renames are one record
	mask    uint64
	pid     int32

	tree    dirs[string]
	outside map[string]whereabouts // directories that are not in the source
	areas   []*area
	led     map[*dir[string]]bool // directories whose place was looked up since the queue was last empty
	swap    swap
	links   links

	lastDir  *dir[string] // the directory of the last record, and its path
	lastPath tree.Path
}

// area is a marked file system, seen through one mount.
type area struct {
	pin   *pin
	fsid  string // its first 8 bytes of every id
	top   *dir[string]
	mount int // id as name_to_handle_at(2) gives it
	fd    int // open while records are handled, else -1
}

// run handles records until the watch ends.
func (f *fanotify) run() {
	var data []byte
	for {
		select {
		case <-f.w.ctx.Done():
			return
		case task := <-f.tasks:
			task()
			continue
		case <-f.in.ready:
		}
		fences := f.in.fenced()
		var lost bool
		data, lost = f.in.take(data)
		if err := f.handle(data, lost); err != nil {
			f.w.fail(err)
			return
		}
		passed(fences)
	}
}

// handle turns records into batches.
func (f *fanotify) handle(data []byte, lost bool) error {
	var out []Event
	if lost {
		f.w.counts.inMemory.Add(1)
		out = f.overflow(out)
	}
	for len(data) > 0 {
		rec, rest, err := nextFan(data)
		if err != nil {
			return err
		}
		if out, err = f.record(&rec, rest, out); err != nil {
			return err
		}
		data = rest
		if len(out) >= maxBatch {
			f.rest()
			if !f.w.send(out, f.tasks) {
				return nil
			}
			out = nil
		}
	}
	f.rest()
	f.w.send(out, f.tasks)
	return nil
}

// rest lets go of the mounts and of what may not outlive a batch.
func (f *fanotify) rest() {
	for _, a := range f.areas {
		if a.fd >= 0 {
			_ = unix.Close(a.fd)
			a.fd = -1
		}
	}
	f.lastDir = nil
	if len(f.led) > 0 && f.in.drained() {
		clear(f.led)
	}
	f.w.counts.known.Store(int64(len(f.tree.byID)))
}

// overflow forgets every place, since the record that changed it may be lost.
func (f *fanotify) overflow(out []Event) []Event {
	f.tree.keepTops()
	clear(f.outside)
	clear(f.led)
	f.lastDir = nil
	return f.w.overflow(out)
}

// record handles one record; rest are the bytes after it.
func (f *fanotify) record(rec *fanRecord, rest []byte, out []Event) ([]Event, error) {
	f.swap.tick()
	op, isDir := Op(rec.mask)&opsOfKernel, rec.mask&unix.FAN_ONDIR != 0
	switch {
	case rec.mask&unix.FAN_Q_OVERFLOW != 0:
		f.w.counts.inKernel.Add(1)
		return f.overflow(out), nil
	case rec.pid == f.pid && op&^reading == 0 && rec.mask&unix.FAN_RENAME == 0:
		return out, nil // our own reading of the source
	case rec.old.dir != nil || rec.new.dir != nil:
		return f.rename(rec, out)
	case rec.at.dir == nil:
		return f.nameless(rec, rest, out)
	}
	if isDir && rec.self != nil {
		if err := f.rootChanged(rec.self, unix.IN_DELETE_SELF); err != nil {
			return out, err
		}
	}
	d, err := f.place(rec.at.dir)
	if err != nil {
		return f.unplaced(err, out)
	}
	if d == nil {
		if !isDir && op&(Modify|CloseWrite|Attrib) != 0 && f.outside[string(rec.at.dir)] == removed {
			return f.nameless(rec, rest, out) // it may have other names
		}
		f.w.counts.outside.Add(1)
		if isDir && op&(Create|Delete) == Create {
			f.markOutside(string(rec.self), elsewhere)
		}
		return out, nil
	}
	name := string(rec.at.name)
	if name == "." || name == "" {
		return f.w.add(out, Event{Op: op, Path: f.pathOf(d), Dir: isDir}), nil
	}
	if isDir && op&(Create|Delete|MovedFrom|MovedTo) != 0 {
		f.names(d, name, op, string(rec.self))
	}
	if !isDir {
		out = f.parted(rec, op, f.outlived(rec, op, out))
	}
	ev := Event{Op: op, Path: f.pathOf(d).Join(name), Dir: isDir}
	if isDir && op&Create != 0 && isSubvolume(rec.self) {
		ev.Op |= MovedTo // a snapshot is born with contents
	}
	if ino, ok := tmpfileInode(name); ok && !isDir && op&(Create|Delete|MovedFrom|MovedTo) == 0 {
		ev.Op |= Nameless
		ev.Inode = tree.Inode{Dev: f.areaOf(string(rec.at.dir)).pin.inode.Dev, Ino: ino}
	}
	return f.w.add(out, ev), nil
}

// isSubvolume reports whether id is the top directory of a btrfs subvolume:
// the handle begins with the inode number, of 8 bytes, little endian, and these
// have number 256.
func isSubvolume(id []byte) bool {
	const kind = 0x4d // FILEID_BTRFS_WITHOUT_PARENT
	return len(id) >= idHeader+8 && binary.NativeEndian.Uint32(id[12:]) == kind &&
		binary.LittleEndian.Uint64(id[idHeader:]) == 256
}

// names keeps the tree up with a directory that came to or went from d.
func (f *fanotify) names(d *dir[string], name string, op Op, self string) {
	known := f.tree.byID[self]
	if !f.targets {
		known = d.child(name)
	}
	switch {
	case op&(Delete|MovedFrom) != 0: // merged with others or not: what is there now will be looked up
		if known != nil && known.parent != nil {
			f.drop(known)
		}
		if op&MovedTo != 0 {
			clear(f.outside)
		}
	case op&MovedTo != 0: // without targets; it may have been known as outside
		clear(f.outside)
		if known != nil && known.parent != nil {
			f.drop(known)
		}
	case f.targets && self != "" && known == nil:
		f.insert(d, name, self)
	}
}

// rename handles a record of a name that became another.
func (f *fanotify) rename(rec *fanRecord, out []Event) ([]Event, error) {
	isDir := rec.mask&unix.FAN_ONDIR != 0
	if isDir {
		if err := f.rootChanged(rec.self, unix.IN_MOVE_SELF); err != nil {
			return out, err
		}
	}
	from, err := f.place(rec.old.dir)
	if err != nil {
		return f.unplaced(err, out)
	}
	to, err := f.place(rec.new.dir)
	if err != nil {
		return f.unplaced(err, out)
	}
	ev := Event{Dir: isDir}
	switch {
	case from == nil && to == nil:
		f.w.counts.outside.Add(1)
		return out, nil
	case to == nil:
		ev.Op, ev.Path = MovedFrom, f.pathOf(from).Join(string(rec.old.name))
	case from == nil:
		ev.Op, ev.Path = MovedTo, f.pathOf(to).Join(string(rec.new.name))
	default:
		ev.Op = Rename
		ev.From = f.pathOf(from).Join(string(rec.old.name))
		ev.Path = f.pathOf(to).Join(string(rec.new.name))
	}
	if isDir {
		if f.led[f.tree.byID[string(rec.self)]] && ev.Op == Rename {
			// Paths told since the lookup were ahead of this record.
			ev.Op |= MovedTo
		}
		f.moved(to, string(rec.new.name), string(rec.self), ev)
	}
	if !isDir {
		out = f.displaced(rec, out)
	}
	if ev.Op&Rename != 0 {
		return f.swap.rename(f.w, out, ev, string(rec.self)), nil
	}
	return f.w.add(out, ev), nil
}

// moved keeps the tree up with a directory that is now called name in to.
func (f *fanotify) moved(to *dir[string], name, self string, ev Event) {
	if ev.Op == MovedTo || to != nil && f.tree.byID[self] == nil {
		clear(f.outside) // it, and all below it, may be known as outside
	}
	if ev.Op&Rename != 0 {
		f.tree.follow(ev.From, ev.Path)
	}
	known := f.tree.byID[self]
	switch {
	case known == nil:
	case to == nil:
		f.drop(known)
	default:
		displaced, ok := f.tree.move(known, to, name)
		if !ok {
			f.drop(known)
		}
		if displaced != nil {
			f.drop(displaced)
		}
	}
	f.lastDir = nil
}

func (f *fanotify) insert(parent *dir[string], name, id string) *dir[string] {
	d, displaced := f.tree.add(parent, name, id)
	if displaced != nil {
		f.drop(displaced)
	}
	return d
}

func (f *fanotify) drop(d *dir[string]) {
	f.tree.drop(d, nil)
	f.lastDir = nil
}

func (f *fanotify) markOutside(id string, where whereabouts) {
	if id == "" || f.tree.byID[id] != nil {
		return
	}
	if len(f.outside) >= maxOutside {
		clear(f.outside)
	}
	f.outside[id] = where
}

// rootChanged looks at the root again if id is the root.
func (f *fanotify) rootChanged(id []byte, what uint32) error {
	if string(id) == f.areas[0].top.id {
		return rootGone(f.w.pin, what)
	}
	return nil
}

// pathOf is d's path. Records come in runs from one directory.
func (f *fanotify) pathOf(d *dir[string]) tree.Path {
	if f.lastDir != d {
		f.lastDir, f.lastPath = d, d.path()
	}
	return f.lastPath
}

// unplaced reports events lost in a directory that could not be found for a
// reason other than that it is gone.
func (f *fanotify) unplaced(err error, out []Event) ([]Event, error) {
	if errors.Is(err, ErrRootGone) {
		return out, err
	}
	f.w.counts.unplaced.Add(1)
	f.w.notice("", "a directory could not be found by its handle, so everything is compared: %v", err)
	return f.overflow(out), nil
}
