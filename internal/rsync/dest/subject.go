package dest

import (
	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

// subject is an object in messages. Its names are put together only when there
// is something to say of it.
type subject struct {
	d    *Dest
	at   tree.Path
	root *apply.Root // that at is below; nil: the destination
	temp bool        // it has no name or a temporary one, and goes to at
}

// full is what FullName gives.
func (s subject) full() string {
	switch {
	case s.temp && s.d.scratch.name != "":
		return s.d.quoted(s.short())
	case s.temp:
		return s.d.FullName(tree.Path(s.short()))
	case s.root != nil:
		return s.d.quotedIn(s.root, s.at)
	}
	return s.d.FullName(s.at)
}

// short is the same from the destination directory.
func (s subject) short() string {
	switch {
	case !s.temp:
		return string(s.at)
	case s.d.scratch.name != "":
		return join(s.d.scratch.full, s.d.tempPattern(s.at.Base()))
	}
	return string(s.at.Parent().Join(s.d.tempPattern(s.at.Base())))
}
