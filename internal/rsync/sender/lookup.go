package sender

import (
	"errors"
	"strings"
	"syscall"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/wire"
)

// tidy is a path without empty components and dots.
func tidy(p string) string {
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

// look looks at what an argument names.
func (l *lister) look(a *argument, w where) (found, error) {
	f := found{path: a.name, where: w}
	if a.name == "/" {
		f.path = "/."
	}
	if p := w.origin.below(f.path); p == tree.Root {
		meta, x, err := l.src.directory(f.path, &f.where)
		f.entry, f.extra = tree.Entry{Meta: meta}, x
		return f, err
	}
	dir, err := l.parentDir(f.path, &f.where)
	if err != nil {
		return f, err
	}
	var note string
	f.entry, f.extra, note, err = l.src.lookUp(dir, f.path, a.slash)
	if note != "" {
		l.voice.say(wire.CodeInfo, "%s", note)
	}
	if err != nil {
		return f, err
	}
	if f.extra.followed && f.entry.Meta.IsDir() {
		f.where.through = true
	}
	if g := l.src.guard(); g != nil && g.Hidden(w.origin.below(f.path).Under(w.origin.guard), f.entry.Meta.IsDir()) {
		return f, syscall.ENOENT
	}
	return f, nil
}

// parentDir is the directory that a path of the list lies in; where it leads
// through symlinks, w says so afterwards. It is held until the next one.
func (l *lister) parentDir(p tree.Path, w *where) (*walk.Dir, error) {
	at := p.Parent()
	if l.held != nil && l.heldIn.origin == w.origin && l.held.Path() == w.origin.below(at) {
		w.through = l.heldIn.through
		return l.held, nil
	}
	l.drop()
	dir, err := w.dir(at)
	if err != nil && !w.through {
		through := *w
		through.through = true
		if dir, err = through.dir(at); err == nil {
			*w = through
		}
	}
	if err != nil {
		return nil, err
	}
	l.held, l.heldIn = dir, *w
	return dir, nil
}

// lookUp is the entry of one path that lies in dir, with what the list carries
// of it. slash says that a symlink to a directory stands for that.
func (s *source) lookUp(dir *walk.Dir, p tree.Path, slash bool) (e tree.Entry, x *extra, note string, err error) {
	e.Name = p.Base()
	if e.Meta, err = dir.Lstat(e.Name); err != nil {
		return e, nil, "", err
	}
	var target tree.Meta
	if e.Meta.Kind == tree.Symlink {
		target, note, err = s.referent(dir, p, e.Name)
		switch {
		case err != nil && s.params.Opt.CopyLinks: // it is as if it were not there
			return e, nil, "", unwrapped(err)
		case err != nil:
			return e, nil, note, err
		case slash && !target.Exists():
			if m, err := dir.StatFollowing(e.Name); err == nil && m.IsDir() {
				target = m
			}
		}
		if target.Exists() {
			e.Meta = target
		}
	}
	l := dirListing{path: p.Parent(), entries: []tree.Entry{e}, where: where{device: e.Meta.Dev}}
	l.own(0).followed = target.Exists()
	s.disguise(dir, &l)
	s.addExtras(dir, &l)
	if len(l.faults) > 0 {
		return e, nil, "", l.faults[0].err
	}
	return l.entries[0], l.extras[0], note, nil
}

// unwrapped is the system error in err, if there is one.
func unwrapped(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// directory is the metadata of a directory that a path of the list leads to,
// through symlinks if need be, which w says afterwards.
func (s *source) directory(p tree.Path, w *where) (tree.Meta, *extra, error) {
	dir, err := w.dir(p)
	if err != nil && !w.through {
		through := *w
		through.through = true
		if dir, err = through.dir(p); err == nil {
			*w = through
		}
	}
	if err != nil {
		return tree.Meta{}, nil, err
	}
	defer dir.Close()
	return s.itself(dir)
}

// itself is the metadata of an open directory.
func (s *source) itself(dir *walk.Dir) (tree.Meta, *extra, error) {
	fd, err := dir.Acquire()
	if err != nil {
		return tree.Meta{}, nil, err
	}
	defer dir.Release()
	meta, times, err := walk.StatTimesAt(fd, "")
	if err != nil {
		return meta, nil, err
	}
	x := &extra{times: times}
	e := tree.Entry{Meta: meta}
	opt := s.params.Opt
	if opt.ACLs || opt.Xattrs > 0 || opt.FakeSuper {
		attrs, err := walk.XattrsAt(fd, ".")
		if err != nil {
			return meta, x, err
		}
		if opt.FakeSuper {
			e.Meta, _ = unfaked(e.Meta, attrs)
		}
		if opt.ACLs || opt.Xattrs > 0 {
			if err := s.setAttributes(x, &e.Meta, attrs); err != nil {
				return meta, x, err
			}
		}
	}
	s.alter(dir, &e)
	return e.Meta, x, nil
}
