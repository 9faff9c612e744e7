package sender

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/output"
)

// maxMerge bounds a merge file, in bytes; the filter accepts no more.
const maxMerge = 1 << 20

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
			var data []byte
			err := s.asOperator(nil, func(as walk.Operator) (err error) {
				data, err = as.ReadFile(path, maxMerge)
				return err
			})
			return unreadable(s.tellRefusal(data, err))
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
	if s.held.place.Confined() {
		var data []byte
		err := o.use(func(r *walk.Root) (err error) {
			data, err = s.fileInModule(r, dir.Join(name))
			return err
		})
		return data, err
	}
	return s.tellRefusal(s.trustedFile(o, dir, name))
}

// trustedFile is a merge file as the operator names it: every symlink that leads
// there, be it above the tree, must be one that he could have made.
func (s *source) trustedFile(o *origin, dir tree.Path, name string) ([]byte, error) {
	if err := o.trusted(); err != nil {
		return nil, err
	}
	var data []byte
	err := o.use(func(r *walk.Root) error {
		return s.asOperator(r, func(as walk.Operator) (err error) {
			data, err = as.ReadFile(string(dir.Join(name)), maxMerge)
			return err
		})
	})
	return data, err
}

// refused is why symlinks keep the operator from a name relative to r: another
// user's, or those that lead to each other. Whether there is anything of that name
// makes no difference.
func (s *source) refused(r *walk.Root, name string) error {
	return s.asOperator(r, func(as walk.Operator) error {
		f, err := as.Open(name, unix.O_PATH, 0)
		if err == nil {
			_ = f.Close()
		}
		if !errors.Is(err, syscall.ELOOP) {
			return nil
		}
		return err
	})
}

func (s *source) operator() walk.Operator {
	return walk.Operator{Insecure: s.params.Opt.InsecureLinks, Confine: s.params.Opt.ConfineRoot}
}

// asOperator does f as whoever named the options; names are relative to r, or
// to the working directory if that is nil.
func (s *source) asOperator(r *walk.Root, f func(as walk.Operator) error) error {
	as := s.operator()
	if r != nil {
		base, err := r.File()
		if err != nil {
			return err
		}
		defer base.Close()
		as.Base = base
	}
	return f(as)
}

// tellRefusal says that a merge file was not opened because of a symlink; it is
// not there then.
func (s *source) tellRefusal(data []byte, err error) ([]byte, error) {
	if output.TellRefusal(s.params.Talk, err) {
		err = fs.ErrNotExist
	}
	return data, err
}

// fileInModule is a merge file below a directory of a module. Symlinks lead to it
// as to any that the operator names, as long as they stay in the module.
func (s *source) fileInModule(r *walk.Root, p tree.Path) ([]byte, error) {
	return s.tellRefusal(s.operator().ReadFileBelow(r, p, maxMerge))
}

// mergeFileOfModule is the content of a file by its path below the module.
func (s *source) mergeFileOfModule(name string) ([]byte, error) {
	at := tree.Path(path.Clean("/" + name)[1:])
	if g := s.guard(); g != nil && g.Hidden(at, false) {
		return nil, fs.ErrNotExist
	}
	root, err := s.held.place.Root("")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return s.fileInModule(root, at)
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
