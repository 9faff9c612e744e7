package receiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/wire"
)

const (
	// blockBuffer is how many bytes of a basis are read at a time.
	blockBuffer = 256 << 10
	// largeBasis is the size in bytes from which it may take milliseconds until
	// the system has freed a file.
	largeBasis = 16 << 20
)

// do makes a file. An error ends the session; what else goes wrong has been told
// and noted.
func (k *worker) do(j *job) error {
	c := j.first
	if c.last && j.head.Count == 0 && j.skip == 0 && j.basis == wire.BasisFile && k.fits(c) {
		return k.store(j)
	}
	b := &build{worker: k, job: j}
	defer b.close()
	return b.run()
}

// fits reports whether a complete file without blocks has the digest of its
// sender.
func (k *worker) fits(c *chunk) bool {
	k.hash.Reset()
	k.hash.Write(c.buf[:c.n])
	return bytes.Equal(k.hash.Sum(k.sum[:0]), c.digest[:k.m.params.Xfer.Size()])
}

// store makes a small file that came whole.
func (k *worker) store(j *job) error {
	c := j.first
	defer putBuffer(c.buf)
	k.workers.literal.Add(int64(c.n))
	outcome, err := k.m.dest.Store(j.file, c.buf[:c.n], j.redo, j.absent)
	return k.stored(j, outcome, err)
}

// stored notes what became of a file whose digest is right.
func (k *worker) stored(j *job, outcome dest.Outcome, err error) error {
	switch {
	case isFatal(err):
		return err
	case err != nil:
		k.note(dest.Failed, j)
	case outcome != dest.Delayed: // those are noted when they are placed
		k.note(dest.Installed, j)
	}
	return nil
}

func (k *worker) note(kind dest.NoteKind, j *job) { j.came, j.note = kind, true }

// abandon throws away what comes of a job.
func (k *worker) abandon(j *job) {
	for c := j.first; c != nil; {
		next := j.next(c)
		putBuffer(c.buf)
		c = next
	}
}

// isFatal reports whether an error is to end the session.
func isFatal(err error) bool {
	if err == nil {
		return false
	}
	var coded interface{ ExitCode() int }
	return errors.As(err, &coded) && coded.ExitCode() != 0
}

// build is a file in the making.
type build struct {
	*worker
	job   *job
	basis *os.File // nil if there is none that can be read
	out   *dest.Output
	bad   bool // what was read of the basis is not what was asked for
	told  bool // that the basis cannot be read
}

// close closes the basis. Where that is the end of a large file that was
// replaced nobody waits for it but the end of the run.
func (b *build) close() {
	switch {
	case b.basis == nil:
	case b.job.head.Size() < largeBasis:
		b.basis.Close()
	default:
		b.workers.ended.Go(func() { b.basis.Close() })
	}
}

func (b *build) run() error {
	ok, err := b.open()
	if err != nil || !ok {
		b.fail(err)
		b.abandon(b.job)
		return err
	}
	b.hash.Reset()
	err = b.prefix()
	verdict := dest.Broken
	for c := b.job.first; c != nil; {
		if err == nil {
			err = b.apply(c)
			b.fail(err)
		}
		if c.last && err == nil {
			verdict = b.verdict(c)
		}
		next := b.job.next(c)
		putBuffer(c.buf)
		c = next
	}
	outcome, finished := b.out.Finish(verdict)
	if err == errStopped {
		return nil // the run knows why
	}
	if err != nil {
		return err
	}
	switch verdict {
	case dest.Good:
		return b.stored(b.job, outcome, finished)
	case dest.Bad:
		return b.mismatch(outcome, finished)
	}
	return nil
}

// fail ends the session with an error at once: the file that it is about may go
// on for long.
func (b *build) fail(err error) {
	if err != nil && err != errStopped {
		b.workers.cancel(err)
	}
}

// open opens the basis and the output. It is false if the file cannot be written:
// that is noted.
func (b *build) open() (bool, error) {
	j := b.job
	if j.head.Count > 0 || j.skip > 0 {
		f, err := b.m.dest.Basis(j.file, b.m.writing(j))
		if isFatal(err) {
			return false, err
		}
		if err == nil {
			b.basis = f
		}
	}
	out, err := b.m.dest.Create(j.file, b.m.writing(j))
	if isFatal(err) {
		return false, err
	}
	if err != nil {
		b.note(dest.Failed, j)
		return false, nil
	}
	b.out = out
	return true, nil
}

