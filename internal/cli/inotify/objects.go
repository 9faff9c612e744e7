package inotify

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// object is something that is watched.
type object struct {
	mark    int32
	up      *object // the watched directory that holds it; nil for an argument
	name    string  // in up; of an argument its path, with a final slash if it is a directory
	dir     bool
	kids    map[string]*object
	listing *listing // of a new directory, as long as records may repeat what it has told
	number  int      // in the order in which inotifywatch lists them
	counts  *counts  // of inotifywatch; nil if there are none
	total   int
	left    bool // it was moved out of what is watched
}

// path is what %w shows: the argument as it was typed, and what is below it.
func (o *object) path() string {
	if o.up == nil {
		return o.name
	}
	return o.up.path() + o.name + "/"
}

// objects is everything that is watched.
type objects struct {
	raw  *watch.Raw
	set  *settings
	skip map[string]bool
	tell func(string)
	stop func() error // asked before each directory; may be nil

	mask   uint32
	byMark map[int32]*object // inotify only: fanotify tells the path of the directory
	tops   []*object
	rows   []*object          // what inotifywatch counts, in its order
	byPath map[string]*object // the same with fanotify, by path
	count  int
	moving map[uint32]*object // directories that were moved away, by cookie; see moveOut
	listed listed
	last   struct { // the path that was shown last
		o    *object
		path string
	}
	hinted bool // the limit of watches has been explained
}

// pathOf is o.path(), at no cost for the same object again.
func (w *objects) pathOf(o *object) string {
	if w.last.o != o {
		w.last.o, w.last.path = o, o.path()
	}
	return w.last.path
}

// fatal is trouble with an argument that ends the program.
type fatal struct{ text string }

func (f fatal) Error() string { return f.text }

// watchAll watches the arguments.
func (w *objects) watchAll(args []string) error {
	for _, arg := range args {
		if err := w.watchTop(arg); err != nil {
			return w.explain(arg, args, err)
		}
	}
	return nil
}

// watchTop watches one argument, and with -r what is below it. A symlink to a
// directory counts as one only with -r or a final slash.
func (w *objects) watchTop(arg string) error {
	o := &object{name: arg}
	if info, err := os.Lstat(arg); err == nil && info.IsDir() {
		o.dir = true
	} else if w.set.recursive && err == nil && info.Mode()&fs.ModeSymlink != 0 && !w.set.noFollow {
		info, err := os.Stat(arg)
		o.dir = err == nil && info.IsDir()
	}
	if o.dir && !strings.HasSuffix(o.name, "/") {
		o.name += "/"
	}
	if w.set.fileSystem {
		return w.raw.MarkFileSystem(arg, w.mask)
	}
	mark, err := w.raw.Mark(arg, w.mask, w.set.noFollow)
	if err != nil {
		return err
	}
	w.tops = append(w.tops, o)
	return w.enter(o, mark, false)
}

// enter takes o in under its mark and, with -r, what is below it. The mark
// stands before the directory is read, so nothing falls in between; found says
// that its entries are to be told.
func (w *objects) enter(o *object, mark int32, found bool) (err error) {
	if w.stop != nil {
		if err := w.stop(); err != nil {
			return err
		}
	}
	o.mark = mark
	switch known := w.byMark[mark]; {
	case w.set.fan:
	case known == nil:
		w.byMark[mark] = o
	case known != o:
		return nil // an inode under two names reports under the first
	}
	if path := o.path(); o.dir && w.set.recursive && (found || !w.raw.Childless(path)) {
		if err = w.remark(o, w.mask&^reading|listingKinds); err == nil {
			err = w.below(o, path, found)
		}
		if err == nil {
			err = w.remark(o, w.mask)
		}
	}
	o.number = w.count
	w.count++
	if w.set.stats && !w.set.fan {
		w.rows = append(w.rows, o)
	}
	return err
}

// reading are the events that listing a directory causes, which are nobody's
// business.
const reading = unix.IN_OPEN | unix.IN_ACCESS | unix.IN_CLOSE_NOWRITE

// listingKinds are what has to be known of a directory while it is listed, to
// tell apart what the listing shows and what is told of the same.
const listingKinds = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM

// remark has other events of o told. If its path leads to something else by
// now, it stays as it is.
func (w *objects) remark(o *object, mask uint32) error {
	if w.set.fan || w.mask&reading == 0 && w.mask&listingKinds == listingKinds {
		return nil
	}
	mark, err := w.raw.Mark(o.path(), mask, w.set.noFollow || o.up != nil)
	if err != nil {
		return passing(err)
	}
	if mark != o.mark && w.byMark[mark] == nil {
		return w.raw.Unmark(mark)
	}
	return nil
}

// below watches the directories in o.
func (w *objects) below(o *object, path string, found bool) error {
	entries, err := os.ReadDir(path)
	if err != nil && len(entries) == 0 {
		return passing(err)
	}
	if found {
		w.list(o, path, entries)
	}
	for _, e := range entries {
		if !e.IsDir() || w.skip[path+e.Name()] {
			continue
		}
		if _, err := w.watchBelow(o, e.Name(), found); err != nil {
			return err
		}
	}
	return nil
}

// watchBelow watches the directory called name in o.
func (w *objects) watchBelow(o *object, name string, found bool) (*object, error) {
	sub := &object{up: o, name: name, dir: true}
	mark, err := w.raw.Mark(sub.path(), w.mask, true)
	if err != nil {
		return nil, passing(err)
	}
	if w.set.fan {
		return sub, w.enter(sub, mark, found)
	}
	if known := w.byMark[mark]; known != nil {
		w.adopt(known, o, name)
		return known, nil
	}
	o.hold(name, sub)
	return sub, w.enter(sub, mark, found)
}

// passing makes nothing of errors about a directory that is gone, may not be
// read or has been replaced: below an argument that is no reason to end.
func passing(err error) error {
	for _, no := range []error{unix.EACCES, unix.ENOENT, unix.ELOOP, unix.ENOTDIR} {
		if errors.Is(err, no) {
			return nil
		}
	}
	return err
}
