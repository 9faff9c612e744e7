package target

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"sync"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
)

// items brings a batch's items in step: directories first, in order; then
// everything else, several at a time; what is gone last.
func (w *work) items(its []change.Item) {
	var files, gone []change.Item
	var metas []tree.Meta
	w.written(its)
	for _, it := range its {
		if w.ctx.Err() != nil {
			return
		}
		meta, err := w.src.Lstat(it.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && w.opts.MaxDelete.On() && it.Uncounted():
			w.failed(it.Path, ErrChanged)
			continue
		case errors.Is(err, fs.ErrNotExist):
			gone = append(gone, it)
			continue
		case err != nil:
			w.failed(it.Path, err)
			continue
		}
		w.touched(it.Path.Parent())
		if meta.IsDir() {
			w.failed(it.Path, w.directory(it, meta))
			continue
		}
		files, metas = append(files, it), append(metas, meta)
	}
	w.each(len(files), func(i int) {
		it := files[i]
		w.failed(it.Path, w.place(it.Path, metas[i], it.Class >= change.Content, it.AsIs))
	})
	for _, it := range slices.Backward(gone) {
		w.failed(it.Path, w.remove(it.Path))
	}
}

// written notes the hard-linked files whose content is to be compared: another
// of their names may be met first, in a directory that is compared without.
func (w *work) written(its []change.Item) {
	if !w.opts.HardLinks {
		return
	}
	for _, it := range its {
		if it.Class != change.Content {
			continue
		}
		if meta, err := w.src.Lstat(it.Path); err == nil && meta.Linked() {
			w.content[meta.Inode()] = true
		}
	}
}

// each calls f for 0 to n-1 from several goroutines.
func (w *work) each(n int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, workers()) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		if w.ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
}

// workers is how many files are copied at a time: somewhat more than there are
// processors, since each waits for the disk now and then.
func workers() int { return min(2*runtime.GOMAXPROCS(0), 8) }

// directory brings one directory in step, and what is below it if asked.
func (w *work) directory(it change.Item, meta tree.Meta) error {
	if !it.Path.IsRoot() {
		if err := w.mkdir(it.Path, meta); err != nil {
			return err
		}
	}
	w.touched(it.Path)
	if it.Gone {
		it.Class = change.Tree
	}
	switch it.Class {
	case change.Tree:
		return w.tree(it.Path, false)
	case change.Children:
		entries, err := w.src.ReadDir(it.Path)
		w.listing(it.Path, entries, err, false)
	}
	return nil
}

func (w *work) mkdir(p tree.Path, meta tree.Meta) error {
	attrs, err := w.xattrs(p)
	if err != nil {
		return err
	}
	return w.retry(p, func() error {
		_, err := w.dst.Mkdir(p, meta, attrs)
		return err
	})
}

// retry calls f, and again after making room for p: its parents are made if
// they are missing, and a directory in its way is removed.
func (w *work) retry(p tree.Path, f func() error) error {
	err := f()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := w.parents(p); err != nil {
			return err
		}
	case errors.Is(err, apply.ErrIsDir):
		if !w.opts.Delete {
			return err
		}
		if err := w.remove(p); err != nil {
			return err
		}
	default:
		return err
	}
	return f()
}

// place brings one object that is no directory in step.
func (w *work) place(p tree.Path, meta tree.Meta, content, asIs bool) error {
	if w.opts.HardLinks && meta.Linked() {
		return w.linked(p, meta, content, asIs)
	}
	return w.put(p, meta, content, asIs)
}

// linked makes all names of one file that this work meets names of one file at
// the target.
func (w *work) linked(p tree.Path, meta tree.Meta, content, asIs bool) error {
	w.mu.Lock()
	first := w.links[meta.Inode()]
	if first == nil {
		first = &leader{path: p, ready: make(chan struct{})}
		w.links[meta.Inode()] = first
		w.mu.Unlock()
		err := w.put(p, meta, content || w.content[meta.Inode()], asIs)
		first.ok = err == nil
		close(first.ready)
		return err
	}
	w.mu.Unlock()
	<-first.ready
	if !first.ok {
		return w.put(p, meta, content, asIs)
	}
	have, err := w.dst.Reader().Lstat(first.path)
	if err != nil {
		return err
	}
	if now, err := w.dst.Reader().Lstat(p); err == nil && now.Inode() == have.Inode() {
		return nil
	}
	if w.dry {
		return nil
	}
	return w.retry(p, func() error { return w.dst.Link(first.path, p) })
}

