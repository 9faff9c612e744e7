package dest

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// Finish ends the output (rsync-transfer 4.8). Trouble was told, but for an
// *Error, which ends the run.
func (o *Output) Finish(v Verdict) (Outcome, error) {
	if err := o.complete(v); err != nil {
		o.drop()
		if !fatal(err) {
			err = o.d.told(err, "ftruncate failed on %s", o.d.FullName(o.path))
		}
		return Discarded, err
	}
	if v == Broken {
		return o.interrupted()
	}
	if v == Good && o.d.opt.Fsync {
		if err := unix.Fsync(o.fd); err != nil {
			o.drop()
			return Discarded, o.d.told(err, "fsync failed on %s", o.d.FullName(o.path))
		}
	}
	switch {
	case o.staged != nil:
		return o.place(v)
	case o.inRoot == o.d.root && o.at == o.path:
		return o.inPlaceDone(v)
	}
	return o.partialDone(v)
}

// dress gives the output its attributes. Trouble with those was told and does
// not keep it from its place.
func (o *Output) dress(obj apply.Object, named subject, v Verdict) {
	m, times, err := obj.StatTimes()
	if err != nil {
		return
	}
	d, now := o.d, fresh(m)
	now.Atime = times.Access
	want := d.wantFresh(o.f, now)
	want.Perm = d.wantPerm(o.f, &o.like)
	if !o.isNew {
		now.attrs, now.known = nil, false
		if d.me.fake {
			now.Meta, now.faked = o.have.Meta, o.have.faked
			now.Mtime, now.Size = m.Mtime, m.Size
		}
		want = d.Want(o.f, now)
		want.Perm = d.wantPerm(o.f, &o.like)
	}
	s := &setter{d: d, f: o.f, o: obj, named: named, have: now, want: want, exact: true, noMtime: v != Good, waits: o.waits}
	s.run()
}

// temp is the new file in messages.
func (o *Output) temp() subject { return subject{d: o.d, at: o.path, temp: true} }

// place puts a new file where it belongs.
func (o *Output) place(v Verdict) (Outcome, error) {
	d := o.d
	toPartial := v == Good && d.opt.DelayUpdates || v == Bad && d.holding != ""
	if v == Bad && !toPartial && !d.opt.Partial {
		o.drop()
		return Discarded, nil
	}
	o.dress(o.staged.Object(), o.temp(), v)
	defer o.release()
	if toPartial {
		o.renames(d.partialName(o.f))
		if err := o.toPartial(); err != nil {
			o.staged.Discard()
			return Discarded, d.told(err, "rename %s -> \"%s\"", o.temp().full(), string(o.path))
		}
		if v == Bad {
			return InPartialDir, nil
		}
		d.delay(o.f)
		return Delayed, nil
	}
	if !(o.how.Redo && d.opt.Partial && d.holding == "") {
		if _, err := d.backup(o.path, o.have.real, toReplace); err != nil {
			o.staged.Discard()
			return Discarded, err
		}
	}
	o.renames(string(o.path))
	if err := o.publish(); err != nil {
		o.staged.Discard()
		if err == errOccupied {
			return Discarded, err
		}
		return Discarded, d.told(err, "rename %s -> \"%s\"", o.temp().full(), string(o.path))
	}
	if v == Bad {
		return Retained, nil
	}
	if o.how.Basis == wire.BasisPartial {
		d.RemovePartial(o.f)
	}
	return Placed, nil
}

// publish renames the new file over the old one, or links it where there is none. From another file system it is
// copied to a temporary one beside that first.
func (o *Output) publish() error {
	if o.absent {
		err := o.staged.PublishNew()
		if err == syscall.EEXIST {
			err = errOccupied
		}
		return err
	}
	err := o.staged.Publish()
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	return o.recopy(o.path, o.d.root)
}

