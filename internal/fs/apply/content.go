package apply

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is what is read and written at a time, in bytes.
	bufferSize = 256 << 10

	// kernelFrom is the size from which the kernel copies: a clone or
	// copy_file_range first writes out what the source has in memory, which
	// for a small file just written takes longer than to copy it.
	kernelFrom = 1 << 20

	// rangeSize bounds one copy_file_range.
	rangeSize = 64 << 20

	// blockSize is the unit of st_blocks.
	blockSize = 512
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copier copies the content of one open file to another, which is empty.
type copier struct {
	r        *Root
	src, dst int
	n        int64 // bytes read and written, without holes
	cloned   bool  // the file system shares the content
	ranges   bool  // copy_file_range works
}

// run copies the first st.Size bytes. A source that turns out to be shorter is
// no error: the caller compares afterwards.
func (c *copier) run(st *unix.Stat_t) error {
	if st.Size >= kernelFrom && c.clone(st.Dev) {
		return nil
	}
	c.ranges = st.Size >= kernelFrom
	if st.Blocks*blockSize < st.Size {
		return c.sparse(st.Size)
	}
	return c.extent(0, st.Size)
}

// devices are those of a source and a target.
type devices struct{ src, dst uint64 }

// clone shares the content of the source with the target if the file system
// can do so.
func (c *copier) clone(src uint64) bool {
	pair := devices{src, c.r.Inode().Dev}
	if _, no := c.r.noClone.Load(pair); no {
		return false
	}
	switch unix.IoctlFileClone(c.dst, c.src) {
	case nil:
		c.cloned = true
		return true
	case syscall.EXDEV, syscall.EOPNOTSUPP, syscall.ENOTTY, syscall.ENOSYS:
		c.r.noClone.Store(pair, true)
	}
	return false
}

// sparse copies what lies between the holes.
func (c *copier) sparse(size int64) error {
	for pos := int64(0); pos < size; {
		data, err := unix.Seek(c.src, pos, unix.SEEK_DATA)
		if err == syscall.ENXIO { // a hole up to the end
			break
		}
		if err != nil {
			return c.extent(pos, size)
		}
		hole, err := unix.Seek(c.src, data, unix.SEEK_HOLE)
		if err != nil || hole <= data {
			return c.extent(data, size)
		}
		pos = min(hole, size)
		if data < pos {
			if err := c.extent(data, pos); err != nil {
				return err
			}
		}
	}
	return during("set the size", unix.Ftruncate(c.dst, size))
}

// extent copies [from, to), or less if the source ends before.
func (c *copier) extent(from, to int64) error {
	for c.ranges && from < to {
		roff, woff := from, from
		n, err := unix.CopyFileRange(c.src, &roff, c.dst, &woff, int(min(to-from, rangeSize)), 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 { // not possible here, or an error that reading or writing will show
			c.ranges = false
			break
		}
		from += int64(n)
		c.n += int64(n)
	}
	if from >= to {
		return nil
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for from < to {
		n, err := pread(c.src, buf[:min(to-from, bufferSize)], from)
		if err != nil {
			return &SourceError{err}
		}
		if n == 0 {
			return nil
		}
		if err := pwrite(c.dst, buf[:n], from); err != nil {
			return during("write", err)
		}
		from += int64(n)
		c.n += int64(n)
	}
	return nil
}

// equal reports whether two files of the given size have the same content. It
// stops at the first difference.
func equal(src int, target *os.File, size int64) (bool, error) {
	a, b := buffers.Get().(*[bufferSize]byte), buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(a)
	defer buffers.Put(b)
	for off := int64(0); off < size; {
		n, err := pread(src, a[:min(size-off, bufferSize)], off)
		if err != nil {
			return false, &SourceError{err}
		}
		// Where one of them ends early or the target can't be read they differ.
		m, _ := target.ReadAt(b[:n], off)
		if n == 0 || !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		off += int64(n)
	}
	return true, nil
}

func pread(fd int, p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, p, off)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func pwrite(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, off)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n == 0:
			return errors.New("nothing was written")
		default:
			p, off = p[n:], off+int64(n)
		}
	}
	return nil
}
