package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Churn changes a tree at random, the same way for the same seed: each step
// depends on the seed and on what the steps before it left on disk only.
//
// With one exception it does what real work does and nothing that a mirror
// could not see: the exception is Stealth.
type Churn struct {
	Root    string // the tree to change
	Outside string // a directory on the same file system to move things to and from
	Xattrs  bool   // set extended attributes too
	Owners  bool   // chown and mknod, which need root

	// Stealth allows rewrites that leave size and mtime as they were. They
	// can be seen while they happen, but not by looking at the tree
	// afterwards: off while a mirror is down or about to be killed.
	Stealth bool

	rng   *rand.Rand
	held  []*os.File // open for writing across steps
	steps int
	log   []string
}

// The tree is kept between these sizes by choosing what creates or what
// deletes more often.
const (
	fewObjects  = 60
	manyObjects = 420
)

// maxDepth bounds the depth of the tree, and maxPath its paths in bytes, so
// that the target's longer root still leaves them below PATH_MAX.
const (
	maxDepth = 9
	maxPath  = 2400
)

// maxHeld bounds the files that are open for writing at a time.
const maxHeld = 3

// NewChurn prepares the churn of root with a seed.
func NewChurn(root, outside string, seed uint64) *Churn {
	return &Churn{
		Root: root, Outside: outside, Owners: os.Geteuid() == 0, Stealth: true,
		rng: rand.New(rand.NewPCG(seed, 0x6c6f636b73746570)),
	}
}

// operation is one kind of step. Its function reports what it did; an empty
// report says that nothing in the tree suited.
type operation struct {
	name   string
	weight int
	does   func(*Churn, *view) (string, error)
}

// view is the tree as it is before a step.
type view struct {
	dirs  []string // relative, "." first
	files []string // regular files
	other []string // symlinks, devices, fifos, sockets
}

func (v *view) objects() int { return len(v.dirs) + len(v.files) + len(v.other) - 1 }

// Step does one random operation.
func (c *Churn) Step() error {
	v, err := c.look()
	if err != nil {
		return fmt.Errorf("churn step %d: %w", c.steps, err)
	}
	for range 20 {
		op := c.choose(v)
		did, err := op.does(c, v)
		if err != nil && !harmless(err) {
			return fmt.Errorf("churn step %d: %s: %w", c.steps, op.name, err)
		}
		if did == "" && err == nil {
			continue
		}
		if err != nil {
			did += fmt.Sprintf(" (%v)", err)
		}
		c.log = append(c.log, fmt.Sprintf("%d %s %s", c.steps, op.name, did))
		c.steps++
		return nil
	}
	c.steps++
	return nil
}

// Close closes the files that are still open for writing.
func (c *Churn) Close() error {
	var errs []error
	for _, f := range c.held {
		errs = append(errs, f.Close())
	}
	c.held = nil
	return errors.Join(errs...)
}

// Log is what the last n steps did.
func (c *Churn) Log(n int) string {
	return "--- last steps of the churn\n" + strings.Join(c.log[max(0, len(c.log)-n):], "\n") + "\n---"
}

// Mentions lists the steps that named path's last component.
func (c *Churn) Mentions(path string) []string {
	quoted := fmt.Sprintf("%q", filepath.Base(path))
	name := quoted[1 : len(quoted)-1]
	var found []string
	for _, line := range c.log {
		if strings.Contains(line, name) {
			found = append(found, line)
		}
	}
	return found
}

func (c *Churn) choose(v *view) operation {
	ops := operations
	switch n := v.objects(); {
	case n < fewObjects:
		ops = append(append([]operation(nil), creating...), creating...)
		ops = append(ops, operations...)
	case n > manyObjects:
		ops = append(append([]operation(nil), deleting...), deleting...)
		ops = append(ops, operations...)
	}
	total := 0
	for _, op := range ops {
		total += op.weight
	}
	at := c.rng.IntN(total)
	for _, op := range ops {
		if at -= op.weight; at < 0 {
			return op
		}
	}
	panic("weights do not add up")
}

// look lists the tree in a fixed order.
func (c *Churn) look() (*view, error) {
	v := &view{}
	err := filepath.WalkDir(c.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.Root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			v.dirs = append(v.dirs, rel)
		case d.Type().IsRegular():
			v.files = append(v.files, rel)
		default:
			v.other = append(v.other, rel)
		}
		return nil
	})
	return v, err
}

// harmless errors are those of an operation that the tree does not allow.
func harmless(err error) bool {
	for _, ok := range []error{
		unix.EEXIST, unix.ENOTEMPTY, unix.ENOTDIR, unix.EISDIR, unix.EINVAL,
		unix.ENAMETOOLONG, unix.ENOENT, unix.ELOOP, unix.EMLINK, unix.ENOTSUP, unix.EXDEV,
	} {
		if errors.Is(err, ok) {
			return true
		}
	}
	return false
}

func pick(rng *rand.Rand, from []string) string {
	if len(from) == 0 {
		return ""
	}
	return from[rng.IntN(len(from))]
}

// at is a path of the tree as the kernel wants it.
func (c *Churn) at(rel string) string { return filepath.Join(c.Root, rel) }

// open opens a regular file of the tree, or makes it. It follows no symlink
// and opens no device: what a step wrote earlier may stand at any name.
func (c *Churn) open(rel string, flags int, mode uint32) (*os.File, error) {
	var st unix.Stat_t
	if unix.Lstat(c.at(rel), &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.EEXIST
	}
	root, err := os.Open(c.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fd, err := unix.Openat2(int(root.Fd()), rel, &unix.OpenHow{
		Flags:   uint64(flags | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: rel, Err: err}
	}
	return os.NewFile(uintptr(fd), rel), nil
}

// write makes or rewrites a file of the tree.
func (c *Churn) write(rel string, text []byte) error {
	f, err := c.open(rel, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return closing(f, err)
}

// place chooses a new name in a directory that exists.
func (c *Churn) place(v *view) string { return c.within(pick(c.rng, v.dirs)) }

// within chooses a new name in dir that is neither too deep nor too long.
func (c *Churn) within(dir string) string {
	p := filepath.Join(dir, c.name())
	if strings.Count(p, "/") >= maxDepth || len(p) > maxPath {
		return c.name()
	}
	return p
}

// anything chooses any object but the root.
func (v *view) anything(rng *rand.Rand) string {
	all := v.objects()
	if all <= 0 {
		return ""
	}
	i := rng.IntN(all)
	for _, list := range [][]string{v.dirs[1:], v.files, v.other} {
		if i < len(list) {
			return list[i]
		}
		i -= len(list)
	}
	return ""
}