// put brings p in step without regard to other names.
func (w *work) put(p tree.Path, meta tree.Meta, content, asIs bool) error {
	attrs, err := w.xattrs(p)
	if err != nil {
		return w.gone(err)
	}
	switch meta.Kind {
	case tree.File:
		return w.file(p, meta, attrs, content, asIs)
	case tree.Symlink:
		to, err := w.src.Readlink(p)
		if err != nil {
			return w.gone(err)
		}
		return w.unlessDry(func() error {
			return w.retry(p, func() error { return w.dst.Symlink(p, to, meta, attrs) })
		})
	default:
		return w.unlessDry(func() error {
			return w.retry(p, func() error { return w.dst.Mknod(p, meta, attrs) })
		})
	}
}

func (w *work) unlessDry(f func() error) error {
	if w.dry {
		return nil
	}
	return f()
}

// gone turns a source that vanished while it was read into ErrChanged.
func (w *work) gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, walk.ErrNotRegular) {
		return ErrChanged
	}
	return err
}

// file brings a regular file in step: its content if that may differ, and its
// attributes.
func (w *work) file(p tree.Path, meta tree.Meta, attrs []walk.Xattr, content, asIs bool) error {
	have, err := w.dst.Reader().Lstat(p)
	exists := err == nil && have.Kind == tree.File
	// A file that is no longer linked must not stay linked at the target, even
	// if it looks the same.
	parted := w.opts.HardLinks && exists && have.Linked() && !meta.Linked()
	alike := exists && !parted && have.Size == meta.Size && have.Mtime == meta.Mtime
	if alike && !content && !w.opts.Checksum {
		return w.unlessDry(func() error { return w.dst.SetMeta(p, meta, attrs) })
	}
	if w.dry {
		if w.opts.Checksum && exists && !parted && have.Size == meta.Size && w.equal(p) {
			return nil
		}
		w.opts.plan(false, p)
		w.count(meta.Size)
		return nil
	}
	f, err := w.src.Open(p)
	if err != nil {
		return w.gone(err)
	}
	defer f.Close()
	// The metadata must not be older than the content.
	if meta, err = walk.StatFile(f); err != nil {
		return err
	}
	if w.writing.has(p, meta.Inode()) {
		return ErrWriting
	}
	var done apply.Copied
	err = w.retry(p, func() (err error) {
		done, err = w.dst.CopyFile(p, f, meta, apply.Copy{Xattrs: attrs, Compare: exists && !parted, Torn: asIs || !w.opts.Hold})
		return err
	})
	if err != nil {
		return err
	}
	if !done.Same {
		w.count(meta.Size)
	}
	if done.Changed && !asIs && w.opts.Hold {
		return ErrChanged
	}
	return nil
}

// count notes a file whose content was copied.
func (w *work) count(size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.Files++
	w.report.Bytes += size
	if w.report.Files%64 == 0 {
		w.tell()
	}
}

// tell says how far a full pass has come; mu is held.
func (w *work) tell() {
	if w.progress != nil {
		w.progress(Progress{Files: int64(w.report.Files), Bytes: w.report.Bytes, Checked: int64(w.report.Entries)})
	}
}

// remove removes p and what is below it, but for what the rules protect.
func (w *work) remove(p tree.Path) error {
	if !w.opts.Delete {
		return nil
	}
	w.touched(p.Parent())
	n, err := 0, error(nil)
	if w.opts.Backups.on() {
		n, err = w.shelve(p)
	} else {
		n, err = w.dst.RemoveAll(p, w.scope.Pinned)
	}
	w.mu.Lock()
	w.report.Deleted += n
	w.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, apply.ErrNotEmpty) && w.protects(p) {
		return nil // as rsync: what is excluded keeps its directory
	}
	return err
}

