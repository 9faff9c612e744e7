package apply

import (
	"slices"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

const (
	// cachedDirs bounds the handles held by a Root.
	cachedDirs = 16

	// cachedFor bounds how long a directory that someone else renamed is still
	// written to at its new place.
	cachedFor = time.Second
)

// dirCache keeps the handles of directories in use lately, since changes come
// in siblings.
type dirCache struct {
	mu   sync.Mutex
	held []heldDir // the one used last is last
}

type heldDir struct {
	path  tree.Path
	dir   *walk.Dir
	until time.Time
}

// get opens directory p, or gives the handle held for it (cached). The caller
// releases dir, which stays open until then whatever the cache does.
func (c *dirCache) get(root *walk.Root, p tree.Path) (dir *walk.Dir, fd int, cached bool, err error) {
	now := time.Now()
	if dir, fd := c.find(p, now); dir != nil {
		return dir, fd, true, nil
	}
	dir, err = root.Dir(p)
	if err != nil {
		return nil, -1, false, err
	}
	fd, err = dir.Acquire()
	if err != nil {
		return nil, -1, false, err
	}
	c.add(heldDir{path: p, dir: dir, until: now.Add(cachedFor)})
	return dir, fd, false, nil
}

func (c *dirCache) find(p tree.Path, now time.Time) (*walk.Dir, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.held, func(h heldDir) bool { return h.path == p })
	if i < 0 {
		return nil, -1
	}
	h := c.held[i]
	c.held = slices.Delete(c.held, i, i+1)
	if now.After(h.until) {
		_ = h.dir.Close()
		return nil, -1
	}
	c.held = append(c.held, h)
	fd, err := h.dir.Acquire()
	if err != nil {
		return nil, -1
	}
	return h.dir, fd
}

func (c *dirCache) add(h heldDir) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(func(old heldDir) bool { return old.path == h.path }) // opened twice at a time
	if len(c.held) == cachedDirs {
		_ = c.held[0].dir.Close()
		c.held = slices.Delete(c.held, 0, 1)
	}
	c.held = append(c.held, h)
}

// forget drops p and all below it: it was renamed, removed, or looks so.
func (c *dirCache) forget(p tree.Path) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(func(h heldDir) bool { return h.path.Within(p) })
}

func (c *dirCache) clear() { c.forget(tree.Root) }

func (c *dirCache) drop(gone func(heldDir) bool) {
	c.held = slices.DeleteFunc(c.held, func(h heldDir) bool {
		if !gone(h) {
			return false
		}
		_ = h.dir.Close()
		return true
	})
}
