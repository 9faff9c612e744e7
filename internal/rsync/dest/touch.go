package dest

import (
	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// keepOpen notes the permissions that a directory gets in the end.
func (d *Dest) keepOpen(p tree.Path, perm uint16) {
	d.opened.Lock()
	defer d.opened.Unlock()
	if d.opened.perm == nil {
		d.opened.perm = make(map[tree.Path]uint16)
	}
	d.opened.perm[p] = perm
}

// TouchUp gives a directory whose children are done its times and, if it was
// kept open for its owner, its permissions (rsync-transfer 1.12). Trouble was
// told.
func (d *Dest) TouchUp(f *flist.File) error {
	if d.idle() || d.root == nil || d.Single() {
		return nil
	}
	p := d.Path(f)
	d.opened.Lock()
	perm, opened := d.opened.perm[p]
	delete(d.opened.perm, p)
	d.opened.Unlock()
	keep := d.keepsTime(tree.Dir)
	if !keep && !opened {
		return nil
	}
	have := &Found{}
	if d.opt.KeepDirlinks {
		var err error
		if *have, err = d.Stat(f); err != nil || !have.IsDir() || have.outside {
			return err
		}
	}
	var err error
	_ = d.at(p, have, func(at apply.Place) error {
		o := at.Object()
		var now tree.Meta
		if now, err = o.Stat(); err != nil || !now.IsDir() {
			return nil
		}
		if opened && now.Perm != perm {
			err = d.told(o.Chmod(perm), "failed to modify permissions on %s", d.FullName(p))
		}
		if keep && now.Mtime != f.Meta.Mtime() {
			mtime := f.Meta.Mtime()
			_ = o.SetTimes(&mtime, nil) // if it can't be done SetAttrs has said so
		}
		return nil
	})
	return err
}