// prefix sees to what stands already when data are appended: with
// --append-verify, and before protocol 30, it belongs to the digest (2.5).
func (b *build) prefix() error {
	j := b.job
	if j.skip == 0 {
		return nil
	}
	if b.m.params.Opt.Append > 1 || b.m.params.Protocol < shortIntsMin {
		return b.blocks(0, j.skip, func([]byte, int64) error { return nil })
	}
	if b.basis == nil {
		b.bad = true
		return nil
	}
	if info, err := b.basis.Stat(); err != nil || info.Size() < j.skip {
		b.bad = true
	}
	return nil
}

// apply writes a chunk.
func (b *build) apply(c *chunk) error {
	write := b.applyInTurn
	if c.matched >= aheadFrom && b.basis != nil && !b.out.InPlace() {
		write = b.applyAhead
	}
	if err := write(c); err != nil {
		return err
	}
	b.workers.literal.Add(int64(c.n))
	b.workers.matched.Add(c.matched)
	return nil
}

// applyInTurn reads and writes by turns.
func (b *build) applyInTurn(c *chunk) error {
	at := 0
	for _, s := range c.segments {
		if s.blocks == 0 {
			p := c.buf[at : at+s.literal]
			at += s.literal
			b.hash.Write(p)
			if _, err := b.out.Write(p); err != nil {
				return b.writeError(err)
			}
			continue
		}
		if b.basis == nil {
			return noBasis(b.job.file.Path)
		}
		from, _ := b.job.head.Block(s.first)
		if err := b.blocks(from, runSize(b.job.head, s.first, s.blocks), b.out.Match); err != nil {
			return b.writeError(err)
		}
	}
	return nil
}

// blocks reads n bytes of the basis from offset at, adds them to the digest and
// passes them on. What cannot be read is zeros, and the file is not good.
func (b *build) blocks(at, n int64, emit func(p []byte, at int64) error) error {
	if b.buf == nil {
		b.buf = make([]byte, blockBuffer)
	}
	for n > 0 {
		p := b.buf[:min(n, blockBuffer)]
		b.readBasis(p, at)
		b.hash.Write(p)
		if err := emit(p, at); err != nil {
			return err
		}
		at += int64(len(p))
		n -= int64(len(p))
		if b.m.ctx.Err() != nil {
			return errStopped
		}
	}
	return nil
}

// readBasis fills p from offset at of the basis.
func (b *build) readBasis(p []byte, at int64) {
	got, err := 0, io.EOF
	if b.basis != nil {
		got, err = b.basis.ReadAt(p, at)
	}
	if got == len(p) {
		return
	}
	clear(p[got:])
	b.bad = true
	if !b.told && err != io.EOF {
		b.told = true
		b.m.dest.Tell("read errors mapping "+b.m.dest.FullName(b.m.dest.Path(b.job.file)), err)
	}
}

// errStopped is why a file is left as it is when the session ends.
var errStopped = errors.New("session ended")

// writeError makes an error of the output one that ends the session.
func (b *build) writeError(err error) error {
	if isFatal(err) || err == errStopped {
		return err
	}
	return &Error{
		Code: codeFileIO,
		Text: "write failed on " + b.m.dest.FullName(b.m.dest.Path(b.job.file)), Err: err,
	}
}

// verdict compares digests.
func (b *build) verdict(c *chunk) dest.Verdict {
	if b.bad || !bytes.Equal(b.hash.Sum(b.sum[:0]), c.digest[:b.m.params.Xfer.Size()]) {
		return dest.Bad
	}
	return dest.Good
}

// mismatch says and notes that a digest was wrong (1.10): the first time the file
// is asked for again.
func (b *build) mismatch(outcome dest.Outcome, err error) error {
	if isFatal(err) {
		return err
	}
	what := "discarded"
	switch outcome {
	case dest.Retained, dest.Placed:
		what = "retained"
	case dest.InPartialDir, dest.Delayed:
		what = "put into partial-dir"
	}
	j, name := b.job, string(b.job.file.Path)
	if j.final {
		b.m.talk.Text(wire.CodeErrorXfer, fmt.Sprintf("ERROR: %s failed verification -- update %s.", name, what))
		b.note(dest.Failed, j)
		return nil
	}
	if b.m.params.names() {
		again := "will"
		if b.m.params.Batch != nil {
			again = "may"
		}
		b.m.talk.Text(wire.CodeWarning, fmt.Sprintf("WARNING: %s failed verification -- update %s (%s try again).", name, what, again))
	}
	b.m.redos.add(j.index)
	if b.m.params.Batch != nil {
		b.m.params.Batch.again(j.index)
	}
	b.note(dest.Redo, j)
	return nil
}
