package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// deleting are the operations that make the tree smaller.
var deleting = []operation{
	{"delete", 8, (*Churn).remove},
	{"delete a tree", 2, (*Churn).removeTree},
	{"move out", 3, (*Churn).moveOut},
}

// moving are the operations that change names.
var moving = []operation{
	{"rename a file", 8, (*Churn).renameFile},
	{"rename a directory", 6, (*Churn).renameDir},
	{"rename over a file", 4, (*Churn).renameOver},
	{"rename a directory over an empty one", 1, (*Churn).renameOverEmpty},
	{"rename and make the old name again", 3, (*Churn).renameAndRecreate},
	{"rename a directory and write below it", 3, (*Churn).renameAndWrite},
	{"rename in a circle", 2, (*Churn).circle},
	{"exchange two names", 2, (*Churn).exchange},
	{"change the type", 3, (*Churn).changeType},
}

// operations is everything a step can do.
var operations = join(creating, changing, moving, deleting)

func join(lists ...[]operation) (all []operation) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func (c *Churn) mkdir(v *view) (string, error) {
	p := c.place(v)
	return fmt.Sprintf("%q", p), os.Mkdir(c.at(p), 0o755)
}

func (c *Churn) mkdirDeep(v *view) (string, error) {
	p := c.place(v)
	for range c.rng.IntN(4) {
		p = c.within(p)
	}
	for i, b := range p {
		if b != '/' {
			continue
		}
		if err := os.Mkdir(c.at(p[:i]), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Sprintf("%q", p), err
		}
		if info, err := os.Lstat(c.at(p[:i])); err != nil || !info.IsDir() {
			return fmt.Sprintf("%q", p), unix.ENOTDIR
		}
	}
	return fmt.Sprintf("%q", p), c.write(p, c.content())
}

func (c *Churn) outside() string { return filepath.Join(c.Outside, fmt.Sprintf("outside-%d", c.steps)) }

func (c *Churn) moveFileIn(v *view) (string, error) {
	from, p := c.outside(), c.place(v)
	if err := os.WriteFile(from, c.content(), 0o640); err != nil {
		return "", err
	}
	return fmt.Sprintf("%q", p), os.Rename(from, c.at(p))
}

func (c *Churn) moveTreeIn(v *view) (string, error) {
	from, p := c.outside(), c.place(v)
	for i := range 2 + c.rng.IntN(5) {
		dir := filepath.Join(from, fmt.Sprintf("s%d/t%d", i%2, i%3))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, c.name()), c.content(), 0o644); err != nil && !harmless(err) {
			return "", err
		}
	}
	return fmt.Sprintf("%q", p), os.Rename(from, c.at(p))
}

func (c *Churn) moveOut(v *view) (string, error) {
	p := v.anything(c.rng)
	if p == "" {
		return "", nil
	}
	return fmt.Sprintf("%q", p), os.Rename(c.at(p), c.outside())
}

func (c *Churn) remove(v *view) (string, error) {
	p := v.anything(c.rng)
	if p == "" {
		return "", nil
	}
	return fmt.Sprintf("%q", p), os.Remove(c.at(p))
}

func (c *Churn) removeTree(v *view) (string, error) {
	if len(v.dirs) < 2 {
		return "", nil
	}
	p := pick(c.rng, v.dirs[1:])
	return fmt.Sprintf("%q", p), os.RemoveAll(c.at(p))
}

func (c *Churn) symlink(v *view) (string, error) {
	p := c.place(v)
	to := []string{"nowhere", "../..", "/etc/passwd", ".", c.name(), v.anything(c.rng), strings.Repeat("long/", 300)}[c.rng.IntN(7)]
	if to == "" {
		to = "x"
	}
	return fmt.Sprintf("%q -> %.40q", p, to), os.Symlink(to, c.at(p))
}

func (c *Churn) hardLink(v *view) (string, error) {
	from, p := pick(c.rng, v.files), c.place(v)
	if from == "" {
		return "", nil
	}
	return fmt.Sprintf("%q = %q", p, from), os.Link(c.at(from), c.at(p))
}

func (c *Churn) special(v *view) (string, error) {
	p := c.place(v)
	kinds := []uint32{unix.S_IFIFO}
	if c.Owners {
		kinds = append(kinds, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK)
	}
	kind := kinds[c.rng.IntN(len(kinds))]
	dev := 0
	if kind == unix.S_IFCHR || kind == unix.S_IFBLK {
		// No driver has these numbers: nothing happens when one is opened.
		dev = int(unix.Mkdev(uint32(3000+c.rng.IntN(900)), uint32(c.rng.IntN(1000))))
	}
	return fmt.Sprintf("%q %o", p, kind), unix.Mknod(c.at(p), kind|0o640, dev)
}

// copyWithTimes is cp -p: same content, mode and time under another name.
func (c *Churn) copyWithTimes(v *view) (string, error) {
	from, p := pick(c.rng, v.files), c.place(v)
	if from == "" {
		return "", nil
	}
	info, err := os.Stat(c.at(from))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(c.at(from))
	if err != nil {
		return "", err
	}
	f, err := c.open(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, uint32(info.Mode().Perm()))
	if err != nil {
		return fmt.Sprintf("%q", p), err
	}
	_, err = f.Write(text)
	if err := closing(f, err); err != nil {
		return "", err
	}
	return fmt.Sprintf("%q from %q", p, from), os.Chtimes(c.at(p), info.ModTime(), info.ModTime())
}

