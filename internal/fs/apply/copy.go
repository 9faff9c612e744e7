package apply

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// Copy says how CopyFile works.
type Copy struct {
	Xattrs []walk.Xattr // all that the file is to have, for Options.Xattrs and ACLs

	// Compare leaves a file whose content is the same already in place, and
	// sets its attributes only.
	Compare bool

	// Torn puts a file in place although its source was written meanwhile, so
	// that it may be a mixture: Copied.Changed says so. Otherwise that is
	// ErrSourceChanged, and the old file stays.
	Torn bool
}

// Copied says what CopyFile did.
type Copied struct {
	Bytes   int64 // read and written; holes, clones and equal content do not count
	Cloned  bool  // the file system shares the content with the source
	Same    bool  // the content was equal: nothing was written
	Changed bool  // the source changed meanwhile: p must be looked at again
}

// CopyFile makes p a file with the content of src and the attributes of meta.
// What stands at p is replaced in one step, unless it is a directory: ErrIsDir.
// Holes stay holes. src is read from its start, whatever its offset, and may
// be in use elsewhere, but holes are looked for with its offset.
//
// The content is as long as src was when CopyFile looked first. If its size,
// mtime or ctime differ at the end, it counts as changed.
func (r *Root) CopyFile(p tree.Path, src *os.File, meta tree.Meta, how Copy) (Copied, error) {
	conn, err := src.SyscallConn()
	if err != nil {
		return Copied{}, &Error{Op: "copy", Path: p, Err: &SourceError{err}}
	}
	var done Copied
	err = r.below("copy", p, func(at Place) (err error) {
		held := conn.Control(func(fd uintptr) {
			done, err = r.copyFile(at, int(fd), attrs{meta: meta, xattrs: how.Xattrs}, how)
		})
		if held != nil {
			return &SourceError{held}
		}
		return err
	})
	return done, err
}

func (r *Root) copyFile(at Place, src int, want attrs, how Copy) (done Copied, err error) {
	var before unix.Stat_t
	if err := unix.Fstat(src, &before); err != nil {
		return done, &SourceError{err}
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return done, &SourceError{walk.ErrNotRegular}
	}
	have, err := at.Object().Stat()
	if err != nil && err != syscall.ENOENT {
		return done, during("lstat", err)
	}
	if have.IsDir() {
		return done, ErrIsDir
	}
	if how.Compare && have.Kind == tree.File && have.Size == before.Size {
		done.Same, err = r.same(at, src, have.Size)
		if err != nil {
			return done, err
		}
	}
	if done.Same {
		if done.Changed, err = settled(src, &before, how); err != nil {
			return done, err
		}
		return done, r.setAttrs(at.Object(), have, want)
	}
	want.meta.Size = before.Size
	s, err := r.newStage(at, have, want.meta)
	if err != nil {
		return done, err
	}
	c := copier{r: r, src: src, dst: s.fd}
	if err = c.run(&before); err == nil {
		done.Changed, err = settled(src, &before, how)
	}
	if err != nil {
		s.Discard()
		return done, err
	}
	done.Bytes, done.Cloned = c.n, c.cloned
	return done, s.finish(want)
}

// same compares the file at Place at with the source. A target that can't be
// read is not the same.
func (r *Root) same(at Place, src int, size int64) (bool, error) {
	target, err := at.dir.Open(at.name)
	if err != nil {
		return false, nil
	}
	defer target.Close()
	return equal(src, target, size)
}

// settled finds out whether the source changed since it was as before.
func settled(src int, before *unix.Stat_t, how Copy) (changed bool, err error) {
	var after unix.Stat_t
	if err := unix.Fstat(src, &after); err != nil {
		return false, &SourceError{err}
	}
	changed = after.Size != before.Size || after.Mtim != before.Mtim || after.Ctim != before.Ctim
	if changed && !how.Torn {
		return true, &SourceError{ErrSourceChanged}
	}
	return changed, nil
}
