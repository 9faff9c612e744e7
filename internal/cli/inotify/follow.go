package inotify

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// follow keeps up with directories that come and go, which only -r does. What
// was found in a new one is returned as events.
func (w *objects) follow(ev *watch.RawEvent, o *object) []seen {
	if !w.set.recursive || w.set.fileSystem || ev.Mask&watch.RawIsDir == 0 || ev.Name == "" {
		return nil
	}
	switch {
	case ev.Mask&unix.IN_MOVED_FROM != 0 && !w.set.fan:
		w.moveOut(o, ev.Name, ev.Cookie)
	case ev.Mask&unix.IN_MOVED_TO != 0 && !w.set.fan && w.moveIn(o, ev.Name, ev.Cookie):
	case ev.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		return w.appeared(o, ev.Name, ev.Mask&unix.IN_CREATE != 0)
	}
	return nil
}

// appeared watches a new directory. What is in one that was just made appeared
// there before it was watched, and is told.
func (w *objects) appeared(o *object, name string, tell bool) []seen {
	path := o.path() + name + "/"
	info, err := os.Lstat(strings.TrimSuffix(path, "/"))
	if err != nil || !info.IsDir() {
		return nil
	}
	if kid := o.kids[name]; kid != nil {
		// It has been found already, or another had this name before.
		if mark, err := w.raw.Mark(path, w.mask, true); err != nil || mark == kid.mark {
			return nil
		}
		delete(o.kids, name)
	}
	if !w.set.stats && w.set.quiet == 0 {
		w.tell("Watching new directory " + path)
	}
	skip := w.skip
	w.skip = nil
	sub, err := w.watchBelow(o, name, tell)
	w.skip = skip
	if err != nil {
		w.cannot(path, err)
	}
	if sub == nil || !tell {
		return nil
	}
	return w.contents(sub, nil)
}

// cannot tells that a new directory is not watched.
func (w *objects) cannot(path string, err error) {
	text := fmt.Sprintf("Couldn't watch new directory %s: %s", path, strerror(err))
	if errors.Is(err, unix.ENOSPC) && !w.hinted {
		w.hinted = true
		text += "\n" + w.limit(w.count+w.needed([]string{path}), w.count)
	}
	w.tell(text)
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
	o.left = true
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
	w.put(kid, o, name)
	return true
}

// put gives o a new place.
func (w *objects) put(o, up *object, name string) {
	if o.up != nil && o.up.kids[o.name] == o {
		delete(o.up.kids, o.name)
	}
	for cookie, moved := range w.moving {
		if moved == o {
			delete(w.moving, cookie)
		}
	}
	o.up, o.name = up, name
	up.hold(name, o)
	w.last.o = nil // whatever it was, its path may be another
}

func (o *object) hold(name string, kid *object) {
	if o.kids == nil {
		o.kids = map[string]*object{}
	}
	o.kids[name] = kid
}

// adopt puts known, which was found as name in up, there, unless it is in its
// old place, too: then that is a bind mount, and the first path counts. It was
// moved, and the record of that is to come, or never will if up was not watched
// then.
func (w *objects) adopt(known, up *object, name string) {
	if known.up == nil || known.up == up && known.name == name {
		return
	}
	for above := up; above != nil; above = above.up {
		if above == known {
			return // records that are to come will tell how this came about
		}
	}
	if mark, err := w.raw.Mark(known.path(), w.mask, true); err == nil {
		if mark == known.mark {
			return
		}
		if w.byMark[mark] == nil {
			_ = w.raw.Unmark(mark) // of something else that has that path by now; its own record comes
		}
	}
	w.put(known, up, name)
}

// settle gives up the directories whose move led out of what is watched.
func (w *objects) settle() {
	for cookie, o := range w.moving {
		delete(w.moving, cookie)
		w.release(o)
	}
}

// again looks for directories that are not watched and forgets those that are
// gone, after events were lost.
func (w *objects) again() {
	w.settle()
	if !w.set.recursive || w.set.fileSystem {
		return
	}
	var gone []*object
	for _, top := range w.tops {
		gone = w.deepen(top, gone)
	}
	for _, o := range gone {
		if mark, err := w.raw.Mark(o.path(), w.mask, true); err != nil || mark != o.mark {
			w.release(o)
		}
	}
}

// deepen watches what is new below o; what is not there is added to gone.
func (w *objects) deepen(o *object, gone []*object) []*object {
	if !o.dir {
		return gone
	}
	path := o.path()
	entries, err := os.ReadDir(path)
	there := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || w.skip[path+name] {
			continue
		}
		there[name] = true
		kid := o.kids[name]
		if kid != nil {
			if mark, err := w.raw.Mark(path+name, w.mask, true); err == nil && mark != kid.mark {
				gone = append(gone, kid)
				kid = nil
			}
		}
		if kid == nil {
			if kid, err = w.watchBelow(o, name, false); err != nil {
				w.cannot(path+name+"/", err)
			}
		}
		if kid != nil && !w.set.fan && kid.up == o {
			gone = w.deepen(kid, gone)
		}
	}
	for name, kid := range o.kids {
		if !there[name] && err == nil {
			gone = append(gone, kid)
		}
	}
	return gone
}
