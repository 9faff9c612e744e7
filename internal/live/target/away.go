package target

import (
	"context"
	"errors"
	"strings"
	"sync"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

// Away is the mount points in a source that hold nothing now, since what is
// mounted there at other times is not. What is below them is out of sight, not
// deleted: it stays at the targets. It may be used from several goroutines; a
// nil *Away has none.
type Away struct {
	mu    sync.Mutex
	dirs  map[tree.Path]bool
	rules *filter.Rules // that leave out everything below dirs; nil if there are none
	more  chan struct{} // closed when the next one is added
}

// NewAway makes an empty Away.
func NewAway() *Away { return &Away{dirs: map[tree.Path]bool{}, more: make(chan struct{})} }

// Add notes that the file system mounted at dir went away. Passes that run
// under Guard end.
func (a *Away) Add(dir tree.Path) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dirs[dir] {
		return
	}
	a.dirs[dir] = true
	a.compile()
	close(a.more)
	a.more = make(chan struct{})
}

// Drop notes that dir holds something again, and reports whether it did not.
func (a *Away) Drop(dir tree.Path) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.dirs[dir] {
		return false
	}
	delete(a.dirs, dir)
	a.compile()
	return true
}

// Covers reports whether p is, or lies below, one of the mount points.
func (a *Away) Covers(p tree.Path) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for dir := range a.dirs {
		if p.Within(dir) {
			return true
		}
	}
	return false
}

// Rules leave out what is below the mount points, at both ends; nil if there
// are none.
func (a *Away) Rules() *filter.Rules {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rules
}

// wild escapes what means something in a pattern.
var wild = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// compile makes the rules. A name that cannot be in a rule, because it is too
// long for one, costs the directory above it.
func (a *Away) compile() {
	a.rules = nil
	if len(a.dirs) == 0 {
		return
	}
	var b filter.Builder
	for dir := range a.dirs {
		for b.Filter("- "+below(dir)) != nil {
			dir = dir.Parent()
		}
	}
	a.rules, _ = b.Rules(filter.Implied{}) // it has nothing to add that could fail
}

// below is a pattern for what is in dir.
func below(dir tree.Path) string {
	if dir.IsRoot() {
		return "/*"
	}
	return "/" + wild.Replace(string(dir)) + "/*"
}

// ErrUnmounted says that a file system in the source went away during a pass.
var ErrUnmounted = errors.New("a file system in the source was unmounted meanwhile")

// Guard is ctx, but for ending with ErrUnmounted as its cause when another
// mount point is added.
func (a *Away) Guard(ctx context.Context) (context.Context, context.CancelFunc) {
	guarded, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	more := a.more
	a.mu.Unlock()
	go func() {
		select {
		case <-more:
			cancel(ErrUnmounted)
		case <-guarded.Done():
		}
	}()
	return guarded, func() { cancel(nil) }
}
