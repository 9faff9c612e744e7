package dest

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// outputBuffer is how much is collected before it is written, in bytes.
const outputBuffer = 256 << 10

var outputBuffers = sync.Pool{New: func() any { return new([outputBuffer]byte) }}

// Writing says how an output is made.
type Writing struct {
	Basis   wire.Basis // what the request named
	Xname   string     // the name of a fuzzy basis
	Whole   bool       // no block can be matched: the sum head was empty
	Partial bool       // the peers agreed on updating partial files in place
	Append  int64      // --append: so many bytes stand already, writing starts there
	Redo    bool       // the second try
}

// Output is a file being received. It belongs to one goroutine at a time.
type Output struct {
	d    *Dest
	f    *flist.File
	how  Writing
	path tree.Path
	have Found // what is there now
	like Found // whose permissions it gets without --perms: those of the basis

	staged *apply.Staged // a new file; nil if one is written in place
	inRoot *apply.Root   // of the file written in place
	at     tree.Path     // of it
	file   *os.File      // it
	fd     int
	isNew  bool // it did not exist
	waits  bool // some of its attributes come later
	absent bool // nothing was here a moment ago: publishing fails if that has changed

	pos       int64 // where the next byte goes
	end       int64 // bytes that the file may have already; -1: nothing but what is written
	literal   bool  // some of the data came from the peer
	holes     bool  // runs of zeros become holes
	punch     bool  // what is to be a hole may have been allocated
	buf       *[outputBuffer]byte
	pending   int // bytes of buf to be written at pos-pending
	allocated bool
}

// Create opens the output of a transfer (rsync-transfer 4.5). Trouble was told.
func (d *Dest) Create(f *flist.File, how Writing) (*Output, error) {
	how.Basis = d.meant(f, how)
	p := d.Path(f)
	have, err := d.look(p, false)
	switch {
	case err != nil:
		return nil, d.told(err, "lstat %s failed", d.FullName(p))
	case have.IsDir():
		d.say(wire.CodeErrorXfer, `recv_files: "%s" is a directory`, string(p))
		return nil, syscall.EISDIR
	case d.root == nil:
		return nil, syscall.ENOENT
	}
	if how.Basis == wire.BasisBackup {
		_, _, _ = d.backupPlace(p) // rsync looks for it though the file may be new, which makes its directory
	}
	o := newOutput()
	*o = Output{d: d, f: f, how: how, path: p, have: have, like: have, end: -1, holes: d.opt.Sparse}
	if !d.opt.Perms && how.Basis != wire.BasisFile {
		o.like = d.basisFound(f, how)
	}
	switch {
	case d.inPlace():
		err = o.openInPlace(d.root, p)
	case how.Partial && how.Basis == wire.BasisPartial && d.holding != "":
		root, at := d.partialPlace(f)
		if root == nil {
			return nil, d.told(syscall.ENOENT, "open %s failed", d.FullName(p))
		}
		err = o.openInPlace(root, at)
	default:
		err = o.openTemp()
	}
	if err != nil {
		return nil, err
	}
	o.preallocate()
	return o, nil
}

// inPlace reports whether files are updated where they are.
func (d *Dest) inPlace() bool { return d.opt.Inplace || d.opt.Append > 0 || d.opt.WriteDevices }

// openTemp makes a new file, without a name or with a temporary one.
func (o *Output) openTemp() error {
	d := o.d
	how := apply.Staging{Mode: d.stageMode(o.f, &o.like), Replaces: o.have.Exists(), Size: o.f.Meta.Size, Scratch: d.scratch.root}
	var err error
	if d.scratch.name != "" && d.scratch.root == nil {
		err = d.scratch.err
	} else {
		o.staged, err = d.root.Stage(o.path, how)
	}
	if err != nil {
		return d.told(err, "mkstemp %s failed", o.temp().full())
	}
	o.fd, o.isNew = o.staged.FD(), true
	return nil
}

// stageMode is what a new file is created with: its final permissions, which
// saves a call, if the owner is right from the start; otherwise nothing for
// others.
func (d *Dest) stageMode(f *flist.File, have *Found) uint32 {
	want := d.Want(f, have)
	perm := uint32(want.Perm) & permBits
	if d.me.fake {
		perm = uint32(shownPerm(want))
	}
	if want.UID != d.me.uid || want.GID != d.me.gid {
		perm &= ownerBits
	}
	if !d.me.root() && (d.opt.Xattrs > 0 || d.opt.ACLs || d.me.fake) {
		perm |= ownerWrite
	}
	return perm
}

// openInPlace opens the file itself.
func (o *Output) openInPlace(root *apply.Root, p tree.Path) error {
	d := o.d
	o.inRoot, o.at, o.fd = root, p, -1
	flags := syscall.O_WRONLY | syscall.O_NONBLOCK
	err := root.At(p, func(at apply.Place) error {
		file, err := at.Object().Open(flags, 0)
		switch {
		case err == syscall.ENOENT:
			o.isNew = true
			file, err = at.Object().Open(flags|syscall.O_CREAT|syscall.O_EXCL, 0o600)
		case err == syscall.EACCES && o.have.UID == d.me.uid && o.have.real.Perm&ownerWrite == 0:
			if err := at.Object().Chmod(o.have.real.Perm | ownerWrite); err != nil {
				return err
			}
			o.have.real.Perm |= ownerWrite
			file, err = at.Object().Open(flags, 0)
		}
		if err != nil {
			return err
		}
		o.file = file
		return nil
	})
	if err == nil {
		err = o.checkInPlace()
	}
	if err != nil {
		if o.file != nil {
			_ = o.file.Close()
		}
		return d.told(err, "open %s failed", d.quotedIn(root, p))
	}
	return nil
}

