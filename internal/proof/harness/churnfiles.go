package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// creating are the operations that make the tree larger.
var creating = []operation{
	{"create a file", 12, (*Churn).create},
	{"mkdir", 4, (*Churn).mkdir},
	{"mkdir -p with a file at once", 4, (*Churn).mkdirDeep},
	{"move a tree in", 3, (*Churn).moveTreeIn},
	{"move a file in", 3, (*Churn).moveFileIn},
	{"symlink", 3, (*Churn).symlink},
	{"hard link", 3, (*Churn).hardLink},
	{"special file", 1, (*Churn).special},
	{"copy with times", 2, (*Churn).copyWithTimes},
}

// changing are the operations that keep the number of names.
var changing = []operation{
	{"append", 8, (*Churn).appendTo},
	{"rewrite", 6, (*Churn).rewrite},
	{"rewrite at the same length", 8, (*Churn).rewriteSameLength},
	{"rewrite and restore the time", 2, (*Churn).rewriteStealthily},
	{"replace atomically", 8, (*Churn).replace},
	{"truncate", 2, (*Churn).truncate},
	{"truncate without opening", 1, (*Churn).truncateByName},
	{"punch a hole", 1, (*Churn).sparse},
	{"write through a mapping", 1, (*Churn).mapped},
	{"open and keep open", 2, (*Churn).hold},
	{"write to a held file", 3, (*Churn).writeHeld},
	{"close a held file", 3, (*Churn).closeHeld},
	{"write through a hard link", 4, (*Churn).writeLinked},
	{"chmod", 4, (*Churn).chmod},
	{"chown", 3, (*Churn).chown},
	{"touch", 4, (*Churn).touch},
	{"set an attribute", 3, (*Churn).setAttribute},
}

func (c *Churn) content() []byte {
	n := c.rng.IntN(3000)
	switch c.rng.IntN(12) {
	case 0:
		n = 0
	case 1:
		n = c.rng.IntN(200_000)
	}
	return Noise(c.rng, n)
}

func (c *Churn) create(v *view) (string, error) {
	p := c.place(v)
	f, err := c.open(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, uint32(0o600|c.rng.IntN(0o200)))
	if err != nil {
		return fmt.Sprintf("%q", p), err
	}
	for range 1 + c.rng.IntN(3) {
		if _, err = f.Write(c.content()); err != nil {
			break
		}
	}
	return fmt.Sprintf("%q", p), closing(f, err)
}

// closing closes f and reports err, or else what closing says.
func closing(f *os.File, err error) error {
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (c *Churn) onFile(v *view, flags int, change func(*os.File) error) (string, error) {
	p := pick(c.rng, v.files)
	if p == "" {
		return "", nil
	}
	f, err := c.open(p, flags, 0)
	if err != nil {
		return fmt.Sprintf("%q", p), err
	}
	return fmt.Sprintf("%q", p), closing(f, change(f))
}

func (c *Churn) appendTo(v *view) (string, error) {
	return c.onFile(v, os.O_WRONLY|os.O_APPEND, func(f *os.File) error {
		_, err := f.Write(Noise(c.rng, 1+c.rng.IntN(500)))
		return err
	})
}

func (c *Churn) rewrite(v *view) (string, error) {
	return c.onFile(v, os.O_WRONLY|os.O_TRUNC, func(f *os.File) error {
		_, err := f.Write(c.content())
		return err
	})
}

func (c *Churn) rewriteSameLength(v *view) (string, error) {
	return c.onFile(v, os.O_WRONLY, c.overwrite)
}

// overwrite changes some of the bytes and keeps the length.
func (c *Churn) overwrite(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	n := 1 + c.rng.IntN(int(min(info.Size(), 2000)))
	_, err = f.WriteAt(Noise(c.rng, n), c.rng.Int64N(info.Size()-int64(n)+1))
	return err
}

func (c *Churn) rewriteStealthily(v *view) (string, error) {
	if !c.Stealth {
		return "", nil
	}
	return c.onFile(v, os.O_WRONLY, func(f *os.File) error {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return err
		}
		if err := c.overwrite(f); err != nil {
			return err
		}
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, st.Mtim}
		return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), times, 0)
	})
}

func (c *Churn) replace(v *view) (string, error) {
	p := pick(c.rng, v.files)
	if p == "" {
		return "", nil
	}
	temp := filepath.Join(filepath.Dir(p), fmt.Sprintf("replace-%d.tmp", c.steps))
	if err := c.write(temp, c.content()); err != nil {
		return fmt.Sprintf("%q", p), err
	}
	return fmt.Sprintf("%q", p), os.Rename(c.at(temp), c.at(p))
}

