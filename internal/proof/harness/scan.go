package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// node is one object of a scanned tree.
type node struct {
	path string // relative to the tree's root, "." for the root
	stat unix.Stat_t
}

func (n *node) is(kind uint32) bool { return n.stat.Mode&unix.S_IFMT == kind }

// inode identifies the object behind a name.
type inode struct{ dev, ino uint64 }

func (n *node) inode() inode { return inode{n.stat.Dev, n.stat.Ino} }

// scanWorkers is how many directories of one tree are read at a time.
const scanWorkers = 4

// scanner collects a tree; what vanishes while it reads is left out.
type scanner struct {
	root  string
	leave func(path string) bool
	slots chan struct{}
	wait  sync.WaitGroup

	mu    sync.Mutex
	nodes map[string]*node
	err   error
}

// scan reads the tree at root, without following links below it. leave, which
// may be nil, names paths to leave out with all that is below them.
func scan(root string, leave func(string) bool) (map[string]*node, error) {
	s := &scanner{root: root, leave: leave, nodes: map[string]*node{}, slots: make(chan struct{}, scanWorkers)}
	top := &node{path: "."}
	if err := unix.Stat(root, &top.stat); err != nil {
		return nil, fmt.Errorf("scan %s: %w", root, err)
	}
	s.nodes["."] = top
	if top.is(unix.S_IFDIR) {
		s.directory("")
	}
	s.wait.Wait()
	return s.nodes, s.err
}

func (s *scanner) directory(dir string) {
	names, err := readNames(filepath.Join(s.root, dir))
	if err != nil {
		s.fail(err)
		return
	}
	found := make([]*node, 0, len(names))
	for _, name := range names {
		n := &node{path: filepath.Join(dir, name)}
		if s.leave != nil && s.leave(n.path) {
			continue
		}
		if err := unix.Lstat(filepath.Join(s.root, n.path), &n.stat); err != nil {
			s.fail(&fs.PathError{Op: "lstat", Path: n.path, Err: err})
			continue
		}
		found = append(found, n)
	}
	s.mu.Lock()
	for _, n := range found {
		s.nodes[n.path] = n
	}
	s.mu.Unlock()
	for _, n := range found {
		if n.is(unix.S_IFDIR) {
			s.descend(n.path)
		}
	}
}

// descend reads a directory in a goroutine of its own when a slot is free.
func (s *scanner) descend(dir string) {
	select {
	case s.slots <- struct{}{}:
		s.wait.Go(func() {
			s.directory(dir)
			<-s.slots
		})
	default:
		s.directory(dir)
	}
}

func (s *scanner) fail(err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Count is the number of objects below root, the root itself not counted.
func Count(root string) (int, error) {
	nodes, err := scan(root, nil)
	return len(nodes) - 1, err
}
