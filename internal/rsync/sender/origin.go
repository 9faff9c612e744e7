package sender

import (
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// maxOpen is how many directories of arguments are held open.
const maxOpen = 128

// origin is a directory that names of the list are relative to. It may be used
// from any goroutine.
type origin struct {
	base  tree.Path // the transfer root, relative to root
	scope *filter.Scope
	guard tree.Path // where it is in a daemon's module, by its name

	listed bool   // the directory itself is listed
	dir    string // as given, for re-opening; relative to the place, or absolute
	label  string // in front of its names in messages
	prefix string // in front of its names in the formats of 5.3

	trusted func() error // whose symlinks lead here: an error for what the operator would not follow

	held  *holder
	mu    sync.Mutex
	root  *walk.Root // nil while it is closed
	inode tree.Inode
	users int
}

// holder keeps the number of open origins down.
type holder struct {
	place *walk.Place
	mu    sync.Mutex
	open  []*origin // the one opened first comes first
}

// use calls f with the directory.
func (o *origin) use(f func(*walk.Root) error) error {
	root, err := o.acquire()
	if err != nil {
		return err
	}
	defer o.release()
	return f(root)
}

func (o *origin) acquire() (*walk.Root, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.root == nil {
		root, err := o.held.place.Root(o.dir)
		if err == nil && o.inode != (tree.Inode{}) && root.Inode() != o.inode {
			root.Close()
			err = &os.PathError{Op: "open", Path: tree.Quote(o.dir), Err: syscall.ESTALE}
		}
		if err != nil {
			return nil, err
		}
		o.root, o.inode = root, root.Inode()
		o.held.add(o)
	}
	o.users++
	return o.root, nil
}

func (o *origin) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users--
}

// add takes note of an origin that was opened, and closes another if there are
// too many.
func (h *holder) add(o *origin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = append(h.open, o)
	for i := 0; len(h.open) > maxOpen && i < len(h.open)-1; i++ {
		if h.open[i].shut() {
			h.open = append(h.open[:i], h.open[i+1:]...)
			return
		}
	}
}

// shut closes o unless it is in use, or its owner is at it right now.
func (o *origin) shut() bool {
	if !o.mu.TryLock() {
		return false
	}
	defer o.mu.Unlock()
	if o.users > 0 || o.root == nil {
		return false
	}
	o.root.Close()
	o.root = nil
	return true
}

// close closes what is open.
func (h *holder) close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.open {
		o.shut()
	}
	h.open = nil
}

// below is a path of the list as the origin's root knows it. Absolute names are
// listed with their slash.
func (o *origin) below(p tree.Path) tree.Path {
	if strings.HasPrefix(string(p), "/") {
		p = p[1:]
		if p == "." {
			p = tree.Root
		}
	}
	return p.Under(o.base)
}

// full is a path of the list in the words of messages.
func (o *origin) full(p tree.Path) string {
	p = o.below(p)
	switch {
	case p == tree.Root:
		p = "."
	}
	return joined(o.label, string(p))
}

// joined is name below dir; dir is "" in the root of a module.
func joined(dir, name string) string {
	switch {
	case dir == "" || strings.HasPrefix(name, "/"):
		return name
	case strings.HasSuffix(dir, "/"):
		return dir + name
	}
	return dir + "/" + name
}

// labelOf is how messages call a directory.
func (s *Sources) labelOf(dir string) string {
	full := dir
	if !strings.HasPrefix(dir, "/") {
		full = s.Name + "/" + dir
	}
	full = path.Clean("/" + full)
	if full == "/" && s.Name == "" {
		return ""
	}
	return full
}
