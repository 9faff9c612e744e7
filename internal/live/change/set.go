package change

import (
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

// Class says how closely a dirty path has to be compared. A higher class
// includes the lower ones.
type Class uint8

const (
	Attr     Class = iota + 1 // names and metadata; content as the quick check sees it
	Content                   // content was, or may have been, written: compare it
	Children                  // of a directory, which names it holds
	Tree                      // everything below the path, with a scan
)

var classNames = [...]string{"none", "attr", "content", "children", "tree"}

func (c Class) String() string { return classNames[min(int(c), len(classNames)-1)] }

// Kind is what a Change asks for.
type Kind uint8

const (
	Dirty  Kind = iota + 1 // compare Path again
	Moved                  // From is now called Path
	Rescan                 // events were lost: compare the whole source with what was last seen
)

// Change is one step for the mirror, in replay order.
type Change struct {
	Kind    Kind
	Path    tree.Path
	From    tree.Path // Moved only
	Class   Class     // Dirty only
	Dir     bool      // the event said it is a directory
	Created bool      // the name did not exist before
	Arrived bool      // came from outside the source: what is below it is unknown
	Gone    bool      // was removed or moved away; what is there now is something else
	AsIs    bool      // held for too long: take it although it is being written
	Removes int       // entries of the source that went with it, filled in by the mirror
	At      time.Time // when the oldest event behind it was read
}

// Options say which events count.
type Options struct {
	Events  watch.Op      // events that make a path dirty; 0 = all that change a tree
	MaxHold time.Duration // how long a file being written is held back; 0 = until it is closed
}

// hold is a file that is being written.
type hold struct {
	first   time.Time // oldest event not yet passed on
	since   time.Time // when holding began
	created bool
	found   bool // a listing found it: its close may have been before
	class   Class
}

// Set collects events and yields settled changes. The zero Set is not usable,
// see NewSet. It is not safe for concurrent use.
type Set struct {
	opts    Options
	held    map[tree.Path]*hold
	toProbe map[tree.Path]bool
	out     []Change
	at      map[tree.Path]int // index in out of the Dirty change of a path since the last barrier
}

// NewSet makes an empty Set.
func NewSet(o Options) *Set {
	if o.Events == 0 {
		o.Events = watch.AllEvents
	}
	return &Set{opts: o, held: map[tree.Path]*hold{}, toProbe: map[tree.Path]bool{}, at: map[tree.Path]int{}}
}

// Event takes one event. One record may carry several kinds merged, in no
// known order; what they have in common is that the path must be looked at.
func (s *Set) Event(ev watch.Event, now time.Time) {
	switch {
	case ev.Op&watch.Overflow != 0:
		s.out = append(s.out, Change{Kind: Rescan, At: now})
		s.barrier()
		return
	case ev.Op&watch.Rename != 0:
		s.rename(ev, now)
	}
	op := ev.Op & (s.opts.Events | watch.Found)
	if op&^watch.Rename == 0 {
		return
	}
	c := Change{Kind: Dirty, Path: ev.Path, Class: Attr, Dir: ev.Dir, At: now,
		Created: op&(watch.Create|watch.Found|watch.MovedTo) != 0,
		Arrived: op&watch.MovedTo != 0, Gone: op&(watch.Delete|watch.MovedFrom) != 0}
	if op&(watch.Modify|watch.CloseWrite|watch.MovedTo|watch.Found|watch.Create) != 0 && !ev.Dir || op&watch.MovedTo != 0 {
		c.Class = Content
	}
	switch {
	case ev.Dir, op&(watch.CloseWrite|watch.MovedTo|watch.Delete|watch.MovedFrom) != 0:
		s.settle(c)
	case op&watch.Found != 0, op&watch.Create != 0, op&watch.Modify != 0 && s.holds():
		s.hold(c, op&watch.Found != 0, now)
	default:
		s.touch(c)
	}
}

// holds reports whether files are taken when closed rather than when written.
func (s *Set) holds() bool { return s.opts.Events&watch.CloseWrite != 0 }

// hold keeps a file back until it is closed.
func (s *Set) hold(c Change, found bool, now time.Time) {
	h := s.held[c.Path]
	if h == nil {
		h = &hold{first: c.At, since: now}
		s.held[c.Path] = h
		s.toProbe[c.Path] = true
	}
	h.created = h.created || c.Created
	h.found = h.found || found
	h.class = max(h.class, c.Class, Content)
}

// Hold keeps a file back that may differ since at, but is being written.
func (s *Set) Hold(p tree.Path, at, now time.Time) {
	s.hold(Change{Kind: Dirty, Path: p, Class: Content, At: at}, true, now)
}

// touch notes a change that does not end a hold.
func (s *Set) touch(c Change) {
	if h := s.held[c.Path]; h != nil {
		h.class = max(h.class, c.Class)
		return
	}
	s.emit(c)
}

// settle passes a change on and ends the hold of its path.
func (s *Set) settle(c Change) {
	if h := s.held[c.Path]; h != nil {
		c.At, c.Class, c.Created = h.first, max(c.Class, h.class), c.Created || h.created
		delete(s.held, c.Path)
		delete(s.toProbe, c.Path)
	}
	s.emit(c)
}

// emit appends c, merged with an earlier change of the same path that no
// rename separates from it.
func (s *Set) emit(c Change) {
	if i, ok := s.at[c.Path]; ok {
		o := &s.out[i]
		o.Class = max(o.Class, c.Class)
		o.Dir, o.Created = c.Dir, o.Created || c.Created
		o.Arrived, o.AsIs = o.Arrived || c.Arrived, o.AsIs || c.AsIs
		o.Gone = o.Gone || c.Gone
		return
	}
	s.at[c.Path] = len(s.out)
	s.out = append(s.out, c)
}

// barrier keeps later changes from merging with earlier ones.
func (s *Set) barrier() { clear(s.at) }

// rename carries what is held below the old name over to the new one.
func (s *Set) rename(ev watch.Event, now time.Time) {
	s.barrier()
	s.out = append(s.out, Change{Kind: Moved, Path: ev.Path, From: ev.From, Dir: ev.Dir, At: now})
	if h := s.held[ev.Path]; h != nil && !ev.Dir {
		delete(s.held, ev.Path) // the file that was held here is gone
		delete(s.toProbe, ev.Path)
	}
	move := func(p tree.Path) {
		to := p.Rebase(ev.From, ev.Path)
		s.held[to] = s.held[p]
		s.toProbe[to] = true
		delete(s.held, p)
		delete(s.toProbe, p)
	}
	if !ev.Dir {
		if s.held[ev.From] != nil {
			move(ev.From)
		}
		return
	}
	var below []tree.Path
	for p := range s.held {
		if p.Within(ev.From) {
			below = append(below, p)
		}
	}
	for _, p := range below {
		move(p)
	}
}

// Probe is a file that was just put on hold.
type Probe struct {
	Path  tree.Path
	Found bool // its close may have been before it was watched
}

// Probe yields the files held since the last call. The caller should look
// whether they can be open for writing at all, and call Release for those that
// cannot: hard links and symlinks are never closed.
func (s *Set) Probe() []Probe {
	if len(s.toProbe) == 0 {
		return nil
	}
	ps := make([]Probe, 0, len(s.toProbe))
	for p := range s.toProbe {
		ps = append(ps, Probe{p, s.held[p].found})
	}
	clear(s.toProbe)
	return ps
}

// Release ends the hold of p: it is not being written.
func (s *Set) Release(p tree.Path) {
	if h := s.held[p]; h != nil {
		delete(s.held, p)
		delete(s.toProbe, p)
		s.emit(Change{Kind: Dirty, Path: p, Class: h.class, Created: h.created, At: h.first})
	}
}

// Settled reports whether Drain has something.
func (s *Set) Settled() bool { return len(s.out) > 0 }

// Held reports whether p is being written and should not be read now.
func (s *Set) Held(p tree.Path) bool { return s.held[p] != nil }

// Holding is the number of files held back.
func (s *Set) Holding() int { return len(s.held) }

// HeldSince reports whether a file is held back that was changed at t or before.
func (s *Set) HeldSince(t time.Time) bool {
	for _, h := range s.held {
		if !h.first.After(t) {
			return true
		}
	}
	return false
}

// Backlog lists the files held back, oldest first, and at most so many.
func (s *Set) Backlog(most int) []Pending {
	var all []Pending
	for p, h := range s.held {
		all = append(all, Pending{Path: p, Class: h.class, Since: h.first, Held: true})
	}
	return oldest(all, most)
}

// HeldPaths lists the files held back, for a periodic look whether they are
// still being written.
func (s *Set) HeldPaths() []tree.Path {
	ps := make([]tree.Path, 0, len(s.held))
	for p := range s.held {
		ps = append(ps, p)
	}
	return ps
}

// Drain yields the settled changes in replay order, and those whose hold has
// lasted for MaxHold.
func (s *Set) Drain(now time.Time) []Change {
	if s.opts.MaxHold > 0 {
		for p, h := range s.held {
			if now.Sub(h.since) >= s.opts.MaxHold {
				delete(s.held, p)
				delete(s.toProbe, p)
				s.emit(Change{Kind: Dirty, Path: p, Class: h.class, Created: h.created, AsIs: true, At: h.first})
			}
		}
	}
	out := s.out
	s.out = nil
	s.barrier()
	return out
}
