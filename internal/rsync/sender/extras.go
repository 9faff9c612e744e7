package sender

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
)

// sumBuffer is how many bytes are read at a time for a -c checksum.
const sumBuffer = 256 << 10

var sumBuffers = sync.Pool{New: func() any { b := make([]byte, sumBuffer); return &b }}

// complete prepares entries of the mirror that were not found by reading their
// directory: their order, and what the list carries of them beyond their
// metadata.
func (s *source) complete(l *dirListing) error {
	l.order(s.params.Protocol)
	opt := s.params.Opt
	if !opt.Links && !opt.ACLs && opt.Xattrs == 0 && !opt.Checksum {
		return nil
	}
	dir, err := l.where.dir(l.path)
	if err != nil {
		return err
	}
	defer dir.Close()
	s.addExtras(dir, l)
	return nil
}

// addExtras reads what the list carries of entries beyond their metadata.
func (s *source) addExtras(dir *walk.Dir, l *dirListing) {
	var gone []bool
	for i := range l.entries {
		if !s.hasExtra(l.entries[i].Meta.Kind) {
			continue
		}
		err := s.extraOf(dir, &l.entries[i], l.own(i))
		if err != nil {
			l.partial = l.partial || !errors.Is(err, fs.ErrNotExist)
			l.faults = append(l.faults, fault{l.path.Join(l.entries[i].Name), err})
			if gone == nil {
				gone = make([]bool, len(l.entries))
			}
			gone[i] = true
		}
	}
	l.remove(gone)
	if s.params.Opt.Checksum {
		s.addSums(dir, l)
	}
}

// remove drops the entries for which gone, if not nil, is true.
func (l *dirListing) remove(gone []bool) {
	if len(gone) == 0 {
		return
	}
	n := 0
	for i := range l.entries {
		if gone[i] {
			continue
		}
		l.entries[n] = l.entries[i]
		if l.extras != nil {
			l.extras[n] = l.extras[i]
		}
		n++
	}
	l.entries = l.entries[:n]
	if l.extras != nil {
		l.extras = l.extras[:n]
	}
}

// hasExtra reports whether the list carries anything but metadata of such an
// entry.
func (s *source) hasExtra(k tree.Kind) bool {
	opt := s.params.Opt
	return k != tree.Missing && (k == tree.Symlink && opt.Links || opt.ACLs || opt.Xattrs > 0 || opt.Atimes > 0 || opt.Crtimes)
}

// extraOf reads a symlink's target, ACLs, attributes and times.
func (s *source) extraOf(dir *walk.Dir, e *tree.Entry, x *extra) (err error) {
	opt := s.params.Opt
	if opt.Atimes > 0 || opt.Crtimes { // before a symlink is read
		if x.times, err = dir.Times(e.Name, x.followed); err != nil {
			return err
		}
	}
	if e.Meta.Kind == tree.Symlink && opt.Links {
		if x.target, err = s.target(dir, e.Name, x); err != nil {
			return err
		}
	}
	if !opt.ACLs && opt.Xattrs == 0 {
		return nil
	}
	attrs, err := s.attributes(dir, e.Name, x.followed)
	if err != nil {
		return err
	}
	return s.setAttributes(x, &e.Meta, attrs)
}

// attributes are those of an entry. Where a symlink is followed, ACLs are those of
// what it leads to, and others its own: so does rsync.
func (s *source) attributes(dir *walk.Dir, name string, followed bool) ([]walk.Xattr, error) {
	attrs, err := dir.Xattrs(name)
	if err != nil || !followed || !s.params.Opt.ACLs {
		return attrs, err
	}
	far, err := dir.XattrsFollowing(name)
	return append(slices.DeleteFunc(attrs, isACL), slices.DeleteFunc(far, func(a walk.Xattr) bool { return !isACL(a) })...), err
}

func isACL(a walk.Xattr) bool { return strings.HasPrefix(a.Name, "system.posix_acl_") }

// target is where a symlink leads. One that only pretends to be a symlink has
// its target for content.
func (s *source) target(dir *walk.Dir, name string, x *extra) (target string, err error) {
	if x.plain {
		f, err := dir.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, tree.MaxPath))
		return string(data), err
	}
	if target, err = dir.Readlink(name); err == nil && s.params.Opt.MungeLinks {
		target = unmunged(target)
	}
	return target, err
}

// missingIsNil drops errors about something that is not there.
func missingIsNil(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// setAttributes sorts attributes into ACLs and the rest, and refuses what the
// list cannot carry.
func (s *source) setAttributes(x *extra, meta *tree.Meta, attrs []walk.Xattr) error {
	opt := s.params.Opt
	for _, a := range attrs {
		switch {
		case opt.FakeSuper && (a.Name == walk.FakeAccess || a.Name == walk.FakeDefault):
			value, err := flist.FromFakeACL(a.Value, a.Name == walk.FakeAccess, meta.Perm)
			switch {
			case err != nil || !opt.ACLs:
			case a.Name == walk.FakeDefault:
				x.initial = value
			default:
				x.access = value
			}
		case a.Name == "system.posix_acl_access" && opt.ACLs && !opt.FakeSuper:
			x.access = a.Value
		case a.Name == "system.posix_acl_default" && opt.ACLs && !opt.FakeSuper:
			x.initial = a.Value
		case opt.Xattrs > 0:
			if name, ok := s.listed(a.Name); ok {
				x.xattrs = append(x.xattrs, flist.Xattr{Name: name, Value: a.Value})
			}
		}
	}
	return errors.Join(flist.CheckACL(x.access), flist.CheckACL(x.initial), flist.CheckXattrs(x.xattrs))
}

// listed is what an attribute is called in the list; ok is false if it does not
// travel (section 6.2).
func (s *source) listed(name string) (as string, ok bool) {
	opt := s.params.Opt
	own := strings.HasPrefix(name, walk.FakePrefix+"%")
	if opt.FakeSuper && !own {
		name = strings.TrimPrefix(name, walk.FakePrefix)
	}
	if s.job.Sources != nil {
		if excluded, decided := s.job.Sources.Rules.Xattr(filter.Sender, name); decided {
			return name, !excluded && (!own || opt.Xattrs > 1)
		}
	}
	if strings.HasPrefix(name, "system.") {
		return "", false
	}
	return name, !own || opt.Xattrs > 1
}

// addSums computes the -c checksums, of several files at a time.
func (s *source) addSums(dir *walk.Dir, l *dirListing) {
	var group sync.WaitGroup
	for i := range l.entries {
		if l.entries[i].Meta.Kind != tree.File {
			continue
		}
		x := l.own(i)
		s.sums <- struct{}{}
		group.Go(func() {
			defer func() { <-s.sums }()
			x.sum = s.sum(dir, l.entries[i].Name, x.followed)
		})
	}
	group.Wait()
}

// sum is the checksum of one file, nil if it cannot be read: the list then has
// zeros, and the file is asked for and found unreadable later.
func (s *source) sum(dir *walk.Dir, name string, followed bool) []byte {
	at, err := dir.Acquire()
	if err != nil {
		return nil
	}
	defer dir.Release()
	fd, _, err := s.openFile(dir, at, name, followed)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	buf := sumBuffers.Get().(*[]byte)
	defer sumBuffers.Put(buf)
	h := s.params.File.New(0)
	for {
		n, err := readFull(fd, *buf)
		h.Write((*buf)[:n])
		if s.job.OnHashed != nil {
			s.job.OnHashed(n)
		}
		switch {
		case err == io.ErrUnexpectedEOF:
			return h.Sum(nil)
		case err != nil || s.ctx.Err() != nil:
			return nil
		}
	}
}
