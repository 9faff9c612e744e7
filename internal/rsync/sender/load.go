package sender

import (
	"bytes"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
)

const (
	loaders = 3 // goroutines that open and read files

	// loadAhead is how many files are opened before their turn comes; smallFile
	// is the size in bytes up to which they are read, too.
	loadAhead = 64
	smallFile = 256 << 10

	// groupLen is how many files are handed over together: waking up a
	// goroutine costs more than opening one.
	groupLen = 8
)

// load is a file that is about to be sent.
type load struct {
	spot
	followed bool       // a symlink of that name leads to it
	inode    tree.Inode // what must be there, if that matters
	hash     bool       // compute the digest of a small file: nothing will be searched in it

	group  *group   // that it is loaded with; nil if main loads it
	err    error    // the file cannot be sent
	size   int64    // when it was opened
	state  version  // when it was opened
	torn   bool     // it changed while data was read
	file   *os.File // to read the contents from; nil if data has them
	buffer *[]byte  // of data, from bufferPools
	data   []byte
	short  *delta.SourceError // data had to be filled up with zeros
	from   bytes.Reader       // of data
	digest []byte             // if hash and data
	sum    [checksum.MaxSize]byte
}

var loadPool = sync.Pool{New: func() any { return new(load) }}

func newLoad(at spot, followed bool, inode tree.Inode, hash bool) *load {
	l := loadPool.Get().(*load)
	l.spot, l.followed, l.inode, l.hash = at, followed, inode, hash
	return l
}

// spot is where a file lies.
type spot struct {
	where where
	dir   tree.Path // in the list
	name  string
}

// place is where the entry with that index is found.
func (s *source) place(o *openList, index int32, f fact) spot {
	at := spot{where: where{origin: s.origins[f.origin], through: f.through}}
	if len(s.aliases) > 0 {
		p := o.Path(index)
		if to, ok := s.aliases[p]; ok {
			p = to
		}
		at.dir, at.name = p.Parent(), p.Base()
		return at
	}
	at.dir, at.name = o.Split(index)
	if at.name[0] == '/' { // an absolute name
		at.name = at.name[1:]
	}
	return at
}

// group is some files that are loaded one after the other.
type group struct {
	loads  []*load
	done   chan struct{} // closed when all are loaded
	waited bool          // main's, to be quick about it
}

func newGroup() *group { return &group{loads: make([]*load, 0, groupLen), done: make(chan struct{})} }

func (g *group) add(l *load) {
	l.group = g
	g.loads = append(g.loads, l)
}

func (g *group) wait() {
	if !g.waited {
		<-g.done
		g.waited = true
	}
}

// bufferSizes are those of the buffers for small files.
var bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10, smallFile}

var bufferPools [len(bufferSizes)]sync.Pool

func getBuffer(size int64) *[]byte {
	for i, n := range bufferSizes {
		if size <= int64(n) {
			if b, ok := bufferPools[i].Get().(*[]byte); ok {
				return b
			}
			b := make([]byte, n)
			return &b
		}
	}
	return nil
}

func putBuffer(b *[]byte) {
	for i, n := range bufferSizes {
		if len(*b) == n {
			bufferPools[i].Put(b)
		}
	}
}

// release gives back what a load holds.
func (l *load) release() {
	if l.file != nil {
		l.file.Close()
	}
	if l.buffer != nil {
		putBuffer(l.buffer)
	}
	*l = load{}
	loadPool.Put(l)
}

// loader opens files ahead of main.
type loader struct {
	jobs chan *group
	wait sync.WaitGroup
}

func newLoader(src *source) *loader {
	ld := &loader{jobs: make(chan *group, loadAhead)}
	for range loaders {
		ld.wait.Go(func() {
			w := newLoadWorker(src)
			defer w.leave()
			for g := range ld.jobs {
				for _, l := range g.loads {
					w.load(l)
				}
				close(g.done)
			}
		})
	}
	return ld
}

// close ends the goroutines, once they have loaded what was begun.
func (ld *loader) close() {
	close(ld.jobs)
	ld.wait.Wait()
}

// loadWorker opens files. It keeps the directory it used last, and belongs to
// one goroutine.
type loadWorker struct {
	src  *source
	hash *checksum.Hash
	at   spot      // of the directory
	dir  *walk.Dir // nil if none is held
	fd   int
}

func newLoadWorker(src *source) *loadWorker {
	return &loadWorker{src: src, hash: src.params.Xfer.New(src.params.Seed)}
}

func (w *loadWorker) leave() {
	if w.dir != nil {
		w.dir.Release()
		w.dir.Close()
		w.dir = nil
	}
}

// enter makes the directory that holds l the current one.
func (w *loadWorker) enter(l *load) error {
	if w.dir != nil && w.at.where == l.where && w.at.dir == l.dir {
		return nil
	}
	w.leave()
	d, err := l.where.dir(l.dir)
	if err != nil {
		return err
	}
	if w.fd, err = d.Acquire(); err != nil {
		d.Close()
		return err
	}
	w.dir, w.at = d, l.spot
	return nil
}

// load opens the file and, if it is small, reads it.
func (w *loadWorker) load(l *load) {
	if l.err = w.enter(l); l.err != nil {
		return
	}
	fd, state, err := w.src.openFile(w.dir, w.fd, l.name, l.followed)
	if err != nil {
		l.err = &walk.Error{Op: "open", Path: l.dir.Join(l.name), Err: err}
		return
	}
	if l.inode != (tree.Inode{}) && l.inode != state.inode {
		_ = unix.Close(fd)
		l.err = ErrChanged
		return
	}
	if w.src.job.Steady.writing(l.dir.Join(l.name), state.inode) {
		_ = unix.Close(fd)
		l.err = ErrWriting
		return
	}
	size := state.size
	l.size, l.state = size, state
	if size > smallFile {
		l.file = os.NewFile(uintptr(fd), l.dir.Join(l.name).String())
		return
	}
	defer unix.Close(fd)
	l.buffer = getBuffer(size)
	l.data = (*l.buffer)[:size]
	if n, err := readFull(fd, l.data); n < len(l.data) {
		clear(l.data[n:])
		l.short = &delta.SourceError{Offset: int64(n), Err: err}
	}
	l.torn = w.src.job.Steady != nil && versionNow(fd) != state
	if l.hash {
		w.hash.Reset()
		w.hash.Write(l.data)
		l.digest = w.hash.Sum(l.sum[:0])
	}
}
