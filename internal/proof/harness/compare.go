package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MungedPrefix is what an rsync daemon without chroot puts before the target
// of each symlink it stores.
const MungedPrefix = "/rsyncd-munged/"

// Comparison says what makes two trees equal. The zero value asks for content,
// type, permissions, owner, group, times to the nanosecond (of directories and
// symlinks too), symlink targets and device numbers, and that no two names
// share an inode at the target that are two files at the source.
type Comparison struct {
	Munged    bool                   // symlinks at the target carry MungedPrefix
	HardLinks bool                   // names of one file at the source must share an inode at the target
	Xattrs    bool                   // user.* attributes and POSIX ACLs too
	AllXattrs bool                   // with Xattrs: those of all name spaces
	Atimes    bool                   // access times of what is no directory too
	Holes     bool                   // how much of a file is allocated, in steps of 64 KiB
	Now       Span                   // modification times within it count as equal
	AnyOwner  bool                   // leave owner and group out
	AnyTime   bool                   // leave the times out
	NoContent bool                   // trust size and time
	Leave     func(path string) bool // paths to leave out, with all below them, on both sides
}

// Span is a time span; the zero value is empty.
type Span struct{ From, To time.Time }

func (s Span) holds(t unix.Timespec) bool {
	at := time.Unix(t.Unix())
	return !at.Before(s.From) && !at.After(s.To)
}

// maxDifferences is how many differences one comparison lists.
const maxDifferences = 60

// Compare lists what differs between the trees at source and target, sorted
// by path, at most maxDifferences lines; nil means that they are equal.
func Compare(source, target string, want Comparison) ([]string, error) {
	var there map[string]*node
	var thereErr error
	var wait sync.WaitGroup
	wait.Go(func() { there, thereErr = scan(target, want.Leave) })
	here, err := scan(source, want.Leave)
	wait.Wait()
	if err := errors.Join(err, thereErr); err != nil {
		return nil, err
	}
	c := &comparer{source: source, target: target, want: want, here: here, there: there}
	c.names()
	c.links()
	if len(c.found) == 0 && !want.NoContent {
		c.contents()
	}
	slices.Sort(c.found)
	if len(c.found) > maxDifferences {
		more := len(c.found) - maxDifferences
		c.found = append(c.found[:maxDifferences], fmt.Sprintf("… and %d more", more))
	}
	return c.found, nil
}

type comparer struct {
	source, target string
	want           Comparison
	here, there    map[string]*node

	mu    sync.Mutex
	found []string
}

func (c *comparer) differ(path, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, fmt.Sprintf("%q: ", path)+fmt.Sprintf(format, args...))
}

func (c *comparer) names() {
	for path, a := range c.here {
		b, ok := c.there[path]
		if !ok {
			c.differ(path, "missing at the target (%s)", kindName(a))
			continue
		}
		c.object(path, a, b)
	}
	for path, b := range c.there {
		if _, ok := c.here[path]; !ok {
			c.differ(path, "only at the target (%s)", kindName(b))
		}
	}
}

func (c *comparer) object(path string, a, b *node) {
	if a.stat.Mode&unix.S_IFMT != b.stat.Mode&unix.S_IFMT {
		c.differ(path, "%s at the source, %s at the target", kindName(a), kindName(b))
		return
	}
	if a.stat.Mode != b.stat.Mode {
		c.differ(path, "%s: mode %o at the source, %o at the target", kindName(a), a.stat.Mode&0o7777, b.stat.Mode&0o7777)
	}
	if !c.want.AnyOwner && (a.stat.Uid != b.stat.Uid || a.stat.Gid != b.stat.Gid) {
		c.differ(path, "%s: owner %d:%d at the source, %d:%d at the target",
			kindName(a), a.stat.Uid, a.stat.Gid, b.stat.Uid, b.stat.Gid)
	}
	if !c.want.AnyTime && a.stat.Mtim != b.stat.Mtim && !(c.want.Now.holds(a.stat.Mtim) && c.want.Now.holds(b.stat.Mtim)) {
		c.differ(path, "%s: mtime %s at the source, %s at the target", kindName(a), stamp(a.stat.Mtim), stamp(b.stat.Mtim))
	}
	if c.want.Atimes && !a.is(unix.S_IFDIR) && a.stat.Atim != b.stat.Atim && !(c.want.Now.holds(a.stat.Atim) && c.want.Now.holds(b.stat.Atim)) {
		c.differ(path, "%s: atime %s at the source, %s at the target", kindName(a), stamp(a.stat.Atim), stamp(b.stat.Atim))
	}
	switch a.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if c.want.Holes && a.stat.Blocks/128 != b.stat.Blocks/128 {
			c.differ(path, "file: %d KiB allocated at the source, %d at the target", a.stat.Blocks/2, b.stat.Blocks/2)
		}
		if a.stat.Size != b.stat.Size {
			c.differ(path, "file: %d bytes at the source, %d at the target", a.stat.Size, b.stat.Size)
		}
	case unix.S_IFLNK:
		c.symlink(path)
	case unix.S_IFBLK, unix.S_IFCHR:
		if a.stat.Rdev != b.stat.Rdev {
			c.differ(path, "device %x at the source, %x at the target", a.stat.Rdev, b.stat.Rdev)
		}
	}
	if c.want.Xattrs {
		c.attributes(path)
	}
}

