package sender

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// maxMerge is how much of a merge file is read, in bytes: more than the filter
// accepts.
const maxMerge = 1<<20 + 1

// scopeOf applies the rules to the tree of an origin.
func (s *source) scopeOf(o *origin) *filter.Scope {
	return s.job.Sources.Rules.ScopeAt(filter.Place{
		Root: o.label,
		Read: func(dir tree.Path, name string) ([]byte, error) {
			return unreadable(s.mergeFile(o, dir, name))
		},
		ReadAbove: func(path string) ([]byte, error) {
			if s.held.place.Confined() {
				return unreadable(s.mergeFileOfModule(path))
			}
			return unreadable(s.operatorFile(nil, path))
		},
		Unlisted:       !o.listed,
		DeleteExcluded: s.params.Opt.DeleteExcluded,
	})
}

// mergeFile is the content of a per-directory file of an origin's tree. One that
// the module's own list hides does not exist.
func (s *source) mergeFile(o *origin, dir tree.Path, name string) ([]byte, error) {
	if g := s.guard(); g != nil && g.Hidden(dir.Under(o.base).Under(o.guard).Join(name), false) {
		return nil, fs.ErrNotExist
	}
	var d *walk.Dir
	err := o.use(func(r *walk.Root) (err error) {
		if d, err = r.Dir(dir); err != nil {
			d, err = r.DirFollowing(dir)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if s.held.place.Confined() {
		fd, err := d.OpenFollowing(name)
		if err != nil {
			return nil, notThere(err)
		}
		return content(os.NewFile(uintptr(fd), name))
	}
	f, err := d.Open(name)
	if errors.Is(err, walk.ErrNotRegular) {
		return s.trusted(d, name)
	}
	if err != nil {
		return nil, err
	}
	return content(f)
}

// trusted opens a merge file that is a symlink.
func (s *source) trusted(d *walk.Dir, name string) ([]byte, error) {
	fd, err := d.Acquire()
	if err != nil {
		return nil, err
	}
	defer d.Release()
	base, err := unix.Dup(fd)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(base), name)
	defer dir.Close()
	return s.operatorFile(dir, name)
}

// operatorFile is the content of a file that the operator named.
func (s *source) operatorFile(base *os.File, name string) ([]byte, error) {
	opt := s.params.Opt
	o := walk.Operator{Base: base, Insecure: opt.InsecureLinks, Confine: opt.ConfineRoot}
	f, err := o.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return content(f)
}

// mergeFileOfModule is the content of a file by its path below the module.
func (s *source) mergeFileOfModule(name string) ([]byte, error) {
	name = path.Clean("/" + name)
	if g := s.guard(); g != nil && g.Hidden(tree.Path(name[1:]), false) {
		return nil, fs.ErrNotExist
	}
	dir, base := path.Split(name)
	root, err := s.held.place.Root(strings.Trim(dir, "/"))
	if err != nil {
		return nil, notThere(err)
	}
	defer root.Close()
	d, err := root.Dir(tree.Root)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	fd, err := d.OpenFollowing(base)
	if err != nil {
		return nil, notThere(err)
	}
	return content(os.NewFile(uintptr(fd), base))
}

// mergeError is an error in a merge file of an origin's tree as rsync says it.
func mergeError(o *origin, err error) error {
	var e *filter.Error
	if !errors.As(err, &e) {
		return &Error{Code: exitSyntax, Text: err.Error()}
	}
	file := e.Origin.File
	if !strings.HasPrefix(file, "/") {
		file = joined(o.label, file)
	}
	rule := fmt.Sprintf("<rule from %s line %d>", file, e.Origin.Line)
	switch {
	case e.Err != nil:
		return &Error{Code: exitFileIO, Text: "failed to open exclude file " + rule}
	case e.Reason == filter.ReasonUnknown:
		return &Error{Code: exitSyntax, Text: "Unknown filter rule: " + rule}
	case e.Reason == filter.ReasonShort:
		return &Error{Code: exitSyntax, Text: "unexpected end of filter rule: " + rule}
	case e.Reason == filter.ReasonTrailing:
		return &Error{Code: exitSyntax, Text: "'!' rule has trailing characters: " + rule}
	case e.Reason == filter.ReasonSided:
		return &Error{Code: exitSyntax, Text: "specified-side merge file contains specified-side filter: " + rule}
	}
	return &Error{Code: exitSyntax, Text: "invalid modifier in filter rule: " + rule}
}

// unreadable makes of a merge file that may not be read one that is not there.
func unreadable(data []byte, err error) ([]byte, error) {
	if errors.Is(err, fs.ErrPermission) {
		err = fs.ErrNotExist
	}
	return data, err
}

// notThere makes of what leads out of a module something that does not exist.
func notThere(err error) error {
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// content reads a merge file and closes it.
func content(f *os.File) ([]byte, error) {
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return io.ReadAll(io.LimitReader(f, maxMerge))
}
