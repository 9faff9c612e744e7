package sender

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
)

// sumBuffer is how many bytes are read at a time for a -c checksum.
const sumBuffer = 256 << 10

var sumBuffers = sync.Pool{New: func() any { b := make([]byte, sumBuffer); return &b }}

// complete prepares entries that were not found by reading their directory:
// their order, and what the list carries of them beyond their metadata.
func (s *source) complete(l *dirListing) error {
	l.order(s.params.Protocol)
	p := s.params
	if !p.Links && !p.ACLs && !p.Xattrs && !p.Checksum {
		return nil
	}
	dir, err := s.job.Root.Dir(s.full(l.path))
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
		x, err := s.extraOf(dir, &l.entries[i])
		if err != nil {
			l.partial = l.partial || !errors.Is(err, fs.ErrNotExist)
			l.faults = append(l.faults, fault{l.path.Join(l.entries[i].Name), err})
			if len(gone) == 0 {
				gone = make([]bool, len(l.entries))
			}
			gone[i] = true
		}
		if x != nil {
			if l.extras == nil {
				l.extras = make([]*extra, len(l.entries))
			}
			l.extras[i] = x
		}
	}
	l.remove(gone)
	if s.params.Checksum {
		s.addSums(dir, l)
	}
}

// remove drops the entries for which gone, if not empty, is true.
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

// extraOf reads a symlink's target, ACLs and attributes; nil if the list
// carries none of them for this entry.
func (s *source) extraOf(dir *walk.Dir, e *tree.Entry) (*extra, error) {
	link := e.Meta.Kind == tree.Symlink && s.params.Links
	if !e.Meta.Exists() || !link && !s.params.ACLs && !s.params.Xattrs {
		return nil, nil
	}
	var x extra
	var err error
	if link {
		if x.target, err = dir.Readlink(e.Name); err != nil {
			return nil, err
		}
	}
	if s.params.ACLs || s.params.Xattrs {
		attrs, err := dir.Xattrs(e.Name)
		if err != nil {
			return nil, err
		}
		if err := x.setAttributes(attrs, s.params); err != nil {
			return nil, err
		}
	}
	return &x, nil
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
func (x *extra) setAttributes(attrs []walk.Xattr, p *Params) error {
	for _, a := range attrs {
		switch {
		case a.Name == "system.posix_acl_access" && p.ACLs:
			x.access = a.Value
		case a.Name == "system.posix_acl_default" && p.ACLs:
			x.initial = a.Value
		case p.Xattrs && flist.Travels(a.Name):
			x.xattrs = append(x.xattrs, flist.Xattr{Name: a.Name, Value: a.Value})
		}
	}
	return errors.Join(flist.CheckACL(x.access), flist.CheckACL(x.initial), flist.CheckXattrs(x.xattrs))
}

// addSums computes the -c checksums, of several files at a time.
func (s *source) addSums(dir *walk.Dir, l *dirListing) {
	if l.extras == nil {
		l.extras = make([]*extra, len(l.entries))
	}
	var group sync.WaitGroup
	for i := range l.entries {
		if l.entries[i].Meta.Kind != tree.File {
			continue
		}
		if l.extras[i] == nil {
			l.extras[i] = new(extra)
		}
		s.sums <- struct{}{}
		group.Go(func() {
			defer func() { <-s.sums }()
			l.extras[i].sum = s.sum(dir, l.entries[i].Name)
		})
	}
	group.Wait()
}

// sum is the checksum of one file, nil if it cannot be read: the list then has
// zeros, and the file is asked for and found unreadable later.
func (s *source) sum(dir *walk.Dir, name string) []byte {
	f, err := dir.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	buf := sumBuffers.Get().(*[]byte)
	defer sumBuffers.Put(buf)
	h := s.params.File.New(0)
	for {
		n, err := f.Read(*buf)
		h.Write((*buf)[:n])
		switch {
		case err == io.EOF:
			return h.Sum(nil)
		case err != nil || s.ctx.Err() != nil:
			return nil
		}
	}
}