func (c *Churn) truncate(v *view) (string, error) {
	return c.onFile(v, os.O_WRONLY, func(f *os.File) error { return f.Truncate(int64(c.rng.IntN(5000))) })
}

// truncateByName changes a file without any close that ends a write.
func (c *Churn) truncateByName(v *view) (string, error) {
	p := pick(c.rng, v.files)
	if p == "" {
		return "", nil
	}
	return fmt.Sprintf("%q", p), os.Truncate(c.at(p), int64(c.rng.IntN(5000)))
}

func (c *Churn) sparse(v *view) (string, error) {
	return c.onFile(v, os.O_RDWR, func(f *os.File) error {
		if err := f.Truncate(600_000); err != nil {
			return err
		}
		if _, err := f.WriteAt(Noise(c.rng, 5000), 300_000); err != nil {
			return err
		}
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 100_000, 150_000)
	})
}

func (c *Churn) mapped(v *view) (string, error) {
	return c.onFile(v, os.O_RDWR, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil || info.Size() == 0 {
			return err
		}
		mem, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		mem[c.rng.IntN(len(mem))] ^= 0x5a
		return unix.Munmap(mem)
	})
}

func (c *Churn) hold(v *view) (string, error) {
	if len(c.held) >= maxHeld {
		return "", nil
	}
	p := pick(c.rng, append(v.files, c.place(v)))
	f, err := c.open(p, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Sprintf("%q", p), err
	}
	c.held = append(c.held, f)
	_, err = f.Write(c.content())
	return fmt.Sprintf("%q", p), err
}

func (c *Churn) writeHeld(*view) (string, error) {
	if len(c.held) == 0 {
		return "", nil
	}
	f := c.held[c.rng.IntN(len(c.held))]
	_, err := f.Write(Noise(c.rng, 1+c.rng.IntN(3000)))
	return fmt.Sprintf("%q", f.Name()), err
}

func (c *Churn) closeHeld(*view) (string, error) {
	if len(c.held) == 0 {
		return "", nil
	}
	f := c.held[0]
	c.held = c.held[1:]
	return fmt.Sprintf("%q", f.Name()), f.Close()
}

func (c *Churn) writeLinked(v *view) (string, error) {
	for range 30 {
		p := pick(c.rng, v.files)
		var st unix.Stat_t
		if p == "" || unix.Lstat(c.at(p), &st) != nil || st.Nlink < 2 {
			continue
		}
		return c.onFile(&view{files: []string{p}}, os.O_WRONLY, c.overwrite)
	}
	return "", nil
}

func (c *Churn) chmod(v *view) (string, error) {
	p := pick(c.rng, append(v.files, v.dirs...))
	mode := uint32(0o700 | c.rng.IntN(0o100))
	if c.rng.IntN(6) == 0 {
		mode |= []uint32{0o1000, 0o2000, 0o4000}[c.rng.IntN(3)]
	}
	return fmt.Sprintf("%q %o", p, mode), unix.Chmod(c.at(p), mode)
}

func (c *Churn) chown(v *view) (string, error) {
	p := v.anything(c.rng)
	if p == "" || !c.Owners {
		return "", nil
	}
	uid, gid := c.rng.IntN(5), c.rng.IntN(5)
	return fmt.Sprintf("%q %d:%d", p, uid, gid), os.Lchown(c.at(p), uid, gid)
}

func (c *Churn) touch(v *view) (string, error) {
	p := v.anything(c.rng)
	if p == "" {
		return "", nil
	}
	at := time.Date(2000+c.rng.IntN(35), 1, 1+c.rng.IntN(28), 0, 0, c.rng.IntN(60), c.rng.IntN(1e9), time.UTC)
	spec, err := unix.TimeToTimespec(at)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%q %v", p, at),
		unix.UtimesNanoAt(unix.AT_FDCWD, c.at(p), []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c *Churn) setAttribute(v *view) (string, error) {
	p := pick(c.rng, append(v.files, v.dirs...))
	if !c.Xattrs {
		return "", nil
	}
	name := fmt.Sprintf("user.a%d", c.rng.IntN(3))
	if c.rng.IntN(4) == 0 {
		err := unix.Lremovexattr(c.at(p), name)
		if err == unix.ENODATA {
			err = nil
		}
		return fmt.Sprintf("%q -%s", p, name), err
	}
	return fmt.Sprintf("%q %s", p, name), unix.Lsetxattr(c.at(p), name, Noise(c.rng, c.rng.IntN(100)), 0)
}
