package daemon

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// jail is the directory that files of the configuration are looked for in, as if
// it were the root (daemon chroot); "" is the root. The daemon itself stays
// outside: it could not start processes otherwise.
type jail string

// open opens a file; no symlink leads out of the jail.
func (j jail) open(name string, flags int, perm os.FileMode) (*os.File, error) {
	if j == "" {
		return os.OpenFile(name, flags, perm)
	}
	root, err := unix.Open(string(j), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: string(j), Err: err}
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT}
	if flags&os.O_CREATE != 0 {
		how.Mode = uint64(perm)
	}
	fd, err := unix.Openat2(root, name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readFile reads a file of at most limit bytes.
func (j jail) readFile(name string, limit int64) ([]byte, error) {
	f, err := j.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%q has more than %d bytes", name, limit)
	}
	return data, err
}
