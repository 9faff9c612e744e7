package target

import (
	"fmt"
	"sync"

	"lockstep/internal/fs/tree"
)

// ErrWriting says that a file was left alone because it is being written.
var ErrWriting = fmt.Errorf("is being written: %w", ErrChanged)

// Writing is what must not be read by a full pass now. It may be used from
// several goroutines; a nil *Writing has nothing.
type Writing struct {
	mu    sync.Mutex
	open  map[tree.Inode]bool
	paths map[tree.Path]bool
}

// Open says which files had been open for writing when a pass began.
func (w *Writing) Open(files map[tree.Inode]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = files
}

// Hold says which paths are being written now, in place of those before.
func (w *Writing) Hold(paths []tree.Path) {
	held := make(map[tree.Path]bool, len(paths))
	for _, p := range paths {
		held[p] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paths = held
}

// has reports whether the file i at p is among them.
func (w *Writing) has(p tree.Path, i tree.Inode) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paths[p] || w.open[i]
}