// recopy makes a copy of the new file at another place and drops the first.
func (o *Output) recopy(p tree.Path, root *apply.Root) error {
	src, err := o.staged.Reopen()
	if err != nil {
		return err
	}
	defer src.Close()
	s, err := root.Stage(p, apply.Staging{Mode: 0o600, Replaces: true, Size: o.f.Meta.Size})
	if err != nil {
		return err
	}
	err = s.CopyFrom(src)
	if err == nil {
		scratch := o.staged
		o.staged, o.fd = s, s.FD()
		o.dress(s.Object(), o.temp(), Good)
		if err = s.Publish(); err == nil {
			scratch.Discard()
			return nil
		}
		o.staged = scratch
	}
	s.Discard()
	return err
}

// toPartial moves the new file into the partial directory.
func (o *Output) toPartial() error {
	root, p, err := o.d.makePartial(o.f)
	if err != nil {
		return err
	}
	err = root.At(p, func(at apply.Place) error { return o.staged.PublishAt(at) })
	if errors.Is(err, syscall.EXDEV) {
		err = o.recopy(p, root)
	}
	return err
}

// inPlaceDone sets the attributes of a file that was written in place.
func (o *Output) inPlaceDone(v Verdict) (Outcome, error) {
	defer o.release()
	o.d.debug(option.DebugRecv, 1, "finishing %s", o.path)
	o.dress(apply.Opened(o.file), subject{d: o.d, at: o.path}, v)
	if v == Bad {
		return Retained, nil
	}
	if o.how.Basis == wire.BasisPartial {
		o.d.RemovePartial(o.f)
	}
	return Placed, nil
}

// partialDone puts a partial file that was completed in its directory where it
// belongs.
func (o *Output) partialDone(v Verdict) (Outcome, error) {
	d := o.d
	defer o.release()
	o.dress(apply.Opened(o.file), subject{d: d, at: o.at, root: o.inRoot}, v)
	switch {
	case v == Bad:
		return InPartialDir, nil
	case d.opt.DelayUpdates:
		d.delay(o.f)
		return Delayed, nil
	}
	if _, err := d.backup(o.path, o.have.real, toReplace); err != nil {
		return InPartialDir, err
	}
	d.renaming(d.partialName(o.f), string(o.path))
	err := d.move(o.inRoot, o.at, o.path)
	if errors.Is(err, syscall.EXDEV) {
		err = o.copyHere()
	}
	if err != nil {
		return InPartialDir, d.told(err, "rename %s -> \"%s\"", d.quotedIn(o.inRoot, o.at), string(o.path))
	}
	d.dropPartialDir(o.at.Parent())
	return Placed, nil
}

// copyHere copies a partial file from another file system.
func (o *Output) copyHere() error {
	err := o.inRoot.At(o.at, func(from apply.Place) error {
		return o.d.root.At(o.path, func(to apply.Place) error { return o.d.copyFile(from, to, "") })
	})
	if err == nil {
		err = o.inRoot.At(o.at, func(from apply.Place) error { return from.Object().Unlink() })
	}
	return err
}

func (d *Dest) delay(f *flist.File) {
	d.delayed.Lock()
	defer d.delayed.Unlock()
	d.delayed.files = append(d.delayed.files, f)
}

// interrupted keeps what came before the data broke off, if that is wanted.
func (o *Output) interrupted() (Outcome, error) {
	d := o.d
	switch {
	case o.staged == nil:
		o.release()
		if o.inRoot == d.root && o.at == o.path {
			return Retained, nil
		}
		return InPartialDir, nil
	case !o.literal || !d.opt.Partial && d.holding == "":
		o.drop()
		return Discarded, nil
	}
	defer o.release()
	o.dress(o.staged.Object(), o.temp(), Broken)
	outcome, place := InPartialDir, o.toPartial
	if d.holding == "" {
		outcome, place = Retained, o.publish
		if d.keepsTime(tree.File) { // so that the next run does not take it for the whole
			_ = o.staged.Object().SetTimes(&tree.Time{}, nil)
		}
		if _, err := d.backup(o.path, o.have.real, toReplace); err != nil {
			o.staged.Discard()
			return Discarded, err
		}
	}
	if err := place(); err != nil {
		o.staged.Discard()
		return Discarded, d.told(err, "rename %s -> \"%s\"", o.temp().full(), string(o.path))
	}
	return outcome, nil
}