func (c *Churn) renameFile(v *view) (string, error) {
	from := pick(c.rng, append(v.files, v.other...))
	if from == "" {
		return "", nil
	}
	to := c.place(v)
	if c.rng.IntN(2) == 0 {
		to = c.within(filepath.Dir(from))
	}
	return fmt.Sprintf("%q to %q", from, to), unix.Renameat2(unix.AT_FDCWD, c.at(from), unix.AT_FDCWD, c.at(to), unix.RENAME_NOREPLACE)
}

// fits reports whether the tree at from may be put at to without making it
// too deep, and to is not inside from.
func (c *Churn) fits(v *view, from, to string) bool {
	if to == from || strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/") {
		return false
	}
	for _, list := range [][]string{v.dirs, v.files, v.other} {
		for _, p := range list {
			below, ok := strings.CutPrefix(p, from+"/")
			if ok && (strings.Count(to+"/"+below, "/") > maxDepth || len(to)+len(below) > maxPath) {
				return false
			}
		}
	}
	return true
}

func (c *Churn) moveDir(v *view) (from, to string, err error) {
	if len(v.dirs) < 2 {
		return "", "", nil
	}
	from, to = pick(c.rng, v.dirs[1:]), c.place(v)
	if !c.fits(v, from, to) {
		return "", "", nil
	}
	return from, to, unix.Renameat2(unix.AT_FDCWD, c.at(from), unix.AT_FDCWD, c.at(to), unix.RENAME_NOREPLACE)
}

func (c *Churn) renameDir(v *view) (string, error) {
	from, to, err := c.moveDir(v)
	if from == "" {
		return "", err
	}
	return fmt.Sprintf("%q to %q", from, to), err
}

func (c *Churn) renameOver(v *view) (string, error) {
	from, to := pick(c.rng, v.files), pick(c.rng, v.files)
	if from == to {
		return "", nil
	}
	// A rename of one hard link over another of the same file does nothing.
	return fmt.Sprintf("%q to %q", from, to), os.Rename(c.at(from), c.at(to))
}

func (c *Churn) renameOverEmpty(v *view) (string, error) {
	if len(v.dirs) < 2 {
		return "", nil
	}
	from, to := pick(c.rng, v.dirs[1:]), c.place(v)
	if !c.fits(v, from, to) {
		return "", nil
	}
	if err := os.Mkdir(c.at(to), 0o700); err != nil {
		return "", err
	}
	return fmt.Sprintf("%q to %q", from, to), os.Rename(c.at(from), c.at(to))
}

func (c *Churn) renameAndRecreate(v *view) (string, error) {
	from := pick(c.rng, v.files)
	if from == "" {
		return "", nil
	}
	to := c.within(filepath.Dir(from))
	if err := unix.Renameat2(unix.AT_FDCWD, c.at(from), unix.AT_FDCWD, c.at(to), unix.RENAME_NOREPLACE); err != nil {
		return fmt.Sprintf("%q to %q", from, to), err
	}
	return fmt.Sprintf("%q to %q", from, to), c.write(from, c.content())
}

func (c *Churn) renameAndWrite(v *view) (string, error) {
	from, to, err := c.moveDir(v)
	if from == "" || err != nil {
		return from, err
	}
	p := filepath.Join(to, c.name())
	return fmt.Sprintf("%q to %q, wrote %q", from, to, p), c.write(p, c.content())
}

// circle gives three names each other's objects.
func (c *Churn) circle(v *view) (string, error) {
	a, b := v.anything(c.rng), v.anything(c.rng)
	if a == "" || !c.fits(v, a, b) || !c.fits(v, b, a) {
		return "", nil
	}
	aside := c.at(fmt.Sprintf("aside-%d", c.steps))
	for _, step := range [][2]string{{c.at(a), aside}, {c.at(b), c.at(a)}, {aside, c.at(b)}} {
		if err := os.Rename(step[0], step[1]); err != nil {
			return fmt.Sprintf("%q and %q", a, b), err
		}
	}
	return fmt.Sprintf("%q and %q", a, b), nil
}

func (c *Churn) exchange(v *view) (string, error) {
	a, b := v.anything(c.rng), v.anything(c.rng)
	if a == "" || !c.fits(v, a, b) || !c.fits(v, b, a) {
		return "", nil
	}
	return fmt.Sprintf("%q and %q", a, b),
		unix.Renameat2(unix.AT_FDCWD, c.at(a), unix.AT_FDCWD, c.at(b), unix.RENAME_EXCHANGE)
}

// changeType puts an object of another type at a name, in one go.
func (c *Churn) changeType(v *view) (string, error) {
	p := v.anything(c.rng)
	if p == "" {
		return "", nil
	}
	if err := os.RemoveAll(c.at(p)); err != nil {
		return "", err
	}
	switch c.rng.IntN(3) {
	case 0:
		return fmt.Sprintf("%q is a directory", p), os.MkdirAll(c.at(filepath.Join(p, "sub")), 0o755)
	case 1:
		return fmt.Sprintf("%q is a symlink", p), os.Symlink("elsewhere", c.at(p))
	}
	return fmt.Sprintf("%q is a file", p), c.write(p, c.content())
}