// protects reports whether something below p at the target is excluded.
func (w *work) protects(dir tree.Path) bool {
	entries, err := w.dst.Reader().ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e tree.Entry) bool {
		p := dir.Join(e.Name)
		return w.scope.Pinned(p, e.Meta.IsDir()) || e.Meta.IsDir() && w.protects(p)
	})
}

// tree compares everything at and below dir, which is a directory at both
// ends. content compares files by content.
func (w *work) tree(dir tree.Path, content bool) error {
	return w.src.Walk(w.ctx, dir, walk.Visitor{
		Enter: func(sub tree.Path) bool { return !w.scope.Hidden(sub, true) },
		Dir: func(sub tree.Path, meta tree.Meta, entries []tree.Entry, err error) {
			w.listing(sub, entries, err, content)
		},
	})
}

// listing brings one directory of a tree in step.
func (w *work) listing(dir tree.Path, entries []tree.Entry, err error, content bool) {
	var partial *walk.PartialError
	unreadable := map[string]bool{}
	switch {
	case errors.As(err, &partial):
		for _, e := range partial.Entries {
			unreadable[e.Path.Base()] = true
			w.failed(e.Path, e)
		}
	case errors.Is(err, fs.ErrNotExist):
		w.failed(dir, ErrChanged)
		return
	case err != nil:
		w.failed(dir, err)
		return
	}
	w.touched(dir)
	w.mu.Lock()
	w.report.Entries += len(entries)
	w.tell()
	w.mu.Unlock()
	keep := map[string]bool{}
	for _, e := range entries {
		p := dir.Join(e.Name)
		if w.scope.Hidden(p, e.Meta.IsDir()) {
			continue
		}
		keep[e.Name] = true
		if e.Meta.IsDir() {
			w.failed(p, w.unlessDry(func() error { return w.mkdir(p, e.Meta) }))
			continue
		}
		if w.ctx.Err() != nil {
			return
		}
		w.failed(p, w.place(p, e.Meta, content, false))
	}
	w.sweep(dir, keep, unreadable)
}

// sweep removes from dir at the target what the source does not have.
func (w *work) sweep(dir tree.Path, keep, unreadable map[string]bool) {
	have, err := w.dst.Reader().ReadDir(dir)
	if err != nil {
		if !w.dry || !errors.Is(err, fs.ErrNotExist) {
			w.failed(dir, err)
		}
		return
	}
	if w.dry {
		w.mu.Lock()
		w.report.Holds += len(have)
		w.mu.Unlock()
	}
	for _, e := range have {
		if keep[e.Name] || unreadable[e.Name] {
			continue
		}
		p := dir.Join(e.Name)
		switch {
		case apply.IsTemp(e.Name) && !w.dry && !w.opts.Delete:
			_, err = w.dst.RemoveStale(p)
			w.failed(p, err)
		case !w.opts.Delete || w.scope.Protected(p, e.Meta.IsDir()):
		case w.dry:
			w.countBelow(p, e.Meta)
		default:
			w.failed(p, w.remove(p))
		}
	}
}

// countBelow counts what a removal of p would remove.
func (w *work) countBelow(p tree.Path, meta tree.Meta) {
	if w.opts.DryRun {
		w.opts.plan(true, p)
	}
	w.mu.Lock()
	w.report.Deleted++
	w.mu.Unlock()
	if !meta.IsDir() {
		return
	}
	entries, err := w.dst.Reader().ReadDir(p)
	if err != nil {
		return
	}
	w.mu.Lock()
	w.report.Holds += len(entries)
	w.mu.Unlock()
	for _, e := range entries {
		if sub := p.Join(e.Name); !w.scope.Pinned(sub, e.Meta.IsDir()) {
			w.countBelow(sub, e.Meta)
		}
	}
}