func (c *comparer) symlink(path string) {
	a, errA := os.Readlink(filepath.Join(c.source, path))
	b, errB := os.Readlink(filepath.Join(c.target, path))
	if c.want.Munged {
		a = MungedPrefix + a
	}
	if a != b || errA != nil || errB != nil {
		c.differ(path, "symlink to %q at the source (%v), %q at the target (%v)", a, errA, b, errB)
	}
}

func (c *comparer) attributes(path string) {
	a, errA := attributes(filepath.Join(c.source, path), c.want.AllXattrs)
	b, errB := attributes(filepath.Join(c.target, path), c.want.AllXattrs)
	if !maps.Equal(a, b) || errA != nil || errB != nil {
		c.differ(path, "attributes %q at the source (%v), %q at the target (%v)", a, errA, b, errB)
	}
}

// links compares which names share an inode.
func (c *comparer) links() {
	groupsHere, groupsThere := groups(c.here), groups(c.there)
	if c.want.HardLinks {
		for _, g := range groupsHere {
			c.sharing(g, c.there, "one file at the source, several at the target")
		}
	}
	for _, g := range groupsThere {
		c.sharing(g, c.here, "one file at the target, several at the source")
	}
}

func (c *comparer) sharing(group []string, other map[string]*node, text string) {
	var first *node
	for _, path := range group {
		n := other[path]
		switch {
		case n == nil: // reported as missing
		case first == nil:
			first = n
		case first.inode() != n.inode():
			c.differ(group[0], "and %d other names (%q …): %s", len(group)-1, group[1], text)
			return
		}
	}
}

// groups lists the sets of names that share an inode, each sorted.
func groups(nodes map[string]*node) [][]string {
	byInode := map[inode][]string{}
	for path, n := range nodes {
		if !n.is(unix.S_IFDIR) && n.stat.Nlink > 1 {
			byInode[n.inode()] = append(byInode[n.inode()], path)
		}
	}
	var all [][]string
	for _, g := range byInode {
		if len(g) > 1 {
			slices.Sort(g)
			all = append(all, g)
		}
	}
	return all
}

func (c *comparer) contents() {
	paths := make(chan string)
	var wait sync.WaitGroup
	for range scanWorkers {
		wait.Go(func() {
			bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
			for path := range paths {
				c.content(path, bufA, bufB)
			}
		})
	}
	for path, n := range c.here {
		if n.is(unix.S_IFREG) && n.stat.Size > 0 {
			paths <- path
		}
	}
	close(paths)
	wait.Wait()
}

func (c *comparer) content(path string, bufA, bufB []byte) {
	a, err := openQuietly(filepath.Join(c.source, path))
	if err != nil {
		c.differ(path, "open at the source: %v", err)
		return
	}
	defer a.Close()
	b, err := openQuietly(filepath.Join(c.target, path))
	if err != nil {
		c.differ(path, "open at the target: %v", err)
		return
	}
	defer b.Close()
	for at := 0; ; {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			c.differ(path, "content differs in the %d bytes from %d on, same size and time", max(n, m), at)
			return
		}
		if errA != nil || errB != nil {
			return
		}
		at += n
	}
}

// openQuietly opens a file so that reading it leaves its access time, if we
// may.
func openQuietly(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		return os.Open(path)
	}
	return f, err
}

func stamp(t unix.Timespec) string {
	return time.Unix(t.Sec, t.Nsec).UTC().Format("2006-01-02T15:04:05.000000000")
}

func kindName(n *node) string {
	switch n.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFBLK:
		return "block device"
	case unix.S_IFCHR:
		return "character device"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	}
	return fmt.Sprintf("mode %o", n.stat.Mode)
}
