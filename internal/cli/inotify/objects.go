package inotify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// object is something that is watched.
type object struct {
	mark   int32
	up     *object // the watched directory that holds it; nil for an argument
	name   string  // in up; of an argument its path, with a final slash if it is a directory
	dir    bool
	kids   map[string]*object
	listed map[string]bool // names told because a listing found them, whose own event may be to come
	number int             // in the order in which inotifywatch lists them
	counts map[uint32]int
	total  int
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

	mask   uint32
	byMark map[int32]*object
	tops   []*object
	count  int
	moving map[uint32]*object // directories that were moved away, by cookie; see moveOut
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
	o.mark = mark
	switch known := w.byMark[mark]; {
	case w.set.fan:
	case known == nil:
		w.byMark[mark] = o
	case known != o:
		return nil // an inode under two names reports under the first
	}
	if path := o.path(); o.dir && w.set.recursive && (found || !w.raw.Childless(path)) {
		if err = w.remark(o, w.mask&^reading|unix.IN_CREATE); err == nil {
			err = w.below(o, found)
		}
		if err == nil {
			err = w.remark(o, w.mask)
		}
	}
	o.number = w.count
	w.count++
	return err
}

// reading are the events that listing a directory causes, which are nobody's
// business.
const reading = unix.IN_OPEN | unix.IN_ACCESS | unix.IN_CLOSE_NOWRITE

// remark has other events of o told. If its path leads to something else by
// now, it stays as it is.
func (w *objects) remark(o *object, mask uint32) error {
	if w.set.fan || w.mask&reading == 0 {
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
func (w *objects) below(o *object, found bool) error {
	path := o.path()
	entries, err := os.ReadDir(path)
	if err != nil && len(entries) == 0 {
		return passing(err)
	}
	for _, e := range entries {
		if found {
			if o.listed == nil {
				o.listed = map[string]bool{}
			}
			o.listed[e.Name()] = e.IsDir()
		}
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
	if known := w.byMark[mark]; known != nil && !w.set.fan {
		return known, nil
	}
	if o.kids == nil {
		o.kids = map[string]*object{}
	}
	o.kids[name] = sub
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

// forget drops o, whose mark the kernel has removed.
func (w *objects) forget(o *object) {
	if w.byMark[o.mark] == o {
		delete(w.byMark, o.mark)
	}
	if o.up != nil && o.up.kids[o.name] == o {
		delete(o.up.kids, o.name)
	}
}

// release ends the watch of o and of all below it.
func (w *objects) release(o *object) {
	for _, kid := range o.kids {
		w.release(kid)
	}
	w.forget(o)
	_ = w.raw.Unmark(o.mark) // fails if it was removed meanwhile
}

// maxMoving bounds the directories that wait for the second half of their move.
const maxMoving = 1024

// moveOut notes that the directory called name has left o. Where it has gone is
// told by the second half of the move, if that is watched.
func (w *objects) moveOut(o *object, name string, cookie uint32) {
	kid := o.kids[name]
	if kid == nil {
		return
	}
	if len(w.moving) >= maxMoving {
		w.settle()
	}
	delete(o.kids, name)
	w.moving[cookie] = kid
}

// moveIn puts a directory whose move began with cookie in its new place. It
// reports false if there is none.
func (w *objects) moveIn(o *object, name string, cookie uint32) bool {
	kid := w.moving[cookie]
	if kid == nil {
		return false
	}
	delete(w.moving, cookie)
	if o.kids == nil {
		o.kids = map[string]*object{}
	}
	kid.up, kid.name = o, name
	o.kids[name] = kid
	return true
}

// settle gives up the directories whose move led out of what is watched.
func (w *objects) settle() {
	for cookie, o := range w.moving {
		delete(w.moving, cookie)
		w.release(o)
	}
}

// again looks for directories that are not watched, after events were lost.
func (w *objects) again() {
	w.settle()
	if !w.set.recursive || w.set.fileSystem {
		return
	}
	for _, top := range w.tops {
		w.deepen(top)
	}
}

func (w *objects) deepen(o *object) {
	if !o.dir {
		return
	}
	entries, _ := os.ReadDir(o.path())
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if kid := o.kids[e.Name()]; kid != nil {
			w.deepen(kid)
		} else if _, err := w.watchBelow(o, e.Name(), false); err != nil {
			w.tell(fmt.Sprintf("Couldn't watch new directory %s%s/: %s", o.path(), e.Name(), strerror(err)))
		}
	}
}

// explain is the text for an argument that cannot be watched.
func (w *objects) explain(arg string, args []string, err error) error {
	verb, what := "Couldn't watch "+arg, "inotify watches"
	limit := "fs/inotify/max_user_watches"
	if w.set.stats {
		verb = "Failed to watch " + arg
	}
	if w.set.fan {
		what, limit = "fanotify marks", "fs/fanotify/max_user_marks"
	}
	if !errors.Is(err, unix.ENOSPC) || w.set.fileSystem {
		if w.set.fileSystem {
			verb = "Couldn't add filesystem watch " + arg
		}
		return fatal{verb + ": " + strerror(err)}
	}
	text := fmt.Sprintf("Failed to watch %s; upper limit on %s reached!\n"+
		"Please increase the amount of %s allowed per user via `/proc/sys/%s'.", arg, what, what, limit)
	need := 0
	for _, a := range args {
		need += directories(a)
	}
	have := "unknown"
	if data, err := os.ReadFile("/proc/sys/" + limit); err == nil {
		have = strings.TrimSpace(string(data))
	}
	text += fmt.Sprintf("\n%d directories are to be watched, the limit is %s: sysctl %s=%s",
		need, have, strings.ReplaceAll(limit, "/", "."), strconv.Itoa(roundUp(need)))
	return fatal{text}
}

// roundUp leaves room for more: the next power of two of twice n.
func roundUp(n int) int {
	size := 8192
	for size < 2*n {
		size *= 2
	}
	return size
}

// directories counts path and the directories below it.
func directories(path string) int {
	n := 1
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		if e.IsDir() {
			n += directories(strings.TrimSuffix(path, "/") + "/" + e.Name())
		}
	}
	return n
}
