package walk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// ReadFile is the content of regular file p, which may have at most limit
// bytes.
func ReadFile(r *Root, p tree.Path, limit int64) ([]byte, error) {
	f, err := r.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readUpTo(f, limit)
	if err != nil {
		return nil, fail("read", p, err)
	}
	return data, nil
}

func readUpTo(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return data, err
}

// ReadFile is the content of the regular file called name, which may have at most
// limit bytes. Anything else counts as fs.ErrNotExist, but for what is refused.
func (o Operator) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := o.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	switch {
	case errors.As(err, new(UntrustedLink)):
		return nil, err
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case err != nil:
		return nil, err
	}
	return ReadRegular(f, limit)
}

// ReadRegular is the content of an open file, which is closed. It may have at most
// limit bytes; what is no regular file counts as fs.ErrNotExist.
func ReadRegular(f *os.File, limit int64) ([]byte, error) {
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fs.ErrNotExist
	}
	return readUpTo(f, limit)
}

// ReadFileBelow is ReadFile for a path below r. Where no symlink leads there it
// counts as within o.Confine.
func (o Operator) ReadFileBelow(r *Root, p tree.Path, limit int64) ([]byte, error) {
	data, err := ReadFile(r, p, limit)
	if !errors.Is(err, ErrNotRegular) && !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOTDIR) {
		return data, err
	}
	if o.Base, err = r.File(); err != nil {
		return nil, err
	}
	defer o.Base.Close()
	data, err = o.ReadFile(string(p), limit)
	if errors.Is(err, syscall.EXDEV) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return data, err
}
