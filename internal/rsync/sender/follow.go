package sender

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
)

// errNoReferent is why a symlink that is to be followed is not sent.
var errNoReferent = errors.New("symlink has no referent")

// follows reports whether any symlink may have to be followed.
func (s *source) follows() bool {
	opt := s.params.Opt
	return opt.CopyLinks || opt.CopyDirlinks || opt.CopyUnsafeLinks
}

// follow puts what symlinks lead to in their place, where that is asked for
// (-L, -k, --copy-unsafe-links).
func (s *source) follow(dir *walk.Dir, l *dirListing) {
	if !s.follows() {
		return
	}
	var gone []bool
	for i := range l.entries {
		e := &l.entries[i]
		if e.Meta.Kind != tree.Symlink {
			continue
		}
		meta, note, err := s.referent(dir, l.path.Join(e.Name), e.Name)
		if err == nil && meta.Exists() {
			e.Meta = meta
			l.own(i).followed = true
		}
		if note != "" && !s.hides(l, e) {
			l.notes = append(l.notes, note)
		}
		if err != nil {
			l.faults = append(l.faults, fault{l.path.Join(e.Name), err})
			if gone == nil {
				gone = make([]bool, len(l.entries))
			}
			gone[i] = true
		}
	}
	l.remove(gone)
}

// hides reports whether the filter leaves an entry out.
func (s *source) hides(l *dirListing, e *tree.Entry) bool {
	o := l.where.origin
	return o.scope != nil && o.scope.Child(o.below(l.path))(e.Name, e.Meta.IsDir())
}

// referent is what the symlink at path, called name in dir, is to be listed as;
// the zero Meta if it stays a symlink.
func (s *source) referent(dir *walk.Dir, path tree.Path, name string) (meta tree.Meta, note string, err error) {
	opt := s.params.Opt
	wanted := opt.CopyLinks
	if opt.CopyUnsafeLinks && !wanted {
		target, err := dir.Readlink(name)
		if err != nil {
			return meta, "", err
		}
		if opt.MungeLinks {
			target = unmunged(target)
		}
		if wanted = unsafeLink(target, path); wanted && opt.Info[option.InfoSymsafe] > 0 {
			note = fmt.Sprintf("copying unsafe symlink \"%s\" -> \"%s\"", string(path), target)
		}
	}
	if !wanted && !opt.CopyDirlinks {
		return meta, "", nil
	}
	meta, err = dir.StatFollowing(name)
	switch {
	case err == nil && (wanted || meta.IsDir()):
		return meta, note, nil
	case err == nil || !wanted:
		return tree.Meta{}, "", nil
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%w: %w", errNoReferent, err)
	case errors.Is(err, syscall.ENOTDIR):
		err = syscall.ENOTDIR // the symlink is wrong, it has not vanished
	}
	return tree.Meta{}, note, err
}

// disguise makes of entries what they are to be listed as.
func (s *source) disguise(dir *walk.Dir, l *dirListing) {
	opt := s.params.Opt
	var gone []bool
	for i := range l.entries {
		e := &l.entries[i]
		if opt.FakeSuper {
			s.unfake(dir, l, i)
		}
		if opt.OneFileSystem > 0 && e.Meta.IsDir() && e.Meta.Dev != l.where.device {
			if opt.OneFileSystem == 1 {
				l.own(i).mount = true
				continue
			}
			if gone == nil {
				gone = make([]bool, len(l.entries))
			}
			gone[i] = true
			if opt.Info[option.InfoMount] > 0 {
				l.notes = append(l.notes, "[sender] skipping mount-point dir "+string(l.path.Join(e.Name)))
			}
		}
		s.alter(dir, e)
	}
	l.remove(gone)
}

// alter applies --chmod and --copy-devices. What a device holds may be new at any
// time, and so is its time.
func (s *source) alter(dir *walk.Dir, e *tree.Entry) {
	if s.params.Opt.CopyDevices && e.Meta.Kind.IsDevice() {
		e.Meta.Kind, e.Meta.Size = tree.File, deviceSize(dir, e.Name)
		e.Meta.Major, e.Meta.Minor = 0, 0
		e.Meta.Mtime.Sec = time.Now().Unix()
	}
	if s.params.Chmod != nil && e.Meta.Kind != tree.Symlink && e.Meta.Exists() {
		e.Meta.Perm = uint16(s.params.Chmod.Apply(e.Meta.Mode()) & tree.PermMask)
	}
}

// deviceSize is how much a device holds, 0 if that cannot be known.
func deviceSize(dir *walk.Dir, name string) int64 {
	at, err := dir.Acquire()
	if err != nil {
		return 0
	}
	defer dir.Release()
	fd, err := openAt(at, name, openFlags)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	size, err := unix.Seek(fd, 0, unix.SEEK_END)
	if err != nil {
		return 0
	}
	return size
}

// unfake gives entry i the owner, mode and device number that a receiver without
// privileges put into an attribute (--fake-super).
func (s *source) unfake(dir *walk.Dir, l *dirListing, i int) {
	e := &l.entries[i]
	attrs, err := dir.Xattrs(e.Name)
	if err != nil {
		return // it is asked for again, and reported, if attributes are listed
	}
	if meta, ok := unfaked(e.Meta, attrs); ok {
		l.own(i).plain = e.Meta.Kind == tree.File
		e.Meta = meta
	}
}

// unfaked is what m pretends to be, if its attributes say so.
func unfaked(m tree.Meta, attrs []walk.Xattr) (tree.Meta, bool) {
	for _, a := range attrs {
		if a.Name == walk.FakeStat {
			fake, err := walk.ParseFake(a.Value)
			return fake.Overlay(m), err == nil
		}
	}
	return m, false
}