// checkInPlace looks at what was opened, and cuts it if nothing of it is used.
func (o *Output) checkInPlace() error {
	o.fd = int(o.file.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(o.fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		o.end = st.Size
	case unix.S_IFBLK, unix.S_IFCHR:
		if !o.d.opt.WriteDevices {
			return syscall.EINVAL
		}
		o.holes = false
		return nil
	default:
		return syscall.EINVAL
	}
	o.pos = min(o.how.Append, o.end)
	if o.holes && o.how.Whole && o.pos == 0 && o.end > 0 {
		if err := unix.Ftruncate(o.fd, 0); err != nil {
			return err
		}
		o.end = 0
	}
	o.punch = o.end > 0
	return nil
}

// preallocate asks for the room that the file will need (--preallocate). That
// it is not to be had, or not in advance, shows when it is written.
func (o *Output) preallocate() {
	size := o.f.Meta.Size
	if !o.d.opt.Preallocate || size == 0 || o.end > 0 && o.end >= size {
		return
	}
	mode := uint32(unix.FALLOC_FL_KEEP_SIZE)
	if o.holes {
		mode = 0
	}
	if unix.Fallocate(o.fd, mode, 0, size) != nil {
		return
	}
	o.allocated, o.punch = true, true
	if o.holes {
		o.end = size
	}
}

// InPlace reports whether the basis of type BasisFile is overwritten while it
// is read.
func (o *Output) InPlace() bool { return o.staged == nil }

// Pos is where the next byte goes.
func (o *Output) Pos() int64 { return o.pos }

// Write adds literal data. An *Error was not told: it ends the run.
func (o *Output) Write(p []byte) (int, error) {
	o.literal = o.literal || len(p) > 0
	return o.write(p)
}

func (o *Output) write(p []byte) (n int, err error) {
	n = len(p)
	if len(p) >= outputBuffer && (o.pending == 0 || !o.holes) {
		if err := o.flush(); err != nil {
			return 0, err
		}
		o.pos += int64(n)
		return n, o.put(p, o.pos-int64(n))
	}
	for len(p) > 0 {
		if o.buf == nil {
			o.buf = outputBuffers.Get().(*[outputBuffer]byte)
		}
		c := copy(o.buf[o.pending:], p)
		p, o.pending, o.pos = p[c:], o.pending+c, o.pos+int64(c)
		if o.pending == outputBuffer {
			if err := o.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes what was collected.
func (o *Output) flush() error {
	if o.pending == 0 {
		return nil
	}
	n := o.pending
	o.pending = 0
	return o.put(o.buf[:n], o.pos-int64(n))
}

// Match adds data that is at offset at of the basis. Where that is the file
// itself it need not be written again.
func (o *Output) Match(p []byte, at int64) error {
	if at == o.pos && o.overBasis() {
		return o.Skip(int64(len(p)))
	}
	_, err := o.write(p)
	return err
}

// overBasis reports whether what stands at an offset that was not written yet
// is what the basis has there.
func (o *Output) overBasis() bool {
	if o.staged != nil {
		return false
	}
	switch o.how.Basis {
	case wire.BasisFile, wire.BasisBackup:
		return o.d.inPlace()
	case wire.BasisPartial:
		return o.inRoot != nil && !o.d.inPlace()
	}
	return false
}

// Skip passes over n bytes that stand there already.
func (o *Output) Skip(n int64) error {
	err := o.flush()
	o.pos += n
	return err
}

// put writes p at an offset, or makes holes where it is zero.
func (o *Output) put(p []byte, at int64) error {
	var err error
	if o.holes {
		err = o.putSparse(p, at)
	} else {
		err = pwrite(o.fd, p, at)
	}
	if err == nil {
		return nil
	}
	text := message(o.d.role, "write failed on "+o.d.FullName(o.path), err)
	return &Error{Code: exitFile, Text: text, Err: err}
}

func pwrite(fd int, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, at)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n == 0:
			return syscall.EIO
		default:
			p, at = p[n:], at+int64(n)
		}
	}
	return nil
}

// complete writes what is left, and cuts the file where the data ends. One that
// was written in place keeps its end if the data broke off; else it is cut even
// if it has that length, so that its time changes though all of it matched.
func (o *Output) complete(v Verdict) error {
	if err := o.flush(); err != nil || v == Broken && o.staged == nil {
		return err
	}
	var st unix.Stat_t
	if o.end < 0 && !o.allocated && !o.holes {
		return nil
	}
	if err := unix.Fstat(o.fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && (o.staged == nil || st.Size != o.pos || o.allocated) {
		return unix.Ftruncate(o.fd, o.pos)
	}
	return nil
}

// release gives back what is not a file.
func (o *Output) release() {
	if o.buf != nil {
		outputBuffers.Put(o.buf)
		o.buf = nil
	}
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}

// drop throws a new file away; one written in place stays as it is.
func (o *Output) drop() {
	o.release()
	if o.staged != nil {
		o.staged.Discard()
	}
}

// fatal reports whether err ends the run.
func fatal(err error) bool { return errors.As(err, new(*Error)) }
