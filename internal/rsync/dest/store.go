package dest

import (
	"errors"
	"sync"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// outputs are those that nobody uses any more: there is one for each small file.
var outputs = sync.Pool{New: func() any { return new(Output) }}

func newOutput() *Output { return outputs.Get().(*Output) }

// recycle gives back an output that was finished.
func (o *Output) recycle() {
	*o = Output{}
	outputs.Put(o)
}

// Store makes f a file with this content in one go: Create, Write and
// Finish(Good) of a transfer without a basis. absent says that nothing was at its
// place a moment ago; if that is wrong it takes longer, no more.
func (d *Dest) Store(f *flist.File, content []byte, redo, absent bool) (Outcome, error) {
	how := Writing{Basis: wire.BasisFile, Whole: true, Redo: redo}
	if absent && d.root != nil && d.placesPlainly() {
		if o := d.createNew(f, how); o != nil {
			if outcome, err := o.store(content); err != errOccupied {
				return outcome, err
			}
		}
	}
	o, err := d.Create(f, how)
	if err != nil {
		return Discarded, err
	}
	return o.store(content)
}

// errOccupied says that something stands where nothing was.
var errOccupied = errors.New("something has appeared at its place")

// placesPlainly reports whether a new file goes to its place at once and nothing
// else has to be done about that place.
func (d *Dest) placesPlainly() bool {
	return !d.inPlace() && !d.opt.DelayUpdates && !d.opt.Backup && d.scratch.name == ""
}

// createNew is Create where nothing is, without looking. It returns nil, and has
// told nothing, if Create has to see to it.
func (d *Dest) createNew(f *flist.File, how Writing) *Output {
	o := newOutput()
	*o = Output{d: d, f: f, how: how, path: d.Path(f), end: -1, holes: d.opt.Sparse, isNew: true, absent: true}
	var err error
	o.staged, err = d.root.Stage(o.path, apply.Staging{Mode: d.stageMode(f, &o.like), Size: f.Meta.Size})
	if err == nil && !o.staged.Unnamed() {
		o.staged.Discard()
		err = syscall.EOPNOTSUPP
	}
	if err != nil {
		o.recycle()
		return nil
	}
	o.fd = o.staged.FD()
	o.preallocate()
	return o
}

// store writes all of the content and finishes the file.
func (o *Output) store(content []byte) (Outcome, error) {
	defer o.recycle()
	o.literal = len(content) > 0
	o.pos = int64(len(content))
	if err := o.put(content, 0); err != nil {
		_, _ = o.Finish(Broken)
		return Discarded, err
	}
	return o.Finish(Good)
}
